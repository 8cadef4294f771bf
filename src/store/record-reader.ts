/**
 * From an id to verified plain bytes: index, pack, decode, digest. One for each thread. Nothing here trusts
 * the index: a record counts only if its own header says what the index says, and bytes leave only if their
 * digest is the id.
 */
import { Buffer } from 'node:buffer'
import { applyDelta, decompressWhole } from '../chunk/codec.ts'
import { chunkIdOf } from '../chunk/digest.ts'
import type { DomainKeys } from '../crypto/domain-keys.ts'
import { payloadOf } from '../crypto/pack-seal.ts'
import { HoldfastError, isCode } from '../errors.ts'
import type { RecordLocation } from '../format/keys.ts'
import {
  type RecordContent, type RecordHeader, codecDelta, codecRaw, kindNode, readRecordHeader, recordBytesMax,
  recordBytesOf, recordHeaderBytesFor,
} from '../format/pack-record.ts'
import { chunkCacheBytes, damagedRecordsMax, deltaDepthMax, nodeCacheBytes } from '../limits.ts'
import { ByteCache } from './byte-cache.ts'
import type { ChunkId, ChunkReader } from './chunks.ts'
import type { PackSource } from './pack-files.ts'
import type { RecordLookup } from './pack-index.ts'
import { recordName } from './pending-records.ts'

export class RecordReader implements ChunkReader {
  readonly #lookup: RecordLookup
  readonly #packs: PackSource
  readonly #chunks: ByteCache
  readonly #nodes: ByteCache
  readonly #damaged = new Set<string>()
  readonly #scratch = Buffer.allocUnsafeSlow(recordBytesMax)

  constructor(lookup: RecordLookup, packs: PackSource, chunkBytesMax = chunkCacheBytes, nodeBytesMax = nodeCacheBytes) {
    this.#lookup = lookup
    this.#packs = packs
    this.#chunks = new ByteCache(chunkBytesMax)
    this.#nodes = new ByteCache(nodeBytesMax)
  }

  /** Of the domain; null where nothing is encrypted. */
  get keys(): DomainKeys | null {
    return this.#packs.keys
  }

  read(id: ChunkId): Buffer {
    return this.#cached(id) ?? this.#readAtMost(id, deltaDepthMax)
  }

  has(id: ChunkId): boolean {
    return this.header(id, deltaDepthMax) !== undefined
  }

  /**
   * The header, as a copy, of the shallowest record of at most that depth that is there and not known to be
   * bad, with all the bases it needs: what the headers tell, without decoding anything.
   */
  header(id: ChunkId, depthMax: number): RecordHeader | undefined {
    for (let depth = 0; depth <= depthMax; depth++) {
      const location = this.#lookup.locate(id, depth)
      if (location === undefined || this.#damaged.has(recordName(id, depth))) continue
      const header = this.#headerAt(id, location)
      if (header === undefined) continue
      if (header.baseId === undefined || this.header(header.baseId, header.baseDepth) !== undefined) return header
    }
    return undefined
  }

  /**
   * Whether there is no record of at most that depth, or none but those that end in a base of which there is none:
   * what a collector leaves of garbage in packs that stay.
   */
  isAbandoned(id: ChunkId, depthMax: number): boolean {
    for (let depth = 0; depth <= depthMax; depth++) {
      const location = this.#lookup.locate(id, depth)
      if (location === undefined) continue
      const header = this.#headerAt(id, location)
      if (header?.baseId === undefined || !this.isAbandoned(header.baseId, header.baseDepth)) return false
    }
    return true
  }

  /** Whether a record of at most that depth decodes to the chunk, as the packs are now. */
  canRead(id: ChunkId, depthMax: number): boolean {
    try {
      this.#readAtMost(id, depthMax)
      return true
    } catch (error) {
      if (!isCode(error, 'DAMAGED', 'NOT_FOUND', 'IO')) throw error
      return false
    }
  }

  /** The bases of a record, nearest first. */
  bases(header: RecordHeader): RecordHeader[] {
    const found: RecordHeader[] = []
    for (let at = header; at.baseId !== undefined; ) {
      const base = this.header(at.baseId, at.baseDepth)
      if (base === undefined) break
      found.push(base)
      at = base
    }
    return found
  }

  /** A copy of the record at that place, decoded once and found right. Errors: DAMAGED, NOT_FOUND (its base). */
  copyAt(id: ChunkId, location: RecordLocation): { content: RecordContent; payload: Buffer } {
    this.#load(id, location)
    const bytes = Buffer.from(this.#scratch.subarray(0, location.recordBytes))
    const content = readRecordHeader(bytes, 0)
    if (content === undefined) throw new HoldfastError('DAMAGED', 'a record changed while it was read')
    const payload = payloadOf(this.#packs.sealOf(location.packNumber), bytes, content, location.offset)
    this.decode(content, payload)
    return { content, payload }
  }

  /**
   * Decodes exactly the record at that place, past all caches for the record itself. Errors: DAMAGED with the
   * reason.
   */
  decodeAt(id: ChunkId, location: RecordLocation): Buffer {
    const header = this.#load(id, location)
    return this.decodeRecord(location.packNumber, this.#scratch, header, location.offset)
  }

  /** The plain bytes of the record that `bytes` begin with, as it lies at `offset` of a pack. Errors: as decodeAt. */
  decodeRecord(packNumber: number, bytes: Buffer, header: RecordHeader, offset: number): Buffer {
    return this.decode(header, payloadOf(this.#packs.sealOf(packNumber), bytes, header, offset))
  }

  /** The plain bytes of a record, digest verified, in a fresh buffer. The payload may be overwritten meanwhile. */
  decode(header: RecordContent, payload: Buffer): Buffer {
    const id = Buffer.from(header.id)
    const plain = this.#decodePayload(header, payload)
    if (chunkIdOf(this.#packs.keys, plain).equals(id)) return plain
    throw new HoldfastError('DAMAGED', `chunk ${id.toString('hex')} fails its digest`)
  }

  /**
   * Decodes a record that is about to be written and keeps the plain bytes. False where they are not what
   * the id says: it must not be written.
   */
  admit(content: RecordContent, payload: Uint8Array): boolean {
    const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
    try {
      this.#remember(content.id, content.kind, this.decode(content, bytes))
      return true
    } catch (error) {
      if (!isCode(error, 'DAMAGED')) throw error
      return false
    }
  }

  /** A record that cannot be decoded: it counts as absent from now on. */
  condemn(id: ChunkId, depth: number): void {
    const key = cacheKey(id)
    this.#chunks.delete(key)
    this.#nodes.delete(key)
    if (this.#damaged.size >= damagedRecordsMax) this.#damaged.clear()
    this.#damaged.add(recordName(id, depth))
  }

  /** Forgets a chunk's decoded bytes and what is known against its records. */
  forget(id: ChunkId): void {
    const key = cacheKey(id)
    this.#chunks.delete(key)
    this.#nodes.delete(key)
    for (let depth = 0; depth <= deltaDepthMax; depth++) this.#damaged.delete(recordName(id, depth))
  }

  #cached(id: ChunkId): Buffer | undefined {
    const key = cacheKey(id)
    return this.#chunks.get(key) ?? this.#nodes.get(key)
  }

  /** Shallow records first: they are the cheapest to decode. */
  #readAtMost(id: ChunkId, depthMax: number): Buffer {
    let failure: unknown
    for (let depth = 0; depth <= depthMax; depth++) {
      let location = this.#lookup.locate(id, depth)
      while (location !== undefined) {
        try {
          return this.#remember(id, location.kind, this.decodeAt(id, location))
        } catch (error) {
          if (!isCode(error, 'DAMAGED', 'NOT_FOUND', 'IO')) throw error
          failure = error
        }
        location = this.#movedFrom(id, location)
      }
    }
    throw unreadable(id, failure)
  }

  /** Where the record is now, if the collector moved it while it was read; else it is bad. */
  #movedFrom(id: ChunkId, from: RecordLocation): RecordLocation | undefined {
    const now = this.#lookup.locate(id, from.depth)
    if (now === undefined) return undefined
    if (now.packNumber !== from.packNumber || now.offset !== from.offset) return now
    this.condemn(id, from.depth)
    return undefined
  }

  #decodePayload(header: RecordContent, payload: Buffer): Buffer {
    if (header.codec === codecRaw) return freshCopy(payload)
    const { baseId, baseDepth, codec } = header
    const decoded = decompressWhole(payload, header.plainBytes)
    if (codec !== codecDelta || baseId === undefined) return decoded
    const base = Buffer.from(baseId)
    return applyDelta(decoded, this.#cached(base) ?? this.#readAtMost(base, baseDepth))
  }

  /** Reads the whole record into the scratch buffer; the header's views lie in it. */
  #load(id: ChunkId, location: RecordLocation): RecordHeader {
    const bytes = this.#scratch.subarray(0, Math.min(location.recordBytes, recordBytesMax))
    const count = this.#packs.read(location.packNumber, bytes, location.offset)
    const header = count === bytes.length ? readRecordHeader(bytes, 0) : undefined
    if (header !== undefined && isRecordOf(id, location, header)) return header
    const where = `at ${location.offset} of pack ${location.packNumber}`
    throw new HoldfastError('DAMAGED', `${where} is no record of chunk ${id.toString('hex')}`)
  }

  #headerAt(id: ChunkId, location: RecordLocation): RecordHeader | undefined {
    const bytes = Buffer.allocUnsafe(recordHeaderBytesFor(location.codec))
    if (this.#packs.read(location.packNumber, bytes, location.offset) < bytes.length) return undefined
    const header = readRecordHeader(bytes, 0)
    if (header === undefined || !isRecordOf(id, location, header)) return undefined
    return this.#packs.reaches(location.packNumber, location.offset + location.recordBytes) ? header : undefined
  }

  #remember(id: ChunkId, kind: number, plain: Buffer): Buffer {
    const cache = kind === kindNode ? this.#nodes : this.#chunks
    cache.set(cacheKey(id), plain)
    return plain
  }
}

function isRecordOf(id: ChunkId, location: RecordLocation, header: RecordHeader): boolean {
  return header.depth === location.depth && header.codec === location.codec && header.kind === location.kind &&
    recordBytesOf(header) === location.recordBytes && header.id.equals(id)
}

function freshCopy(bytes: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length)
  bytes.copy(copy)
  return copy
}

function unreadable(id: ChunkId, failure: unknown): HoldfastError {
  const name = id.toString('hex')
  const info = { id: name }
  if (failure === undefined) return new HoldfastError('NOT_FOUND', `chunk ${name} is not in the store`, { info })
  return new HoldfastError('DAMAGED', `chunk ${name} cannot be read: run check --repair`, { cause: failure, info })
}

function cacheKey(id: ChunkId): string {
  return id.toString('latin1')
}
