/**
 * The index: a LevelDB database that says where records lie. It is a cache and never the truth. Writes are
 * not synced; `settle` makes all earlier ones durable. One writer; worker threads of the same process open
 * the same database and read.
 */
import type { Buffer } from 'node:buffer'
import { Level } from 'level'
import { HoldfastError, isCode, messageOf, wrapIo } from '../errors.ts'
import {
  type PackEntry, type RecordLocation, decodeLocation, decodePackEntry, encodeLocation, encodePackEntry, identityKey,
  identityValue, packKey, packKeyRange, packNumberOf,
  packNumberOfLocation, recordKey, recordKeyId, recordKeyRange,
} from '../format/keys.ts'
import {
  MIB, indexCacheBytes, indexOtherFilesOpen, indexTablesMappedMax, indexWriteBufferBytes,
} from '../limits.ts'

/** Where the record of an id at a depth lies, as far as this thread knows. */
export interface RecordLookup {
  locate(id: Buffer, depth: number): RecordLocation | undefined
}

export type IndexOperation = { type: 'put'; key: Buffer; value: Buffer } | { type: 'del'; key: Buffer }

export interface IndexedRecord {
  readonly id: Buffer
  readonly location: RecordLocation
}

const entriesAtOnce = 8192

/** The failures of the operating system that LevelDB passes on, without codes, and that say nothing of its files. */
const lackOfSpace = /No space left|quota exceeded/
const lackOfSomethingElse = /Too many open files|Cannot allocate memory|Read-only file system|Permission denied/

export class PackIndex implements RecordLookup, AsyncDisposable {
  readonly #level: Level<Buffer, Buffer>
  readonly #onDamage: () => void

  private constructor(level: Level<Buffer, Buffer>, onDamage: () => void) {
    this.#level = level
    this.#onDamage = onDamage
  }

  /**
   * `onDamage`: it turned out to be damaged while it was in use. Every call but `close` says so with DAMAGED: writes,
   * too, as LevelDB reads when it merges files. Errors: LOCKED (another process has it), DAMAGED (rebuild it),
   * NO_SPACE, IO.
   */
  static async open(path: string, onDamage: () => void): Promise<PackIndex> {
    const level = new Level<Buffer, Buffer>(path, {
      keyEncoding: 'buffer',
      valueEncoding: 'buffer',
      multithreading: true,
      cacheSize: indexCacheBytes,
      writeBufferSize: indexWriteBufferBytes,
      maxOpenFiles: indexTablesMappedMax + indexOtherFilesOpen,
    })
    try {
      await level.open()
    } catch (error) {
      throw openFailure(error, path)
    }
    return new PackIndex(level, onDamage)
  }

  /** Whether this is the index of that store in this version. */
  belongsTo(storeId: Buffer): boolean {
    return this.#get(identityKey)?.equals(identityValue(storeId)) ?? false
  }

  async claim(storeId: Buffer): Promise<void> {
    try {
      await this.#level.put(identityKey, identityValue(storeId), { sync: true })
    } catch (error) {
      throw this.#failure(error, 'writing the index')
    }
  }

  locate(id: Buffer, depth: number): RecordLocation | undefined {
    const value = this.#get(recordKey(id, depth))
    const location = value === undefined ? undefined : decodeLocation(value)
    // Depths that fall along a chain are what keeps it free of cycles: an entry that lies about its depth is none.
    return location?.depth === depth ? location : undefined
  }

  /** Atomic, not synced. Errors: NO_SPACE, DAMAGED, IO. */
  async write(operations: IndexOperation[]): Promise<void> {
    try {
      await this.#level.batch(operations)
    } catch (error) {
      throw this.#failure(error, 'writing the index')
    }
  }

  /** Whether a batch with that last operation is applied. For a caller that cannot wait for a promise. */
  isApplied(key: Buffer, value: Buffer): boolean {
    return this.#get(key)?.equals(value) ?? false
  }

  /**
   * Makes everything written before the call durable, then `entries`. A synced write alone would not do:
   * LevelDB may just have begun a new log file, and syncs only that. Compacting any range first writes the
   * memory table out to a synced file.
   */
  async settle(entries: ReadonlyMap<number, PackEntry>): Promise<void> {
    const level = this.#level
    if (!canCompact(level)) throw new HoldfastError('UNSUPPORTED', 'the index needs LevelDB below it')
    const operations = [...entries].map(([number, entry]): IndexOperation => {
      return { type: 'put', key: packKey(number), value: encodePackEntry(entry) }
    })
    // A batch of nothing would not reach LevelDB, and only a write tells whether the compaction failed. No pack has 0.
    operations.push(deletePack(0))
    try {
      await level.compactRange(identityKey, identityKey)
      await this.#level.batch(operations, { sync: true })
    } catch (error) {
      throw this.#failure(error, 'writing the index')
    }
  }

  async packEntries(): Promise<Map<number, PackEntry>> {
    const entries = new Map<number, PackEntry>()
    for await (const [key, value] of this.#entries(packKeyRange)) entries.set(packNumberOf(key), decodePackEntry(value))
    return entries
  }

  /** Keys of the records that lie in these packs, as of the call, in lists of some; others are not even decoded. */
  async *keysWithin(packNumbers: ReadonlySet<number>): AsyncGenerator<Buffer[]> {
    await using iterator = this.#level.iterator({
      gte: recordKeyRange[0], lt: recordKeyRange[1], highWaterMarkBytes: MIB,
    })
    for (;;) {
      const entries = await this.#read(() => iterator.nextv(entriesAtOnce))
      if (entries.length === 0) return
      yield entries.filter(([, value]) => packNumbers.has(packNumberOfLocation(value))).map(([key]) => key)
    }
  }

  /** Every record in the order of ids, as of the call. Errors: DAMAGED. */
  async *records(): AsyncGenerator<IndexedRecord> {
    for await (const [key, value] of this.#entries(recordKeyRange)) {
      const location = decodeLocation(value)
      if (location !== undefined) yield { id: recordKeyId(key), location }
    }
  }

  /** Idempotent. */
  async close(): Promise<void> {
    await this.#level.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async *#entries([gte, lt]: readonly [Buffer, Buffer]): AsyncGenerator<[Buffer, Buffer]> {
    await using iterator = this.#level.iterator({ gte, lt })
    const next = (): Promise<[Buffer, Buffer] | undefined> => this.#read(() => iterator.next())
    for (let entry = await next(); entry !== undefined; entry = await next()) yield entry
  }

  #get(key: Buffer): Buffer | undefined {
    try {
      return this.#level.getSync(key)
    } catch (error) {
      throw this.#failure(error, 'reading the index')
    }
  }

  async #read<T>(call: () => Promise<T>): Promise<T> {
    try {
      return await call()
    } catch (error) {
      throw this.#failure(error, 'reading the index')
    }
  }

  /** What LevelDB says of an index that opened. */
  #failure(error: unknown, doing: string): HoldfastError {
    if (!isDamage(error)) return wrapIo(withCode(error), doing)
    this.#onDamage()
    return damaged(error)
  }
}

/** A call of classic-level that the types of `level`, which runs in browsers too, leave out. */
interface Compacting {
  compactRange(start: Buffer, end: Buffer): Promise<void>
}

function canCompact(level: object): level is Compacting {
  return 'compactRange' in level && typeof level.compactRange === 'function'
}

export function putRecord(id: Buffer, location: RecordLocation): IndexOperation {
  return { type: 'put', key: recordKey(id, location.depth), value: encodeLocation(location) }
}

export function deleteRecord(id: Buffer, depth: number): IndexOperation {
  return { type: 'del', key: recordKey(id, depth) }
}

export function deletePack(packNumber: number): IndexOperation {
  return { type: 'del', key: packKey(packNumber) }
}

function openFailure(error: unknown, path: string): HoldfastError {
  const cause = error instanceof Error ? error.cause : undefined
  if (isCode(cause, 'LEVEL_LOCKED')) {
    return new HoldfastError('LOCKED', `${path} is in use by another process`, { cause: error })
  }
  if (isDamage(cause)) return damaged(error)
  return wrapIo(withCode(cause ?? error), 'opening the index')
}

/** LevelDB tells of a full disk in words only. */
function withCode(error: unknown): unknown {
  const message = messageOf(error)
  if (!lackOfSpace.test(message)) return error
  return Object.assign(new Error(message, { cause: error }), { code: 'ENOSPC' })
}

/** A spoilt file is met in many ways: a place in it that is none, a name that nothing has, a sector gone bad. */
function isDamage(error: unknown): boolean {
  if (isCode(error, 'LEVEL_CORRUPTION')) return true
  const message = messageOf(error)
  return message.startsWith('IO error') && !lackOfSpace.test(message) && !lackOfSomethingElse.test(message)
}

function damaged(cause: unknown): HoldfastError {
  return new HoldfastError('DAMAGED', 'the index is damaged: rebuild it (index rebuild)', { cause })
}
