import { Buffer } from 'node:buffer'
import test from 'ava'
import { decodeManifest, encodeManifest } from '../../src/format/manifest.ts'
import type { Manifest } from '../../src/format/manifest.ts'
import { Random } from '../random.ts'
import { checkMutants, checkNoise } from './mutants.ts'

const manifest: Manifest = { inodes: Buffer.alloc(32, 0xaa), nextInode: 1000, inodeCount: 5, orphans: [2, 129, 2 ** 52 - 1] }
const empty: Manifest = { inodes: null, nextInode: 1, inodeCount: 0, orphans: [] }
const again = (bytes: Buffer): Buffer => encodeManifest(decodeManifest(bytes))

test('a manifest with orphans', (t) => {
  const head = '6d4d' + '01' + '00' + '03000000' + 'e803000000000000' + '0500000000000000' + 'aa'.repeat(32)
  t.is(encodeManifest(manifest).toString('hex'), head + '02' + '7f' + 'fefeffffffffff07')
})

test('what was encoded is decoded', (t) => {
  const gaps = { ...manifest, orphans: [1, 128, 129, 256, 16_640, 2 ** 51] }
  for (const one of [manifest, empty, gaps]) t.deepEqual(decodeManifest(encodeManifest(one)), one)
})

test('orphans that do not rise are not encoded, too many are NO_SPACE', (t) => {
  t.throws(() => encodeManifest({ ...manifest, orphans: [2, 2] }), { name: 'AssertionFailure' })
  t.throws(() => encodeManifest({ ...manifest, orphans: [0] }), { name: 'AssertionFailure' })
  const orphans = Array.from({ length: 65_480 }, (_, index) => index + 1)
  t.is(decodeManifest(encodeManifest({ ...manifest, orphans })).orphans.length, 65_480)
  t.throws(() => encodeManifest({ ...manifest, orphans: [...orphans, 65_481] }), { code: 'NO_SPACE' })
})

test('distances in more bytes than needed, of nothing, or without an end are refused', (t) => {
  const head = encodeManifest({ ...empty, orphans: [1] }).subarray(0, 56)
  for (const tail of ['00', '8100', '80', 'ffffffffffffffff01', 'ffffffffffffffff']) {
    t.throws(() => decodeManifest(Buffer.concat([head, Buffer.from(tail, 'hex')])), { code: 'DAMAGED' }, tail)
  }
})

test('other bytes, a newer version and a huge count have their codes', (t) => {
  const bytes = encodeManifest(manifest)
  t.throws(() => decodeManifest(Buffer.alloc(56)), { code: 'BAD_FORMAT' })
  t.throws(() => decodeManifest(bytes.subarray(0, 40)), { code: 'BAD_FORMAT' })
  const newer = Buffer.from(bytes)
  newer[2] = 2
  t.throws(() => decodeManifest(newer), { code: 'NEWER_VERSION' })
  const huge = Buffer.from(bytes)
  huge.writeUInt32LE(0xffffffff, 4)
  t.throws(() => decodeManifest(huge), { code: 'DAMAGED' })
})

test('mutated manifests are refused by code, or are the one encoding of what they hold', (t) => {
  const random = Random.announced(t)
  for (const one of [manifest, empty]) checkMutants(t, random, encodeManifest(one), 2000, again)
  checkNoise(t, random, Buffer.from('6d4d0100', 'hex'), 2000, again)
})
