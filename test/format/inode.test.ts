import { Buffer } from 'node:buffer'
import test from 'ava'
import { decodeAttributes, decodeInode, encodeAttributes, encodeInode } from '../../src/format/inode.ts'
import type { Attribute, InodeRecord } from '../../src/format/inode.ts'
import { Random } from '../random.ts'
import { checkMutants, checkNoise } from './mutants.ts'

const file: InodeRecord = {
  mode: 0o100644, uid: 1, gid: 2, linkCount: 3, deviceNumber: 0, size: 2n ** 63n - 1n,
  accessedNs: -1n, modifiedNs: 256n, changedNs: 1_700_000_000_123_456_789n, isMemory: true, isLinkable: false,
  target: Buffer.alloc(0), dataRoot: Buffer.alloc(32, 0xaa), attributesRoot: null,
}
const link: InodeRecord = {
  ...file, mode: 0o120777, size: 3n, isMemory: false, target: Buffer.from('a/b'), dataRoot: null,
  attributesRoot: Buffer.alloc(32, 0xbb),
}
const device: InodeRecord = { ...file, mode: 0o060660, deviceNumber: 0xfe000001, size: 0n, dataRoot: null, isMemory: false }

const unnamed: InodeRecord = { ...file, linkCount: 0, isMemory: false, isLinkable: true }

const again = (bytes: Buffer): Buffer => encodeInode(decodeInode(bytes))
const attributesAgain = (bytes: Buffer): Buffer => encodeAttributes(decodeAttributes(bytes))

test('a file', (t) => {
  const words = 'a4810000' + '01000000' + '02000000' + '03000000' + '00000000'
  const numbers = 'ffffffffffffff7f' + 'ffffffffffffffff' + '0001000000000000' + '15cd853dfe9c9717' + '0000000000000000'
  t.is(encodeInode(file).toString('hex'), '01' + '01' + '0000' + words + numbers + 'aa'.repeat(32) + '00'.repeat(32))
})

test('a symbolic link', (t) => {
  const hex = encodeInode(link).toString('hex')
  t.is(hex.slice(0, 16), '01' + '00' + '0300' + 'ffa10000')
  t.is(hex.slice(128), '00'.repeat(32) + 'bb'.repeat(32) + '612f62')
})

test('a file that waits for its first name', (t) => {
  t.is(encodeInode(unnamed).toString('hex', 0, 4), '01' + '02' + '0000')
})

test('what was encoded is decoded', (t) => {
  for (const record of [file, link, device, unnamed, { ...link, target: Buffer.alloc(4095, 0x61) }, { ...file, mode: 0o040755, isMemory: false }]) {
    t.deepEqual(decodeInode(encodeInode(record)), record)
  }
})

test('what was decoded does not change with the bytes', (t) => {
  const bytes = encodeInode(link)
  const record = decodeInode(bytes)
  bytes.fill(0)
  t.deepEqual(record, link)
})

test('an inode that cannot be is neither written nor read', (t) => {
  const wrong: Partial<InodeRecord>[] = [
    { mode: 0o644 }, { mode: 0o1100644 }, { mode: 0o120777 }, { target: Buffer.from('x') }, { size: 2n ** 63n },
    { mode: 0o010644 }, { isLinkable: true }, { isLinkable: true, linkCount: 0, mode: 0o060644, dataRoot: null },
  ]
  for (const fields of wrong) t.throws(() => encodeInode({ ...file, ...fields }), { name: 'AssertionFailure' })
  t.throws(() => encodeInode({ ...link, target: Buffer.alloc(4096, 1) }), { name: 'AssertionFailure' })
  const bytes = encodeInode(file)
  for (const at of [4, 56, 63]) {
    const changed = Buffer.from(bytes)
    changed[at + (at === 4 ? 1 : 0)] = 0x01
    t.throws(() => decodeInode(changed), { code: 'DAMAGED' }, `byte ${at}`)
  }
  t.throws(() => decodeInode(Buffer.concat([bytes, bytes])), { code: 'DAMAGED' })
  t.throws(() => decodeInode(bytes.subarray(1)), { name: 'HoldfastError' })
})

test('a newer inode is said to be newer', (t) => {
  const bytes = encodeInode(file)
  bytes[0] = 2
  t.throws(() => decodeInode(bytes), { code: 'NEWER_VERSION' })
})

test('mutated inodes are refused by code, or are the one encoding of what they hold', (t) => {
  const random = Random.announced(t)
  for (const record of [file, link, device, unnamed]) checkMutants(t, random, encodeInode(record), 1000, again)
  checkNoise(t, random, Buffer.from([1]), 1000, again)
})

const attributes: Attribute[] = [
  { name: Buffer.from('user.b'), value: Buffer.alloc(0) },
  { name: Buffer.from('user.a'), value: Buffer.from([1, 2, 3]) },
]

test('extended attributes, sorted by name', (t) => {
  const bytes = encodeAttributes(attributes)
  t.is(bytes.toString('hex'), '6d58' + '01' + '00' + '02000000' + '06' + '03000000' + '757365722e61' + '010203' + '06' + '00000000' + '757365722e62')
  t.deepEqual(decodeAttributes(bytes), [...attributes].reverse())
})

test('the longest attributes', (t) => {
  const many = [{ name: Buffer.alloc(255, 0x61), value: Buffer.alloc(64 * 1024, 1) }]
  t.deepEqual(decodeAttributes(encodeAttributes(many)), many)
})

test('attributes without a name, twice, or none at all are not encoded', (t) => {
  const expected = { name: 'AssertionFailure' }
  t.throws(() => encodeAttributes([]), expected)
  t.throws(() => encodeAttributes([attributes[0], attributes[0]]), expected)
  t.throws(() => encodeAttributes([{ name: Buffer.alloc(0), value: Buffer.alloc(0) }]), expected)
  t.throws(() => encodeAttributes([{ name: Buffer.alloc(256, 1), value: Buffer.alloc(0) }]), expected)
})

test('mutated attributes are refused by code, or are the one encoding of what they hold', (t) => {
  const random = Random.announced(t)
  checkMutants(t, random, encodeAttributes(attributes), 3000, attributesAgain)
  checkNoise(t, random, Buffer.from('6d580100', 'hex'), 1000, attributesAgain)
})

test('a huge count or length is refused before anything is made of it', (t) => {
  t.throws(() => decodeAttributes(Buffer.from('6d580100' + 'ffffffff' + '0100000000', 'hex')), { code: 'DAMAGED' })
  t.throws(() => decodeAttributes(Buffer.from('6d580100' + '01000000' + '01ffffffff61', 'hex')), { code: 'DAMAGED' })
})
