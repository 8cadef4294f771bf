import { Buffer } from 'node:buffer'
import fs from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import test from 'ava'
import { HoldfastError } from '../../src/errors.ts'
import {
  announcedBytes, decodeSegmentHeader, encodeSegmentHeader, isRecordWhole, logRecordHeaderBytes, LogRecordView,
  recordType, segmentHeaderBytes, writeRecordHeader,
} from '../../src/format/log.ts'
import type { LogRecordHeader } from '../../src/format/log.ts'
import { logRecordBytesMax } from '../../src/limits.ts'
import { goldenRecords, goldenSegment } from '../golden/log-v1.ts'
import { Random } from '../random.ts'

const golden = fs.readFileSync(join(import.meta.dirname, '../golden/log-v1.bin'))
const { nonce } = goldenSegment

/** Null where no whole, good record of the segment stands. */
function readRecordHeader(bytes: Buffer, at: number, ofSegment: number): LogRecordHeader | null {
  const lengthBytes = announcedBytes(bytes, at, ofSegment)
  if (lengthBytes === 0 || !isRecordWhole(bytes, at, lengthBytes)) return null
  const view = new LogRecordView()
  view.moveTo(bytes, at)
  const { type, counter, nonce, connection, sequence, unique, inode, chunk, within, timeNs } = view
  return { type, counter, lengthBytes, nonce, connection, sequence, unique, inode, chunk, within, timeNs }
}

function recordAt(bytes: Buffer, at: number): { header: LogRecordHeader; payload: Buffer } {
  const header = readRecordHeader(bytes, at, nonce)
  if (header === null) throw new Error(`no record at ${at}`)
  return { header, payload: Buffer.from(bytes.subarray(at + logRecordHeaderBytes, at + header.lengthBytes)) }
}

test('the golden segment, as version 1 wrote it', (t) => {
  t.deepEqual(decodeSegmentHeader(golden), goldenSegment)
  t.true(encodeSegmentHeader(goldenSegment).equals(golden.subarray(0, segmentHeaderBytes)))
  let at = segmentHeaderBytes
  for (const wanted of goldenRecords) {
    const { header, payload } = recordAt(golden, at)
    t.deepEqual(header, wanted.header)
    t.true(payload.equals(wanted.payload))
    const again = Buffer.concat([Buffer.alloc(logRecordHeaderBytes), payload])
    writeRecordHeader(again, 0, header)
    t.true(again.equals(golden.subarray(at, at + header.lengthBytes)))
    at += header.lengthBytes
  }
  t.is(at, golden.length)
})

test('a header that is short or torn is none, a newer one is refused', (t) => {
  const bytes = Buffer.from(golden.subarray(0, segmentHeaderBytes))
  t.is(decodeSegmentHeader(bytes.subarray(0, segmentHeaderBytes - 1)), null)
  t.is(decodeSegmentHeader(Buffer.alloc(0)), null)
  for (let at = 0; at < 124; at += 1) {
    const flipped = Buffer.from(bytes)
    flipped[at] ^= 1 << at % 8
    t.is(decodeSegmentHeader(flipped), null, `byte ${at}`)
  }
  const newer = Buffer.from(bytes)
  newer.writeUInt16LE(2, 4)
  newer.writeUInt32LE(crc32(newer.subarray(0, 120)), 120)
  t.throws(() => decodeSegmentHeader(newer), { code: 'NEWER_VERSION' })
})

test('a record with any bit flipped, of another nonce, or cut is none', (t) => {
  const { header } = recordAt(golden, segmentHeaderBytes)
  const bytes = golden.subarray(segmentHeaderBytes, segmentHeaderBytes + header.lengthBytes)
  t.is(readRecordHeader(bytes, 0, nonce + 1), null)
  for (let length = 0; length < bytes.length; length += 1) t.is(readRecordHeader(bytes.subarray(0, length), 0, nonce), null)
  for (let bit = 0; bit < bytes.length * 8; bit += 1) {
    const flipped = Buffer.from(bytes)
    flipped[bit >> 3] ^= 1 << (bit & 7)
    t.is(readRecordHeader(flipped, 0, nonce), null, `bit ${bit}`)
  }
})

test('lengths that no record can have are not believed', (t) => {
  const bytes = Buffer.from(golden.subarray(segmentHeaderBytes))
  t.is(announcedBytes(bytes, 0, nonce), goldenRecords[0].header.lengthBytes)
  for (const length of [0, logRecordHeaderBytes - 1, logRecordBytesMax + 1, 0xffffffff]) {
    bytes.writeUInt32LE(length, 8)
    t.is(announcedBytes(bytes, 0, nonce), 0)
    t.is(readRecordHeader(bytes, 0, nonce), null)
  }
})

test('numbers up to 2^53 and all bits of 64-bit fields survive', (t) => {
  const header: LogRecordHeader = {
    type: recordType.zero, counter: 2 ** 24 - 1, lengthBytes: logRecordHeaderBytes, nonce, connection: 0xffffffff, sequence: 2 ** 53 - 1,
    unique: 2n ** 64n - 1n, inode: 2 ** 52 - 1, chunk: 2 ** 47 - 1, within: 65_535, timeNs: 2n ** 64n - 1n,
  }
  const bytes = Buffer.alloc(logRecordHeaderBytes)
  writeRecordHeader(bytes, 0, header)
  t.deepEqual(readRecordHeader(bytes, 0, nonce), header)
})

test('mutants of records are none, or the record itself', (t) => {
  const random = Random.announced(t)
  const { header } = recordAt(golden, segmentHeaderBytes)
  const bytes = golden.subarray(segmentHeaderBytes, segmentHeaderBytes + header.lengthBytes)
  for (let times = 0; times < 3000; times += 1) {
    const mutant = random.mutated(bytes)
    const found = readRecordHeader(mutant, 0, nonce)
    if (found !== null) t.deepEqual(mutant.subarray(0, found.lengthBytes), bytes)
    try {
      const segment = decodeSegmentHeader(random.mutated(golden.subarray(0, segmentHeaderBytes)))
      if (segment !== null) t.deepEqual(segment, goldenSegment)
    } catch (error) {
      t.true(error instanceof HoldfastError && error.code === 'NEWER_VERSION')
    }
  }
})
