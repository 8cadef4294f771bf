/** A log record, or a segment's header, that one flipped bit has spoilt, put right by its own checksum. */
import { Buffer } from 'node:buffer'
import { crc32 } from 'node:zlib'
import { findFlippedBit, isChecksumFlipped } from './crc-correction.ts'
import {
  announcedBytes, logRecordHeaderBytes, recordChecksum, recordChecksumAt, segmentChecksumAt, segmentHeaderBytes,
} from './log.ts'

const checksumBytes = 4

/**
 * `extent` is exactly where the record lies, and not changed. Null where one bit does not explain it. Nothing but the
 * 32 bits of the checksum proves the result: what follows must show that a record was there at all.
 */
export function correctLogRecord(extent: Buffer, nonce: number): Buffer | null {
  if (extent.length < logRecordHeaderBytes) return null
  const bytes = Buffer.from(extent)
  const computed = recordChecksum(bytes, 0, bytes.length)
  const difference = (bytes.readUInt32LE(recordChecksumAt) ^ computed) >>> 0
  if (isChecksumFlipped(difference)) bytes.writeUInt32LE(computed, recordChecksumAt)
  else if (difference !== 0 && !flip(bytes, difference)) return null
  return announcedBytes(bytes, 0, nonce) === bytes.length ? bytes : null
}

/** As correctLogRecord, of the first bytes of a segment. */
export function correctSegmentHeader(header: Buffer): Buffer | null {
  if (header.length < segmentHeaderBytes) return null
  const bytes = Buffer.from(header.subarray(0, segmentHeaderBytes))
  const computed = crc32(bytes.subarray(0, segmentChecksumAt))
  const difference = (bytes.readUInt32LE(segmentChecksumAt) ^ computed) >>> 0
  const flipped = findFlippedBit(difference, segmentChecksumAt)
  if (isChecksumFlipped(difference)) bytes.writeUInt32LE(computed, segmentChecksumAt)
  else if (flipped === undefined) return null
  else bytes[segmentChecksumAt - 1 - flipped.fromEnd] ^= flipped.mask
  return bytes
}

/** The checksum covers what is before it, then what is behind it. */
function flip(bytes: Buffer, difference: number): boolean {
  const coveredBytes = bytes.length - checksumBytes
  const flipped = findFlippedBit(difference, coveredBytes)
  if (flipped === undefined) return false
  const covered = coveredBytes - 1 - flipped.fromEnd
  bytes[covered < recordChecksumAt ? covered : covered + checksumBytes] ^= flipped.mask
  return true
}
