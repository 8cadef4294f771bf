/**
 * What a pack holds, counted; in footers and in the index's pack entries. Integers are little-endian.
 *
 *     0   data: records       4
 *     4   data: plain bytes   8
 *     12  data: stored bytes  8   headers included
 *     20  node: the same three
 */
import type { ByteReader, ByteWriter } from './bytes.ts'
import { kindNode } from './pack-record.ts'

export const packTotalsBytes = 2 * (4 + 8 + 8)

export interface KindTotals {
  records: number
  plainBytes: number
  storedBytes: number
}

export interface PackTotals {
  readonly data: KindTotals
  readonly node: KindTotals
}

export function emptyTotals(): PackTotals {
  return { data: { records: 0, plainBytes: 0, storedBytes: 0 }, node: { records: 0, plainBytes: 0, storedBytes: 0 } }
}

export function countRecord(totals: PackTotals, kind: number, plainBytes: number, storedBytes: number): void {
  const counted = kind === kindNode ? totals.node : totals.data
  counted.records += 1
  counted.plainBytes += plainBytes
  counted.storedBytes += storedBytes
}

export function addTotals(sum: PackTotals, totals: PackTotals): void {
  for (const kind of ['data', 'node'] as const) {
    sum[kind].records += totals[kind].records
    sum[kind].plainBytes += totals[kind].plainBytes
    sum[kind].storedBytes += totals[kind].storedBytes
  }
}

export function writeTotals(writer: ByteWriter, totals: PackTotals): void {
  for (const { records, plainBytes, storedBytes } of [totals.data, totals.node]) {
    writer.u32(records).u64(plainBytes).u64(storedBytes)
  }
}

export function readTotals(reader: ByteReader): PackTotals {
  return { data: readKind(reader), node: readKind(reader) }
}

function readKind(reader: ByteReader): KindTotals {
  return { records: reader.u32(), plainBytes: reader.safe64(), storedBytes: reader.safe64() }
}
