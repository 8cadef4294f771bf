/** The footer of a pack that ends, from the records that are in it. */
import type { EnvFile } from '../env/env.ts'
import { FooterTable } from '../format/pack-footer.ts'
import { packHeaderBytes } from '../format/pack-header.ts'
import { recordHeaderBytesMin } from '../format/pack-record.ts'
import { type PackTotals, countRecord, emptyTotals } from '../format/pack-totals.ts'
import { scanRecords } from './pack-scan.ts'

/** Of the records up to `end`; there should be `records` of them. Errors: IO. */
export function tableOf(file: EnvFile, end: number, records = 0): { table: FooterTable; totals: PackTotals } {
  const table = new FooterTable(Math.min(records, Math.floor(end / recordHeaderBytesMin)))
  const totals = emptyTotals()
  for (const found of scanRecords(file, packHeaderBytes, end)) {
    if (found.type === 'gap') continue
    const { header, offset, recordBytes } = found
    table.add(header.id, { offset, recordBytes, kind: header.kind, codec: header.codec, depth: header.depth })
    countRecord(totals, header.kind, header.plainBytes, recordBytes)
  }
  return { table, totals }
}
