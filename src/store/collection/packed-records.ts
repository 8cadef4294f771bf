/** The records of a pack without their payloads: from the footer, or one by one where there is none. */
import { Buffer } from 'node:buffer'
import type { EnvFile } from '../../env/env.ts'
import type { PackFooter, RecordPlace } from '../../format/pack-footer.ts'
import { packHeaderBytes } from '../../format/pack-header.ts'
import { inOrderOfIds } from '../id-order.ts'
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
    const gapBytes = gapBytesBeside(file, footer)
    return { count: footer.count, gapBytes, id: (index) => footer.id(index), place: (index) => footer.place(index) }
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

/** Numbers of the records, in the order in which to ask the index for all of them. */
export function byId({ count, id }: PackedRecords): Float64Array {
  return inOrderOfIds(count, (index) => id(index).readUInt32BE(0))
}

/**
 * Bytes that the footer tells nothing of and that are no void. A footer lists what could be read when the pack was
 * closed: a record that was spoilt by then is not in it, and may be needed, and mended, all the same.
 */
function gapBytesBeside(file: EnvFile, footer: PackFooter): number {
  const { data, node } = footer.totals
  if (packHeaderBytes + data.storedBytes + node.storedBytes === footer.recordsEnd) return 0
  let gapBytes = 0
  let end = packHeaderBytes
  for (let index = 0; index < footer.count; index++) {
    const { offset, recordBytes } = footer.place(index)
    if (offset > end) gapBytes += unlistedBytes(file, end, offset)
    end = Math.max(end, offset + recordBytes)
  }
  return end < footer.recordsEnd ? gapBytes + unlistedBytes(file, end, footer.recordsEnd) : gapBytes
}

function unlistedBytes(file: EnvFile, start: number, end: number): number {
  let bytes = 0
  for (const found of scanRecords(file, start, end)) bytes += found.type === 'gap' ? found.gapBytes : found.recordBytes
  return bytes
}
