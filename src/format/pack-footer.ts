/**
 * A closed pack's table of its records, in their order in the file, so that nobody need scan it. Integers
 * are little-endian.
 *
 *     0   magic          8   "HOLDFOOT"
 *     8   record count   4
 *     12  totals        40   see pack-totals.ts
 *     52  entries           40 each:
 *             0   id            32
 *             32  offset         4   of the record in the pack
 *             36  form           1   depth | codec << 2 | kind << 4
 *             37  record bytes   3
 *         footer bytes   4   from the magic to the end of the file
 *         checksum       4   CRC-32 of all before, from the magic
 *         end magic      8   "HOLDLAST"
 */
import { Buffer } from 'node:buffer'
import { crc32 } from 'node:zlib'
import { assert } from '../errors.ts'
import { digestBytes, packBytesMax } from '../limits.ts'
import { ByteReader, ByteWriter } from './bytes.ts'
import { packHeaderBytes } from './pack-header.ts'
import { recordHeaderBytesMin } from './pack-record.ts'
import { type PackTotals, packTotalsBytes, readTotals, writeTotals } from './pack-totals.ts'

export const footerMagic = Buffer.from('HOLDFOOT', 'latin1')
const endMagic = Buffer.from('HOLDLAST', 'latin1')
const tableAt = footerMagic.length + 4 + packTotalsBytes
export const footerEntryBytes = digestBytes + 8
/** Footer bytes, checksum, end magic: the file's last bytes. */
export const footerTrailerBytes = 4 + 4 + endMagic.length

export interface RecordPlace {
  readonly offset: number
  readonly recordBytes: number
  readonly kind: number
  readonly codec: number
  readonly depth: number
}

/** 8 bytes: where a record lies in its pack, and its form. Also the second half of an index entry. */
export const placeBytes = 8

export function writePlace(target: Buffer, at: number, place: RecordPlace): void {
  target.writeUInt32LE(place.offset, at)
  target[at + 4] = place.depth | (place.codec << 2) | (place.kind << 4)
  target.writeUIntLE(place.recordBytes, at + 5, 3)
}

export function readPlace(bytes: Buffer, at: number): RecordPlace {
  const form = bytes[at + 4]
  return {
    offset: bytes.readUInt32LE(at),
    recordBytes: bytes.readUIntLE(at + 5, 3),
    kind: form >> 4,
    codec: (form >> 2) & 3,
    depth: form & 3,
  }
}

/** The footer's length for so many records. */
export function footerBytesFor(records: number): number {
  return tableAt + records * footerEntryBytes + footerTrailerBytes
}

/** A footer in the making, as a pack is scanned: of a pack of small records it takes tens of megabytes. */
export class FooterTable {
  #bytes: Buffer
  #count = 0

  /** `countExpected`: more entries are taken too. */
  constructor(countExpected = 0) {
    this.#bytes = Buffer.allocUnsafeSlow(footerBytesFor(countExpected))
  }

  add(id: Uint8Array, place: RecordPlace): void {
    const at = tableAt + this.#count * footerEntryBytes
    this.#count += 1
    if (footerBytesFor(this.#count) > this.#bytes.length) this.#grow()
    this.#bytes.set(id, at)
    writePlace(this.#bytes, at + digestBytes, place)
  }

  /** A view of what was gathered. */
  encode(totals: PackTotals): Buffer {
    const head = new ByteWriter(tableAt, tableAt).bytes(footerMagic).u32(this.#count)
    writeTotals(head, totals)
    head.view().copy(this.#bytes)
    const bytes = footerBytesFor(this.#count)
    assert(bytes < packBytesMax, 'a footer fits its pack')
    const checksumAt = this.#bytes.writeUInt32LE(bytes, bytes - footerTrailerBytes)
    const endAt = this.#bytes.writeUInt32LE(crc32(this.#bytes.subarray(0, checksumAt)), checksumAt)
    endMagic.copy(this.#bytes, endAt)
    return this.#bytes.subarray(0, bytes)
  }

  #grow(): void {
    const before = this.#bytes
    this.#bytes = Buffer.allocUnsafeSlow(footerBytesFor(2 * this.#count))
    before.copy(this.#bytes)
  }
}

/**
 * The footer's length as the file's last 16 bytes tell it, or undefined where they tell of none.
 * `fileBytes` bounds it.
 */
export function footerBytesFrom(trailer: Buffer, fileBytes: number): number | undefined {
  if (trailer.length !== footerTrailerBytes || !trailer.subarray(8).equals(endMagic)) return undefined
  const bytes = trailer.readUInt32LE(0)
  return bytes >= footerBytesFor(0) && bytes <= fileBytes - packHeaderBytes ? bytes : undefined
}

export interface PackFooter {
  readonly count: number
  readonly totals: PackTotals
  /** Where the records end and the footer begins. */
  readonly recordsEnd: number
  id(index: number): Buffer
  /** The id's first 4 bytes, as a number that sorts as they do. */
  prefix(index: number): number
  place(index: number): RecordPlace
}

/** `bytes` are the file's last. Errors: DAMAGED. */
export function decodeFooter(bytes: Buffer, fileBytes: number): PackFooter {
  const reader = new ByteReader(bytes, 'pack footer')
  if (bytes.length < footerBytesFor(0)) throw reader.damaged('is too short')
  const checksumAt = bytes.length - endMagic.length - 4
  if (!reader.bytes(footerMagic.length).equals(footerMagic)) throw reader.damaged('does not begin as one')
  const checksum = bytes.readUInt32LE(checksumAt)
  if (crc32(bytes.subarray(0, checksumAt)) !== checksum) throw reader.damaged('fails its checksum')
  const count = reader.count32(packBytesMax / recordHeaderBytesMin, footerEntryBytes)
  const totals = readTotals(reader)
  if (bytes.length !== footerBytesFor(count)) throw reader.damaged('has a length that does not fit its count')
  const table = reader.bytes(count * footerEntryBytes)
  const recordsEnd = fileBytes - bytes.length
  const footer: PackFooter = {
    count,
    totals,
    recordsEnd,
    id: (index) => table.subarray(index * footerEntryBytes, index * footerEntryBytes + digestBytes),
    prefix: (index) => table.readUInt32BE(index * footerEntryBytes),
    place: (index) => readPlace(table, index * footerEntryBytes + digestBytes),
  }
  for (let index = 0; index < count; index++) {
    const { offset, recordBytes } = footer.place(index)
    if (offset < packHeaderBytes || offset + recordBytes > recordsEnd) throw reader.damaged('points outside its pack')
  }
  return footer
}
