/**
 * A sorted run: where records lie in packs on a replica, made so that one of them is found with one or two reads
 * of a range. Little-endian:
 *
 *     0   magic          4   "HFIR"
 *     4   version        2   1
 *     6   reserved       2   0
 *     8   domain id     16
 *     24  key id         4   0 = not encrypted
 *     28  checksum       4   CRC-32 of all before
 *     32  blocks             of 256 entries each, the last of 1 to 256; behind each block its CRC-32
 *             0   id            32   entries by (id, depth), none twice
 *             32  pack           4   which of the packs below
 *             36  place          8   as in a pack's footer
 *         packs              16 each: ids, in no order, none twice
 *         firsts              8 each: the first 8 bytes of each block's first id, big-endian as they stand
 *     -28 entries        4   count
 *     -24 packs          4   count
 *     -20 blocks         4   count
 *     -16 checksum       4   CRC-32 of packs and firsts
 *     -12 checksum       4   CRC-32 of bytes -28 to -13
 *     -8  magic          8   "HFIRLAST"
 */
import { Buffer } from 'node:buffer'
import { crc32 } from 'node:zlib'
import { HoldfastError, assert } from '../errors.ts'
import { digestBytes, identityBytes, indexRunEntriesMax } from '../limits.ts'
import { ByteReader, ByteWriter } from './bytes.ts'
import { placeBytes, type RecordPlace, readPlace, writePlace } from './pack-footer.ts'

export const indexRunTrailerBytes = 28
const runMagic = Buffer.from('HFIR', 'latin1')
const lastMagic = Buffer.from('HFIRLAST', 'latin1')
const runVersion = 1
const headBytes = 32
const entriesPerBlock = 256
export const runEntryBytes = digestBytes + 4 + placeBytes
const checksumBytes = 4
const fullBlockBytes = entriesPerBlock * runEntryBytes + checksumBytes
const firstBytes = 8

export interface RunEntry {
  readonly id: Buffer
  readonly packId: Buffer
  readonly place: RecordPlace
}

export interface RunIdentity {
  readonly domainId: Buffer
  readonly keyId: number
}

/** By (id, depth, pack): the order of a run. A record may lie in several packs, of which some may go. */
export function compareEntries(left: RunEntry, right: RunEntry): number {
  return Buffer.compare(left.id, right.id) || left.place.depth - right.place.depth ||
    Buffer.compare(left.packId, right.packId)
}

/** `entries` are sorted by `compareEntries`, none twice, at least one. */
export function encodeIndexRun({ domainId, keyId }: RunIdentity, entries: readonly RunEntry[]): Buffer {
  assert(entries.length > 0 && entries.length <= indexRunEntriesMax, 'a run has some entries')
  const packs = new Map<string, number>()
  for (const { packId } of entries) {
    const name = packId.toString('latin1')
    if (!packs.has(name)) packs.set(name, packs.size)
  }
  const blocks = Math.ceil(entries.length / entriesPerBlock)
  const bytes = headBytes + entries.length * runEntryBytes + blocks * (checksumBytes + firstBytes) +
    packs.size * identityBytes + indexRunTrailerBytes
  const writer = new ByteWriter(bytes, bytes)
  writer.bytes(runMagic).u16(runVersion).u16(0).bytes(domainId).u32(keyId)
  writer.u32(crc32(writer.view()))
  for (let at = 0; at < entries.length; at += entriesPerBlock) {
    const block = encodeBlock(entries.slice(at, at + entriesPerBlock), packs)
    writer.bytes(block).u32(crc32(block))
  }
  const tableAt = writer.length
  for (const name of packs.keys()) writer.bytes(Buffer.from(name, 'latin1'))
  for (let at = 0; at < entries.length; at += entriesPerBlock) writer.bytes(entries[at].id.subarray(0, firstBytes))
  const tableChecksum = crc32(writer.view().subarray(tableAt))
  const trailerAt = writer.length
  writer.u32(entries.length).u32(packs.size).u32(blocks).u32(tableChecksum)
  return writer.u32(crc32(writer.view().subarray(trailerAt))).bytes(lastMagic).view()
}

function encodeBlock(entries: readonly RunEntry[], packs: ReadonlyMap<string, number>): Buffer {
  const block = Buffer.alloc(entries.length * runEntryBytes)
  for (const [index, { id, packId, place }] of entries.entries()) {
    const at = index * runEntryBytes
    block.set(id, at)
    block.writeUInt32LE(packs.get(packId.toString('latin1')) ?? 0, at + digestBytes)
    writePlace(block, at + digestBytes + 4, place)
  }
  return block
}

/** Where the parts of a run lie, from its last bytes. */
export interface RunShape {
  readonly entries: number
  readonly packs: number
  readonly blocks: number
  /** Offset in the object of packs and firsts; they end where the trailer begins. */
  readonly tableAt: number
  readonly tableChecksum: number
}

/** `trailer`: the last 28 bytes of an object of `objectBytes`. Errors: BAD_FORMAT, DAMAGED. */
export function decodeRunTrailer(trailer: Buffer, objectBytes: number): RunShape {
  const reader = new ByteReader(trailer, 'trailer of an index run')
  if (trailer.length !== indexRunTrailerBytes || !trailer.subarray(-lastMagic.length).equals(lastMagic)) {
    throw new HoldfastError('BAD_FORMAT', 'this object does not end as an index run does')
  }
  const [entries, packs, blocks, tableChecksum] = [reader.u32(), reader.u32(), reader.u32(), reader.u32()]
  if (crc32(trailer.subarray(0, reader.offset)) !== reader.u32()) throw reader.damaged('fails its checksum')
  const tableAt = headBytes + entries * runEntryBytes + blocks * checksumBytes
  const isWhole = entries > 0 && entries <= indexRunEntriesMax && blocks === Math.ceil(entries / entriesPerBlock) &&
    packs > 0 && packs <= entries &&
    tableAt + packs * identityBytes + blocks * firstBytes + indexRunTrailerBytes === objectBytes
  if (!isWhole) throw reader.damaged('does not fit the object')
  return { entries, packs, blocks, tableAt, tableChecksum }
}

/** A run's packs and first ids: what tells which block can hold an id. */
export class RunTable {
  readonly shape: RunShape
  readonly #packs: Buffer
  readonly #firsts: Buffer

  /** `bytes`: from `shape.tableAt` to the trailer. Errors: DAMAGED. */
  constructor(shape: RunShape, bytes: Buffer) {
    const packsBytes = shape.packs * identityBytes
    if (bytes.length !== packsBytes + shape.blocks * firstBytes || crc32(bytes) !== shape.tableChecksum) {
      throw new HoldfastError('DAMAGED', 'the table of an index run fails its checksum')
    }
    this.shape = shape
    this.#packs = bytes.subarray(0, packsBytes)
    this.#firsts = bytes.subarray(packsBytes)
  }

  /** Ids, in hex. */
  packs(): string[] {
    const at = (pack: number): number => pack * identityBytes
    return Array.from({ length: this.shape.packs }, (_, pack) => this.#packs.toString('hex', at(pack), at(pack + 1)))
  }

  /** The blocks that can hold records of an id: mostly one, two where the next begins alike. */
  blocksFor(id: Buffer): number[] {
    const key = id.subarray(0, firstBytes)
    let [low, high] = [0, this.shape.blocks]
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#compareFirst(middle, key) < 0) low = middle + 1
      else high = middle
    }
    const found = low > 0 ? [low - 1] : []
    for (let block = low; block < this.shape.blocks && this.#compareFirst(block, key) === 0; block++) found.push(block)
    return found
  }

  /** Where a block lies in the object, its checksum included. */
  blockRange(block: number): { offset: number; bytes: number } {
    const entries = Math.min(entriesPerBlock, this.shape.entries - block * entriesPerBlock)
    return { offset: headBytes + block * fullBlockBytes, bytes: entries * runEntryBytes + checksumBytes }
  }

  /** All entries of a block's bytes. Errors: DAMAGED. */
  *entriesOf(block: Buffer): Generator<RunEntry> {
    const end = block.length - checksumBytes
    if (end < 0 || end % runEntryBytes !== 0 || crc32(block.subarray(0, end)) !== block.readUInt32LE(end)) {
      throw new HoldfastError('DAMAGED', 'a block of an index run fails its checksum')
    }
    for (let at = 0; at < end; at += runEntryBytes) yield this.#entryAt(block, at)
  }

  #entryAt(block: Buffer, at: number): RunEntry {
    const pack = block.readUInt32LE(at + digestBytes)
    if (pack >= this.shape.packs) throw new HoldfastError('DAMAGED', 'an index run names a pack that it does not have')
    return {
      id: Buffer.from(block.subarray(at, at + digestBytes)),
      packId: Buffer.from(this.#packs.subarray(pack * identityBytes, (pack + 1) * identityBytes)),
      place: readPlace(block, at + digestBytes + 4),
    }
  }

  #compareFirst(block: number, key: Buffer): number {
    return this.#firsts.compare(key, 0, firstBytes, block * firstBytes, (block + 1) * firstBytes)
  }
}

/** Checks a run's first 32 bytes. Errors: BAD_FORMAT, NEWER_VERSION, DAMAGED. */
export function decodeRunHead(head: Buffer): RunIdentity {
  const reader = new ByteReader(head, 'index run')
  if (head.length < headBytes || !reader.bytes(runMagic.length).equals(runMagic)) {
    throw new HoldfastError('BAD_FORMAT', 'this object is no index run')
  }
  if (reader.u16() > runVersion) {
    throw new HoldfastError('NEWER_VERSION', 'an index run was written by a newer Holdfast: use that one')
  }
  const reserved = reader.u16()
  const [domainId, keyId] = [Buffer.from(reader.bytes(identityBytes)), reader.u32()]
  if (crc32(head.subarray(0, reader.offset)) !== reader.u32() || reserved !== 0) {
    throw reader.damaged('fails its checksum')
  }
  return { domainId, keyId }
}

/** Every entry of a run that is in memory whole, in its order. Errors: BAD_FORMAT, NEWER_VERSION, DAMAGED. */
export function* entriesOfRun(bytes: Buffer): Generator<RunEntry> {
  decodeRunHead(bytes)
  const trailerAt = Math.max(0, bytes.length - indexRunTrailerBytes)
  const shape = decodeRunTrailer(bytes.subarray(trailerAt), bytes.length)
  const table = new RunTable(shape, bytes.subarray(shape.tableAt, trailerAt))
  for (let block = 0; block < shape.blocks; block++) {
    const { offset, bytes: length } = table.blockRange(block)
    yield* table.entriesOf(bytes.subarray(offset, offset + length))
  }
}
