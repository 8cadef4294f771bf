/** Tells bytes that were a record once from what a crash left: only the latter may be cut off or covered. */
import { Buffer } from 'node:buffer'
import type { EnvFile } from '../env/env.ts'
import { readRecordHeader, recordBytesMax, recordHeaderBytesMax } from '../format/pack-record.ts'
import { type CorrectedRecord, correctRecord } from '../format/record-correction.ts'
import type { RecordLookup } from './pack-index.ts'

/** The record that lies in exactly these bytes, one flipped bit put right; undefined where that does not help. */
export function correctedAt(file: EnvFile, offset: number, bytes: number): CorrectedRecord | undefined {
  if (bytes > recordBytesMax) return undefined
  const extent = Buffer.alloc(bytes)
  return file.read(extent, offset) === bytes ? correctRecord(extent) : undefined
}

/**
 * How many of these bytes, from their start, were once a record: it is one but for a flipped bit, or the index, which
 * is never ahead of a synced pack, knows it. 0 where nothing tells of one.
 */
export function spoiltRecordBytes(
  file: EnvFile, packNumber: number, lookup: RecordLookup, offset: number, bytes: number,
): number {
  const header = Buffer.alloc(Math.min(recordHeaderBytesMax, bytes))
  const found = readRecordHeader(header.subarray(0, file.read(header, offset)), 0)
  const location = found === undefined || found.id.length === 0 ? undefined : lookup.locate(found.id, found.depth)
  const isKnown = location?.packNumber === packNumber && location.offset === offset && location.recordBytes <= bytes
  if (isKnown) return location.recordBytes
  return correctedAt(file, offset, bytes) === undefined ? 0 : bytes
}
