/**
 * The log of an image that nobody serves. Where a lane ends, a crash may have torn it; but a record that is followed by
 * sound ones, or that one flipped bit explains, was there whole: it is damage, and in the latter case can be mended.
 */
import { Buffer } from 'node:buffer'
import type { Env } from '../../env/env.ts'
import { readWhole } from '../../env/publish.ts'
import { correctLogRecord, correctSegmentHeader } from '../../format/log-correction.ts'
import {
  announcedBytes, decodeSegmentHeader, isRecordWhole, logRecordHeaderBytes, LogRecordView, segmentHeaderBytes,
} from '../../format/log.ts'
import type { SegmentHeader } from '../../format/log.ts'
import { logRecordBytesMax, segmentReadBytesMax } from '../../limits.ts'

/** Bytes of a segment's file that are not what was written. */
export interface LogDamage {
  readonly path: string
  readonly offset: number
  readonly bytes: number
  /** What was written there; null where that is not known. */
  readonly corrected: Buffer | null
}

export interface LaneSurvey {
  readonly damages: LogDamage[]
  /** Behind the last sound record: most likely a write that a crash cut short. */
  readonly tornBytes: number
}

const recordMagic = Buffer.from('HFLR')

/** Errors: NEWER_VERSION, IO. */
export function surveyLane(env: Env, path: string): LaneSurvey {
  const read = readWhole(env, path, segmentReadBytesMax)
  const bytes = Buffer.from(read.buffer, read.byteOffset, read.byteLength)
  const header = decodeSegmentHeader(bytes)
  if (header !== null) return surveyRecords(path, bytes, header, [])
  const corrected = correctSegmentHeader(bytes)
  const damage = { path, offset: 0, bytes: segmentHeaderBytes, corrected }
  if (corrected !== null) {
    const mended = decodeSegmentHeader(corrected)
    if (mended !== null) return surveyRecords(path, bytes, mended, [damage])
  }
  const hasRecord = bytes.indexOf(recordMagic, segmentHeaderBytes) === segmentHeaderBytes
  return hasRecord ? { damages: [damage], tornBytes: 0 } : { damages: [], tornBytes: bytes.length }
}

function surveyRecords(path: string, bytes: Buffer, { nonce }: SegmentHeader, damages: LogDamage[]): LaneSurvey {
  let sequence = 0
  for (let at = segmentHeaderBytes; at < bytes.length;) {
    const record = soundAt(bytes, at, nonce, sequence)
    if (record !== null) {
      sequence = record.sequence
      at += record.lengthBytes
      continue
    }
    const next = nextRecord(bytes, at + 1, nonce, sequence)
    const end = next ?? bytes.length
    const corrected = end - at > logRecordBytesMax ? null : correctLogRecord(bytes.subarray(at, end), nonce)
    if (next === null && corrected === null) return { damages, tornBytes: bytes.length - at }
    damages.push({ path, offset: at, bytes: end - at, corrected })
    at = end
  }
  return { damages, tornBytes: 0 }
}

function soundAt(
  bytes: Buffer, at: number, nonce: number, before: number,
): { sequence: number; lengthBytes: number } | null {
  const lengthBytes = announcedBytes(bytes, at, nonce)
  if (lengthBytes === 0 || !isRecordWhole(bytes, at, lengthBytes)) return null
  const record = new LogRecordView()
  record.moveTo(bytes, at)
  return record.sequence > before ? { sequence: record.sequence, lengthBytes } : null
}

function nextRecord(bytes: Buffer, from: number, nonce: number, before: number): number | null {
  for (let at = bytes.indexOf(recordMagic, from); at >= 0; at = bytes.indexOf(recordMagic, at + 1)) {
    if (at + logRecordHeaderBytes > bytes.length) return null
    if (soundAt(bytes, at, nonce, before) !== null) return at
  }
  return null
}
