import { Buffer } from 'node:buffer'
import fs from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { blake3 } from '@napi-rs/blake-hash'
import test from 'ava'
import { HoldfastError } from '../../src/errors.ts'
import { decodeEpoch, encodeEpoch } from '../../src/format/epoch.ts'
import type { EpochRecord } from '../../src/format/epoch.ts'
import { epochRecordBytesMax, machineStateBytesMax } from '../../src/limits.ts'
import { goldenEpoch } from '../golden/epoch-v1.ts'
import { Random } from '../random.ts'

const golden = fs.readFileSync(join(import.meta.dirname, '../golden/epoch-v1.bin'))
const localBytes = 48

function decoded(bytes: Buffer): EpochRecord {
  const { id: _id, recordBytes: _bytes, ...record } = decodeEpoch(bytes, 'a record')
  return record
}

/** The same bytes with their digest and checksum made right again. */
function resealed(bytes: Buffer): Buffer {
  const body = bytes.subarray(0, bytes.length - localBytes - 32)
  const local = Buffer.from(bytes.subarray(bytes.length - localBytes))
  const id = blake3(body)
  local.writeUInt32LE(crc32(local.subarray(0, localBytes - 4), crc32(id)), localBytes - 4)
  return Buffer.concat([body, id, local])
}

test('the golden record, as version 1 wrote it', (t) => {
  t.deepEqual(decoded(golden), goldenEpoch)
  t.true(encodeEpoch(goldenEpoch).equals(golden))
  const { id, recordBytes } = decodeEpoch(golden, 'the golden record')
  t.is(recordBytes, golden.length)
  t.true(id.equals(blake3(golden.subarray(0, golden.length - localBytes - 32))))
})

test('records with parts left out', (t) => {
  const variants: Partial<EpochRecord>[] = [
    { kind: 'head' }, { parent: null }, { machine: null }, { note: '' }, { machine: { stateRoot: null, stateBytes: 0, facts: '{}' } },
    { parent: null, machine: null, note: '', number: 0, nextNumber: 1 }, { wallMs: 0 }, { pauseUs: 0xffffffff },
  ]
  for (const variant of variants) {
    const record = { ...goldenEpoch, ...variant }
    t.deepEqual(decoded(encodeEpoch(record)), record)
  }
})

test('the id does not depend on how the log stands', (t) => {
  const moved = { ...goldenEpoch, commit: 1, segment: 2, sequence: 3, lastRequest: { connection: 0, unique: 0n } }
  t.true(decodeEpoch(encodeEpoch(moved), 'moved').id.equals(decodeEpoch(golden, 'golden').id))
})

test('any bit flipped is found', (t) => {
  for (let bit = 0; bit < golden.length * 8; bit += 1) {
    const flipped = Buffer.from(golden)
    flipped[bit >> 3] ^= 1 << (bit & 7)
    const error = t.throws(() => decodeEpoch(flipped, 'x'), { instanceOf: HoldfastError }, `bit ${bit}`)
    t.true(['BAD_FORMAT', 'NEWER_VERSION', 'DAMAGED'].includes(error.code))
  }
})

test('any length but its own is refused', (t) => {
  for (let length = 0; length < golden.length; length += 1) {
    t.throws(() => decodeEpoch(golden.subarray(0, length), 'x'), { instanceOf: HoldfastError })
  }
  t.throws(() => decodeEpoch(Buffer.concat([golden, Buffer.alloc(1)]), 'x'), { code: 'DAMAGED' })
  t.throws(() => decodeEpoch(Buffer.concat([golden, Buffer.alloc(epochRecordBytesMax)]), 'x'), { code: 'DAMAGED' })
})

test('a newer version says so, another magic is not ours', (t) => {
  const newer = Buffer.from(golden)
  newer.writeUInt16LE(2, 4)
  t.throws(() => decodeEpoch(newer, 'x'), { code: 'NEWER_VERSION' })
  t.throws(() => decodeEpoch(resealed(newer), 'x'), { code: 'NEWER_VERSION' })
  t.throws(() => decodeEpoch(Buffer.alloc(1000), 'x'), { code: 'BAD_FORMAT' })
})

test('a machine state that is too large is refused before anything is allocated', (t) => {
  const bytes = Buffer.from(golden)
  bytes.writeBigUInt64LE(BigInt(machineStateBytesMax) + 1n, 200)
  t.throws(() => decodeEpoch(resealed(bytes), 'x'), { code: 'DAMAGED' })
})

test('mutants, also with a right digest, are refused by code or have one encoding', (t) => {
  const random = Random.announced(t)
  for (let times = 0; times < 3000; times += 1) {
    const mutant = random.mutated(golden)
    for (const bytes of mutant.length < 300 ? [mutant] : [mutant, resealed(mutant)]) {
      try {
        t.true(encodeEpoch(decoded(bytes)).equals(bytes))
      } catch (error) {
        t.true(error instanceof HoldfastError, String(error))
      }
    }
  }
})

test('what was decoded does not change with the bytes', (t) => {
  const bytes = Buffer.from(golden)
  const record = decoded(bytes)
  bytes.fill(0)
  t.deepEqual(record, goldenEpoch)
})
