/**
 * Finds where records lie on a replica, by its index runs (`layout.ts`). A small run is read whole and kept; of a large
 * one its table is kept, and blocks are read when an id may be in them. A run may be merged away at any moment: then
 * the runs are listed again.
 */
import type { Buffer } from 'node:buffer'
import { isCode, messageOf } from '../errors.ts'
import { type RunEntry, RunTable, decodeRunHead, decodeRunTrailer, indexRunTrailerBytes } from '../format/index-run.ts'
import { indexRunObjectBytesMax, indexRunWholeBytesMax, indexRunsMax } from './limits.ts'
import { indexesDirectory, parseIndexRunName } from './layout.ts'
import { listEntries } from './list-names.ts'
import { joinPath } from './paths.ts'
import { readRange } from './read-object.ts'
import type { CallOptions, Replica } from './replica.ts'

/** Bytes of a run by range, from memory or from the replica. */
type RunBytes = (range: { offset: number; bytes: number }, options?: CallOptions) => Promise<Buffer>

interface OpenRun {
  readonly table: RunTable
  readonly bytes: RunBytes
}

const runHeadBytes = 32

export class IndexReader {
  readonly #replica: Replica
  readonly #onDamage: (message: string) => void
  #runs = new Map<string, OpenRun>()
  #listing: Promise<void> | null = null
  /** Runs that are there and cannot be read: what is not found may be in them. */
  #unreadableCount = 0

  constructor(replica: Replica, onDamage: (message: string) => void) {
    this.#replica = replica
    this.#onDamage = onDamage
  }

  /** False when a run could not be read: then what was not found may be there all the same. */
  get isComplete(): boolean {
    return this.#unreadableCount === 0
  }

  /**
   * All places of each id's records, by the id in hex; ids without any are left out. Errors: those of every call.
   */
  async find(ids: readonly Buffer[], options?: CallOptions): Promise<Map<string, RunEntry[]>> {
    if (this.#listing === null) await this.#list(options)
    else await this.#listing
    try {
      const found = await this.#search(ids, options)
      if (ids.every((id) => found.has(id.toString('hex')))) return found
    } catch (error) {
      if (!isCode(error, 'NOT_FOUND', 'DAMAGED')) throw error
    }
    await this.#list(options)
    return this.#search(ids, options)
  }

  /** What was collected, or came, since is seen from now on. Errors: those of every call. */
  refresh(options?: CallOptions): Promise<void> {
    return this.#list(options)
  }

  /** Lists again; those who come meanwhile wait for the same. */
  #list(options?: CallOptions): Promise<void> {
    const listing = this.#listRuns(options)
    this.#listing = listing
    listing.catch(() => {
      if (this.#listing === listing) this.#listing = null
    })
    return listing
  }

  async #listRuns(options?: CallOptions): Promise<void> {
    const paths = await this.#runPaths(options)
    const before = this.#runs
    let unreadableCount = 0
    const opened = await Promise.all([...paths].map(async ([path, bytes]) => {
      try {
        return [path, before.get(path) ?? await openRun(this.#replica, path, bytes, options)] as const
      } catch (error) {
        if (isCode(error, 'NOT_FOUND')) return null
        if (!isCode(error, 'DAMAGED', 'BAD_FORMAT', 'REPLICA_FAULT')) throw error
        unreadableCount += 1
        this.#onDamage(`index run ${path}: ${messageOf(error)}`)
        return null
      }
    }))
    this.#runs = new Map(opened.filter((each) => each !== null))
    this.#unreadableCount = unreadableCount
  }

  /** With their lengths. */
  async #runPaths(options?: CallOptions): Promise<Map<string, number>> {
    const paths = new Map<string, number>()
    for (const store of await listEntries(this.#replica, indexesDirectory, options)) {
      const directory = joinPath(indexesDirectory, store.name)
      for (const { name, bytes } of await listEntries(this.#replica, directory, options)) {
        const isRun = parseIndexRunName(name) !== undefined && paths.size < indexRunsMax
        if (isRun) paths.set(joinPath(directory, name), bytes)
      }
    }
    return paths
  }

  async #search(ids: readonly Buffer[], options?: CallOptions): Promise<Map<string, RunEntry[]>> {
    const found = new Map<string, RunEntry[]>()
    await Promise.all([...this.#runs.values()].map(async (run) => {
      for (const entry of await searchRun(run, ids, options)) {
        const key = entry.id.toString('hex')
        const entries = found.get(key)
        if (entries === undefined) found.set(key, [entry])
        else entries.push(entry)
      }
    }))
    return found
  }
}

/** Errors: NOT_FOUND, BAD_FORMAT, NEWER_VERSION, DAMAGED, those of every call. */
async function openRun(
  replica: Replica, path: string, objectBytes: number, options?: CallOptions,
): Promise<OpenRun> {
  const isWhole = objectBytes <= indexRunWholeBytesMax
  const whole = isWhole ? await readRange(replica, path, { offset: 0, bytes: objectBytes }, options) : null
  const bytes: RunBytes = whole === null
    ? (range, call) => readRange(replica, path, range, call)
    : async ({ offset, bytes: count }) => whole.subarray(offset, offset + count)
  decodeRunHead(await bytes({ offset: 0, bytes: Math.min(runHeadBytes, objectBytes) }, options))
  const trailerAt = Math.max(0, Math.min(objectBytes, indexRunObjectBytesMax) - indexRunTrailerBytes)
  const shape = decodeRunTrailer(await bytes({ offset: trailerAt, bytes: indexRunTrailerBytes }, options), objectBytes)
  const table = await bytes({ offset: shape.tableAt, bytes: trailerAt - shape.tableAt }, options)
  return { table: new RunTable(shape, table), bytes }
}

async function searchRun(
  { table, bytes }: OpenRun, ids: readonly Buffer[], options?: CallOptions,
): Promise<RunEntry[]> {
  const wanted = new Map<number, Set<string>>()
  for (const id of ids) {
    for (const block of table.blocksFor(id)) {
      const keys = wanted.get(block)
      if (keys === undefined) wanted.set(block, new Set([id.toString('hex')]))
      else keys.add(id.toString('hex'))
    }
  }
  const found = await Promise.all([...wanted].map(async ([block, keys]) => {
    const entries = table.entriesOf(await bytes(table.blockRange(block), options))
    return [...entries].filter(({ id }) => keys.has(id.toString('hex')))
  }))
  return found.flat()
}
