/** A pack record that one flipped bit has spoilt, put right by its own checksum. */
import { Buffer } from 'node:buffer'
import { crc32 } from 'node:zlib'
import { findFlippedBit, isChecksumFlipped } from './crc-correction.ts'
import {
  checksumAt, kindAt, readRecordHeader, recordBytesOf, recordHeaderBytesMin, recordMagic, type RecordHeader,
} from './pack-record.ts'

export interface CorrectedRecord {
  readonly header: RecordHeader
  readonly bytes: Buffer
}

/**
 * `extent` is exactly where the record lies; it is not changed. Undefined where more than one bit (outside the
 * magic) is wrong. The digest of what it decodes to has to tell whether the guess is right.
 */
export function correctRecord(extent: Buffer): CorrectedRecord | undefined {
  if (extent.length < recordHeaderBytesMin) return undefined
  const bytes = Buffer.from(extent)
  recordMagic.copy(bytes)
  const difference = (bytes.readUInt32LE(checksumAt) ^ crc32(bytes.subarray(kindAt))) >>> 0
  if (difference !== 0 && !isChecksumFlipped(difference)) {
    const flipped = findFlippedBit(difference, bytes.length - kindAt)
    if (flipped === undefined) return undefined
    bytes[bytes.length - 1 - flipped.fromEnd] ^= flipped.mask
  }
  const header = readRecordHeader(bytes, 0)
  if (header === undefined || recordBytesOf(header) !== bytes.length) return undefined
  return { header, bytes }
}
