/**
 * Walks a pack from header to header without reading payloads: what can be known of it cheaply. Where a header
 * has no form the walk goes on as a scan, which finds the next sound record.
 */
import { Buffer } from 'node:buffer'
import type { EnvFile } from '../env/env.ts'
import {
  type RecordHeader, kindVoid, readRecordHeader, recordBytesOf, recordHeaderBytesMax,
} from '../format/pack-record.ts'
import { type ScannedGap, scanRecords } from './pack-scan.ts'

export interface FramedRecord {
  readonly type: 'record'
  readonly offset: number
  readonly recordBytes: number
  /** Views that are valid until the next step. */
  readonly header: RecordHeader
}

/** Records (not voids) and gaps of the bytes from `start` to `end`. */
export function* frameRecords(file: EnvFile, start: number, end: number): Generator<FramedRecord | ScannedGap> {
  const bytes = Buffer.alloc(recordHeaderBytesMax)
  for (let offset = start; offset < end;) {
    const header = readRecordHeader(bytes.subarray(0, file.read(bytes, offset)), 0)
    const recordBytes = header === undefined ? 0 : recordBytesOf(header)
    if (header === undefined || offset + recordBytes > end) return yield* scanRecords(file, offset, end)
    if (header.kind !== kindVoid) yield { type: 'record', offset, recordBytes, header }
    offset += recordBytes
  }
}
