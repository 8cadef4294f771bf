/**
 * Writes `pack-v1.bin`: a closed pack with fixed ids, and every kind of record. Run once for a format version,
 * `node test/golden/make-pack.ts FILE`; the file is committed and never made again.
 */
import { Buffer } from 'node:buffer'
import fs from 'node:fs'
import { compressDelta, compressWhole } from '../../src/chunk/codec.ts'
import { digest } from '../../src/chunk/digest.ts'
import { FooterTable } from '../../src/format/pack-footer.ts'
import { encodePackHeader } from '../../src/format/pack-header.ts'
import {
  type RecordContent, codecDelta, codecLz4, codecRaw, encodeVoidHeader, kindNode, recordBytesMax, writeRecord,
} from '../../src/format/pack-record.ts'
import { countRecord, emptyTotals } from '../../src/format/pack-totals.ts'
import { goldenHeader, goldenPlains } from './pack-v1.ts'

const parts = [encodePackHeader(goldenHeader)]
const table = new FooterTable()
const totals = emptyTotals()
const [raw, text, changed] = goldenPlains
const alone = { kind: kindNode, depth: 0, paidBytes: 0, baseDepth: 0, baseId: undefined }

append({ ...alone, codec: codecRaw, id: digest(raw), plainBytes: raw.length }, raw)
append({ ...alone, codec: codecLz4, id: digest(text), plainBytes: text.length }, present(compressWhole(text)))
parts.push(encodeVoidHeader(100), Buffer.alloc(76, 0xee))
const delta = { ...alone, codec: codecDelta, depth: 1, baseId: digest(text), paidBytes: 77 }
append({ ...delta, id: digest(changed), plainBytes: changed.length }, present(compressDelta(changed, text)))
parts.push(table.encode(totals))
fs.writeFileSync(process.argv[2], Buffer.concat(parts))

function append(content: RecordContent, payload: Buffer): void {
  const target = Buffer.alloc(recordBytesMax)
  const recordBytes = writeRecord(target, 0, content, payload)
  const offset = parts.reduce((sum, part) => sum + part.length, 0)
  table.add(content.id, { offset, recordBytes, kind: content.kind, codec: content.codec, depth: content.depth })
  countRecord(totals, content.kind, content.plainBytes, recordBytes)
  parts.push(target.subarray(0, recordBytes))
}

function present(payload: Buffer | undefined): Buffer {
  if (payload === undefined) throw new Error('the golden texts compress')
  return payload
}
