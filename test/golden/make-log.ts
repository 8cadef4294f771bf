/**
 * Writes `log-v1.bin`. Run once for a format version, `node test/golden/make-log.ts FILE`; the file is
 * committed and never made again.
 */
import { Buffer } from 'node:buffer'
import fs from 'node:fs'
import { encodeSegmentHeader, logRecordHeaderBytes, writeRecordHeader } from '../../src/format/log.ts'
import { goldenRecords, goldenSegment } from './log-v1.ts'

const records = goldenRecords.map(({ header, payload }) => {
  const bytes = Buffer.concat([Buffer.alloc(logRecordHeaderBytes), payload])
  writeRecordHeader(bytes, 0, header)
  return bytes
})
fs.writeFileSync(process.argv[2], Buffer.concat([encodeSegmentHeader(goldenSegment), ...records]))
