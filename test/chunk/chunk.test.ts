import test from 'ava'
import { Buffer } from 'node:buffer'
import { applyDelta, compressDelta, compressWhole, decompressWhole, isPoorDelta } from '../../src/chunk/codec.ts'
import { digest } from '../../src/chunk/digest.ts'
import { xorInto, xorOf } from '../../src/chunk/xor.ts'
import { isZero, zeroChunk } from '../../src/chunk/zero.ts'
import { chunkBytes, deltaPoorBytes } from '../../src/limits.ts'
import { Random } from '../random.ts'

test('the digest is BLAKE3: test vectors of its authors', (t) => {
  const vector = (length: number) => digest(Buffer.from(Array.from({ length }, (_, at) => at % 251))).toString('hex')
  t.is(vector(0), 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262')
  t.is(vector(1), '2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213')
  t.is(vector(1025), 'd00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444')
})

test('zeros are found at every length, and nothing else is', (t) => {
  const random = Random.announced(t)
  t.true(isZero(zeroChunk))
  t.true(isZero(new Uint8Array(chunkBytes)))
  for (let round = 0; round < 200; round++) {
    const bytes = Buffer.alloc(1 + random.below(chunkBytes))
    t.true(isZero(bytes))
    bytes[random.below(bytes.length)] = 1 + random.below(255)
    t.false(isZero(bytes))
  }
  t.true(isZero(new Uint8Array(0)))
  t.true(zeroChunk.every((byte) => byte === 0))
})

test('XOR is the same on words and on bytes, at every offset and length', (t) => {
  const random = Random.announced(t)
  const pool = random.bytes(4096)
  for (let round = 0; round < 300; round++) {
    const target = Buffer.from(pool.subarray(random.below(9), 100 + random.below(3000)))
    const base = pool.subarray(random.below(9), 100 + random.below(3000))
    const expected = Buffer.from(target)
    for (let at = 0; at < Math.min(target.length, base.length); at++) expected[at] ^= base[at]
    t.true(xorOf(target, base).equals(expected))
    xorInto(target, base)
    t.true(target.equals(expected))
  }
})

test('what is compressed comes back, whole and as a delta', (t) => {
  const random = Random.announced(t)
  for (let round = 0; round < 30; round++) {
    const base = random.chunk().subarray(0, 1 + random.below(chunkBytes))
    const plain = random.laterVersion(base)
    const whole = compressWhole(plain)
    if (whole !== undefined) t.true(decompressWhole(whole, plain.length).equals(plain))
    const delta = compressDelta(plain, base)
    if (delta !== undefined) t.true(applyDelta(decompressWhole(delta, plain.length), base).equals(plain))
  }
  const noise = random.bytes(chunkBytes)
  t.is(compressWhole(noise), undefined)
  t.is(compressWhole(Buffer.from('short')), undefined)
  t.is(compressDelta(noise, random.bytes(chunkBytes)), undefined)
})

test('a delta is poor above a quarter of a chunk, or when there is none', (t) => {
  t.true(isPoorDelta(undefined))
  t.true(isPoorDelta(Buffer.alloc(deltaPoorBytes + 1)))
  t.false(isPoorDelta(Buffer.alloc(deltaPoorBytes)))
})

test('a hostile length prefix is refused before it is believed', (t) => {
  const whole = compressWhole(Buffer.alloc(1000, 3))
  t.truthy(whole)
  if (whole === undefined) return
  t.throws(() => decompressWhole(whole, 999), { code: 'DAMAGED' })
  whole.writeUInt32LE(0xffffffff, 0)
  t.throws(() => decompressWhole(whole, 1000), { code: 'DAMAGED' })
  t.throws(() => decompressWhole(whole.subarray(0, 3), 1000), { code: 'DAMAGED' })
})

test('damaged blocks are refused or decode to the right length', (t) => {
  const random = Random.announced(t)
  const plain = random.chunk()
  const whole = compressWhole(plain)
  t.truthy(whole)
  if (whole === undefined) return
  let refused = 0
  for (let round = 0; round < 300; round++) {
    const broken = Buffer.from(whole)
    broken[4 + random.below(broken.length - 4)] ^= 1 << random.below(8)
    try {
      t.is(decompressWhole(broken.subarray(0, broken.length - random.below(3)), chunkBytes).length, chunkBytes)
    } catch (error) {
      t.like(error, { code: 'DAMAGED' })
      refused += 1
    }
  }
  t.true(refused > 0)
})
