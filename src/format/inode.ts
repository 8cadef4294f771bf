/**
 * An inode, the value of the manifest's inode tree. Little-endian:
 *
 *      0   1  version (1)
 *      1   1  flags: bit 0 memory file of a machine; bit 1 a file made without a name, which may be given its first
 *      2   2  length of the target of a symbolic link, 0 for all else
 *      4   4  type and permission bits, as in st_mode
 *      8   4  owner
 *     12   4  group
 *     16   4  count of links
 *     20   4  device number
 *     24   8  size in bytes, at most 2^63 - 1
 *     32   8  accessed, nanoseconds since 1970, signed
 *     40   8  modified, the same
 *     48   8  changed, the same
 *     56   8  zeros
 *     64  32  data root: tree of chunk ids by chunk number (regular file), of names by their keys (directory);
 *             zeros = empty
 *     96  32  id of the chunk with the extended attributes (attributes.ts), zeros = none
 *    128      target
 *
 * 32 records without a target fill one leaf of the tree.
 */
import { Buffer } from 'node:buffer'
import { assert, HoldfastError } from '../errors.ts'
import { digestBytes, fileBytesMax, symlinkBytesMax } from '../limits.ts'
import { ByteReader } from './bytes.ts'

export { decodeAttributes, encodeAttributes } from './attributes.ts'
export type { Attribute } from './attributes.ts'

export interface InodeRecord {
  /** Type and permission bits, as in st_mode. */
  mode: number
  uid: number
  gid: number
  linkCount: number
  deviceNumber: number
  /** Bytes; of a file its length, else what the image shows. */
  size: bigint
  accessedNs: bigint
  modifiedNs: bigint
  changedNs: bigint
  /** A machine's memory, a class of file with rules of its own. */
  isMemory: boolean
  /** A regular file that was made without a name (O_TMPFILE, not O_EXCL): it may be linked though it has no link. */
  isLinkable: boolean
  /** Of a symbolic link; else empty. */
  target: Buffer
  /** Of a regular file or directory; null when empty. */
  dataRoot: Buffer | null
  attributesRoot: Buffer | null
}

export const inodeVersion = 1
export const inodeFixedBytes = 128
const memoryFlag = 1
const linkableFlag = 2
const flagsMax = memoryFlag | linkableFlag
const fileType = 0o100000
const typeMask = 0o170000
const modeMax = 0o177777
const linkType = 0o120000
const dataTypes: readonly number[] = [fileType, 0o040000]
const types: readonly number[] = [...dataTypes, linkType, 0o010000, 0o020000, 0o060000, 0o140000]
const noId = Buffer.alloc(digestBytes)
const noTarget = Buffer.alloc(0)

/** 128 bytes, and the target. */
export function encodeInode(record: InodeRecord): Buffer {
  const wrong = faultOf(record)
  assert(wrong === null, `an inode ${wrong}`)
  const bytes = Buffer.alloc(inodeFixedBytes + record.target.length)
  bytes.writeUInt8(inodeVersion, 0)
  bytes.writeUInt8((record.isMemory ? memoryFlag : 0) | (record.isLinkable ? linkableFlag : 0), 1)
  bytes.writeUInt16LE(record.target.length, 2)
  const words = [record.mode, record.uid, record.gid, record.linkCount, record.deviceNumber]
  words.forEach((word, index) => bytes.writeUInt32LE(word, 4 + 4 * index))
  bytes.writeBigUInt64LE(record.size, 24)
  const times = [record.accessedNs, record.modifiedNs, record.changedNs]
  times.forEach((time, index) => bytes.writeBigInt64LE(time, 32 + 8 * index))
  bytes.set(record.dataRoot ?? noId, 64)
  bytes.set(record.attributesRoot ?? noId, 64 + digestBytes)
  bytes.set(record.target, inodeFixedBytes)
  return bytes
}

/** The ids and the target are copies. Errors: NEWER_VERSION, DAMAGED. */
export function decodeInode(bytes: Uint8Array): InodeRecord {
  const reader = new ByteReader(bytes, 'an inode')
  const version = reader.u8()
  if (version > inodeVersion) {
    throw new HoldfastError('NEWER_VERSION', `an inode of version ${version}: use a newer Holdfast`)
  }
  if (version !== inodeVersion) throw reader.damaged('has no version')
  const flags = reader.u8()
  const targetBytes = reader.u16()
  const record: InodeRecord = {
    mode: reader.u32(),
    uid: reader.u32(),
    gid: reader.u32(),
    linkCount: reader.u32(),
    deviceNumber: reader.u32(),
    size: reader.u64(),
    accessedNs: BigInt.asIntN(64, reader.u64()),
    modifiedNs: BigInt.asIntN(64, reader.u64()),
    changedNs: BigInt.asIntN(64, reader.u64()),
    isMemory: (flags & memoryFlag) !== 0,
    isLinkable: (flags & linkableFlag) !== 0,
    target: noTarget,
    dataRoot: null,
    attributesRoot: null,
  }
  if (reader.u64() !== 0n || flags > flagsMax) throw reader.damaged('sets what has no meaning')
  record.dataRoot = decodeId(reader)
  record.attributesRoot = decodeId(reader)
  if (targetBytes > 0) record.target = Buffer.from(reader.bytes(targetBytes))
  reader.end()
  const wrong = faultOf(record)
  if (wrong !== null) throw reader.damaged(wrong)
  return record
}

/** What an inode cannot be, in words; null when all is well. */
function faultOf(record: InodeRecord): string | null {
  const type = record.mode & typeMask
  if (record.mode > modeMax || !types.includes(type)) return 'has no such type'
  if (record.isLinkable && type !== fileType) return 'waits for a name and is no file'
  if (record.isLinkable && record.linkCount > 0) return 'waits for a name and has one'
  if (record.size > fileBytesMax) return 'is larger than a file can be'
  if ((type === linkType) !== record.target.length > 0) return 'has a target and is no link, or the reverse'
  if (record.target.length > symlinkBytesMax) return 'has a target that is too long'
  if (record.dataRoot !== null && !dataTypes.includes(type)) return 'has data and is neither file nor directory'
  return null
}

function decodeId(reader: ByteReader): Buffer | null {
  const id = reader.bytes(digestBytes)
  return noId.equals(id) ? null : Buffer.from(id)
}
