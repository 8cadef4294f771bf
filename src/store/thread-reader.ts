/**
 * A reader for a thread that is not the writer's. What is not in the store it asks of a source, waiting, or tells its
 * caller to ask for (`AbsentChunk`) where that must not wait. Without a source what is absent is NOT_FOUND.
 */
import { Buffer } from 'node:buffer'
import type { DomainKeys } from '../crypto/domain-keys.ts'
import { assert, isCode } from '../errors.ts'
import type { RunEntry } from '../format/index-run.ts'
import type { RecordHeader } from '../format/pack-record.ts'
import { deltaDepthMax, overlayBytes } from '../limits.ts'
import type { ChunkId, ChunkReader } from './chunks.ts'
import type { PackFiles } from './pack-files.ts'
import type { PackIndex } from './pack-index.ts'
import { RecordOverlay } from './record-overlay.ts'
import { RecordReader } from './record-reader.ts'
import { AbsentChunk, type RecordSource, fetchEach } from './record-source.ts'

/**
 * An entry may be missing for some milliseconds: a collector takes the old one of a record that was put again away,
 * and sees then that the new one has come. So long is waited before it is looked for once more.
 */
const lookAgainMs = [1, 10, 100]

/** wait: read blocks until the source has answered. tell: read throws AbsentChunk at once. */
export type AbsentPolicy = 'wait' | 'tell'

export class ThreadReader implements ChunkReader, AsyncDisposable {
  readonly #files: PackFiles
  readonly #index: PackIndex
  readonly #overlay: RecordOverlay
  readonly #reader: RecordReader
  /** Of the packs alone. */
  readonly #stored: RecordReader
  /** Where chunks may be had that are not here. */
  source: RecordSource | undefined
  absentPolicy: AbsentPolicy = 'wait'

  /** Takes both over. Use `openChunkReader`. */
  constructor(files: PackFiles, index: PackIndex, source?: RecordSource) {
    this.#files = files
    this.#index = index
    this.#overlay = new RecordOverlay(index, files, overlayBytes)
    this.#reader = new RecordReader(this.#overlay, this.#overlay)
    this.#stored = new RecordReader(index, files, 0, 0)
    this.source = source
  }

  /** Null where nothing is encrypted. */
  get keys(): DomainKeys | null {
    return this.#files.keys
  }

  /** Errors: as ChunkReader, ABSENT, and those of the source. */
  read(id: ChunkId): Buffer {
    try {
      return this.#reader.read(id)
    } catch (error) {
      if (!isCode(error, 'NOT_FOUND', 'DAMAGED')) throw error
      if (this.source === undefined) return this.#readAgain(id, error)
      if (this.absentPolicy === 'tell') throw new AbsentChunk(id, error)
      return this.#fetched(this.source, id)
    }
  }

  has(id: ChunkId): boolean {
    return this.#reader.has(id)
  }

  /** Whether a pack has a record that one of a greater depth can build on: what is only in memory does not count. */
  holds(id: ChunkId, depthMax: number): boolean {
    return this.#stored.header(id, depthMax) !== undefined
  }

  /** Has those fetched that are not here, with few large reads. Errors: those of the source. */
  fetchAbsent(ids: readonly ChunkId[]): void {
    const absent = ids.filter((id) => !this.has(id))
    if (this.source !== undefined) fetchEach(this.source, absent, (records) => this.admit(records))
  }

  /**
   * Where the store's own packs have the record that a read would use, and those that it builds on, bases first; empty
   * where one of them is not in an own pack.
   */
  places(id: ChunkId): RunEntry[] {
    const header = this.#reader.header(id, deltaDepthMax)
    if (header === undefined) return []
    const records = [...this.#reader.bases(header).reverse(), header]
    const entries = records.flatMap((record) => this.#place(record))
    return entries.length === records.length ? entries : []
  }

  /**
   * The record of a chunk that was admitted and is still in memory, proved, after those that it builds on and no pack
   * has; undefined where it is not so.
   */
  admitted(id: ChunkId): Buffer[] | undefined {
    if (!this.#overlay.has(id)) return undefined
    const header = this.#reader.header(id, deltaDepthMax)
    const own = header && this.#overlay.record(id, header.depth)
    if (header === undefined || own === undefined || !this.#isSound(id)) return undefined
    const bases = this.#reader.bases(header).reverse()
    return [...bases.flatMap((base) => this.#overlay.record(base.id, base.depth) ?? []), own]
  }

  /** Keeps records that came from elsewhere, for the next reads. What is no sound record is left out. */
  admit(records: readonly Buffer[]): void {
    for (const record of records) {
      const id = this.#overlay.add(record)
      if (id !== undefined) this.#reader.forget(id)
    }
  }

  /** Idempotent. */
  async close(): Promise<void> {
    this.#files.close()
    await this.#index.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #place({ id, depth }: RecordHeader): RunEntry[] {
    const location = this.#overlay.locate(id, depth)
    const pack = location && this.#files.origin(location.packNumber)
    return location === undefined || pack === undefined || pack.isCopied
      ? [] : [{ id: Buffer.from(id), packId: pack.packId, place: location }]
  }

  #isSound(id: ChunkId): boolean {
    try {
      this.#reader.read(id)
      return true
    } catch (error) {
      if (!isCode(error, 'NOT_FOUND', 'DAMAGED')) throw error
      return false
    }
  }

  #fetched(source: RecordSource, id: ChunkId): Buffer {
    try {
      const records = source.fetch([id])
      assert(records.length > 0, 'a source gives records or throws')
      this.admit(records)
    } catch (error) {
      if (!isCode(error, 'NOT_FOUND')) throw error
      return this.#readAgain(id, error)
    }
    return this.#reader.read(id)
  }

  #readAgain(id: ChunkId, error: unknown): Buffer {
    if (!isCode(error, 'NOT_FOUND')) throw error
    const cell = new Int32Array(new SharedArrayBuffer(4))
    for (const ms of lookAgainMs) {
      Atomics.wait(cell, 0, 0, ms)
      if (this.#reader.has(id)) return this.#reader.read(id)
    }
    throw error
  }
}
