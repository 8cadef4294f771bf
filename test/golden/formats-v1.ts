/** Small formats, each with a value and both ways of it; `formats-v1.json` holds the bytes of version 1 in hex. */
import { Buffer } from 'node:buffer'
import { decodeDirents, encodeDirents, nameKey } from '../../src/format/dirent.ts'
import { decodeEffects, encodeEffects } from '../../src/format/effects.ts'
import { decodeEpoch, encodeEpoch } from '../../src/format/epoch.ts'
import { decodeAttributes, decodeInode, encodeAttributes, encodeInode } from '../../src/format/inode.ts'
import type { InodeRecord } from '../../src/format/inode.ts'
import { decodeLocation, encodeLocation, identityValue, packKey, recordKey } from '../../src/format/keys.ts'
import { decodeManifest, encodeManifest } from '../../src/format/manifest.ts'
import { decodeNode, encodeInner, encodeLeaf } from '../../src/format/node.ts'
import { goldenEpoch } from './epoch-v1.ts'
import { goldenEffects } from './log-v1.ts'
import { goldenReplicaFormats } from './replica-v1.ts'

export interface GoldenFormat {
  readonly name: string
  encode(): Buffer
  /** What the bytes mean, to be compared with `value`; absent where nobody reads them back. */
  decode?(bytes: Buffer): unknown
  readonly value?: unknown
}

const id = (byte: number): Buffer => Buffer.alloc(32, byte)
const noMachine = { ...goldenEpoch, kind: 'head' as const, machine: null, note: '' }

const file: InodeRecord = {
  mode: 0o100644, uid: 1000, gid: 100, linkCount: 2, deviceNumber: 0, size: 2n ** 40n + 5n, accessedNs: -1n,
  modifiedNs: 1_700_000_000_123_456_789n, changedNs: 3n, isMemory: true, isLinkable: false,
  target: Buffer.alloc(0), dataRoot: id(0x11), attributesRoot: id(0x22),
}
const link: InodeRecord = {
  ...file, mode: 0o120777, size: 9n, isMemory: false, target: Buffer.from('../target'), dataRoot: null, attributesRoot: null,
}
const dirents = [
  { name: Buffer.from('ä name'), inode: 7, type: 8 }, { name: Buffer.from([0xff, 0x01]), inode: 2 ** 40, type: 4 },
]
const attributes = [{ name: Buffer.from('security.x'), value: Buffer.from([1, 2, 3]) }, { name: Buffer.from('user.empty'), value: Buffer.alloc(0) }]
const manifest = { inodes: id(0x33), nextInode: 1000, inodeCount: 12, orphans: [5, 6, 700] }
const location = { packNumber: 0x1234, offset: 0x7654321, recordBytes: 65_624, kind: 1, codec: 2, depth: 3 }
const sparse = { keys: [3, 70_000, 2 ** 40], values: ['a', 'bcd', 'ef'].map((text) => Buffer.from(text)) }
const dense = { keys: [128, 129, 131, 132, 133, 134, 135, 136, 140], values: [1, 2, 3, 4, 5, 6, 7, 8, 9].map(id) }
const children = [{ slot: 0, id: id(1), weight: 4096 }, { slot: 64, id: id(2), weight: 37 }]

export const goldenFormats: readonly GoldenFormat[] = [
  { name: 'inode of a file', encode: () => encodeInode(file), decode: decodeInode, value: file },
  { name: 'inode of a link', encode: () => encodeInode(link), decode: decodeInode, value: link },
  { name: 'names', encode: () => encodeDirents(dirents), decode: decodeDirents, value: dirents },
  { name: 'key of a name', encode: () => number(nameKey(Buffer.from('a name'))) },
  { name: 'extended attributes', encode: () => encodeAttributes(attributes), decode: decodeAttributes, value: attributes },
  { name: 'manifest', encode: () => encodeManifest(manifest), decode: decodeManifest, value: manifest },
  { name: 'effects', encode: () => encodeEffects(goldenEffects), decode: decodeEffects, value: goldenEffects },
  { name: 'head record', encode: () => encodeEpoch(noMachine), decode: epochOf, value: noMachine },
  { name: 'sorted leaf', encode: () => encodeLeaf(sparse.keys, sparse.values), decode: leafOf, value: sparse },
  { name: 'leaf of slots', encode: () => encodeLeaf(dense.keys, dense.values), decode: leafOf, value: dense },
  { name: 'inner node', encode: () => encodeInner(1, 0, children), decode: innerOf, value: children.map(({ id: each, weight }) => [each, weight]) },
  { name: 'key of a pack', encode: () => packKey(0x01020304) },
  { name: 'key of a record', encode: () => recordKey(id(0x44), 2) },
  { name: 'place of a record', encode: () => encodeLocation(location), decode: decodeLocation, value: location },
  { name: 'identity of an index', encode: () => identityValue(Buffer.alloc(16, 0x55)) },
  ...goldenReplicaFormats,
]

function number(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(value))
  return bytes
}

function epochOf(bytes: Buffer): unknown {
  const { id: _id, recordBytes: _bytes, ...record } = decodeEpoch(bytes, 'the golden head')
  return record
}

function leafOf(bytes: Buffer): unknown {
  const node = decodeNode(bytes)
  if (!node.leaf) return null
  const indexes = Array.from({ length: node.count }, (_, index) => index)
  return { keys: indexes.map((index) => node.keyAt(index)), values: indexes.map((index) => Buffer.from(node.valueAt(index))) }
}

function innerOf(bytes: Buffer): unknown {
  const node = decodeNode(bytes)
  if (node.leaf) return null
  return Array.from({ length: node.count }, (_, index) => [Buffer.from(node.idAt(index)), node.weightAt(index)])
}
