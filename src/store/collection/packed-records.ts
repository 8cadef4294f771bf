/** The records of a pack without their payloads: from the footer, or one by one where there is none. */
import { Buffer } from 'node:buffer'
import type { EnvFile } from '../../env/env.ts'
import type { RecordPlace } from '../../format/pack-footer.ts'
import { packHeaderBytes } from '../../format/pack-header.ts'
import { readFooter, scanRecords } from '../pack-scan.ts'
import type { ReusedBuffer } from '../reused-buffer.ts'

export interface PackedRecords {
  readonly count: number
  /** Bytes between records that are none. */
  readonly gapBytes: number
  /** A view that is valid until the next call. */
  id(index: number): Buffer
  place(index: number): RecordPlace
}

/** In the order of the file; valid until something else takes `room`. `end`: where to stop in a pack that grows. */
export function packedRecords(file: EnvFile, room: ReusedBuffer, end = file.size()): PackedRecords {
  const footer = readFooter(file, room)
  if (footer !== undefined) {
    return { count: footer.count, gapBytes: 0, id: (index) => footer.id(index), place: (index) => footer.place(index) }
  }
  const ids: Buffer[] = []
  const places: RecordPlace[] = []
  let gapBytes = 0
  for (const found of scanRecords(file, packHeaderBytes, end)) {
    if (found.type === 'gap') {
      gapBytes += found.gapBytes
      continue
    }
    const { header: { id, kind, codec, depth }, offset, recordBytes } = found
    ids.push(Buffer.from(id))
    places.push({ offset, recordBytes, kind, codec, depth })
  }
  return { count: ids.length, gapBytes, id: (index) => ids[index], place: (index) => places[index] }
}
