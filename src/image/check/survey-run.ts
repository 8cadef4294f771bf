/** What the walks of one check share: how chunks are read, and what was found good or bad so far. */
import { Buffer } from 'node:buffer'
import { HoldfastError, isCode } from '../../errors.ts'
import { checkedNodesMax } from '../../limits.ts'
import type { ChunkId, ChunkKind, ChunkReader } from '../../store/chunks.ts'
import type { LocalChunkStore } from '../../store/local-chunk-store.ts'
import { NodeReader } from '../tree/index.ts'
import { RecentIds } from './recent-ids.ts'

export class SurveyRun {
  readonly nodes: NodeReader
  readonly chunks: ChunkReader
  /** Chunks that something refers to and that cannot be read, ids in latin1. */
  readonly wanted = new Map<string, ChunkKind>()
  /** Chunks that only replicas may have, where there are any. */
  absentChunks = 0
  readonly #hasReplicas: boolean
  readonly #bad: ReadonlySet<string>
  /** Nodes of which all that is below is good, by the kind of their tree. */
  readonly #sound = new Set<string>()
  readonly #present: RecentIds

  /**
   * `disk` reads from the disk; `bad`: ids that are known to be unreadable, whatever a cache says; `mayBeAbsent`: what
   * is not here is no fault where a replica may have it.
   */
  constructor(disk: ChunkReader, store: LocalChunkStore, bad: ReadonlySet<string>, mayBeAbsent: boolean) {
    this.#hasReplicas = mayBeAbsent && store.source !== undefined
    this.#present = new RecentIds(2 * store.stats().data.records)
    this.chunks = this.#hasReplicas ? orFetched(disk, store) : disk
    this.nodes = new NodeReader(this.chunks)
    this.#bad = bad
  }

  isSound(role: string, id: ChunkId): boolean {
    return this.#sound.has(role + id.toString('latin1'))
  }

  setSound(role: string, id: ChunkId): void {
    if (this.#sound.size >= checkedNodesMax) this.#sound.clear()
    this.#sound.add(role + id.toString('latin1'))
  }

  /** Reads metadata; what cannot be read is noted. Errors: as those of `read`. */
  reading<T>(id: ChunkId, read: () => T): T {
    try {
      if (this.#bad.has(id.toString('latin1'))) throw unreadable(id, 'damaged')
      return read()
    } catch (error) {
      this.wanted.set(id.toString('latin1'), 'node')
      throw error
    }
  }

  /** Whether a chunk of data is there, and, as far as is known, good. */
  hasData(id: ChunkId): boolean {
    const isBad = this.#bad.has(id.toString('latin1'))
    if (!isBad && (this.#present.has(id) || this.chunks.has(id))) {
      this.#present.add(id)
      return true
    }
    if (!isBad && this.#hasReplicas) {
      this.absentChunks += 1
      return true
    }
    this.wanted.set(id.toString('latin1'), 'data')
    return false
  }
}

/** Metadata that only replicas have is fetched: without it nothing is known of what is below. */
function orFetched(disk: ChunkReader, store: LocalChunkStore): ChunkReader {
  const read = (id: ChunkId): Buffer => {
    try {
      return disk.read(id)
    } catch (error) {
      if (!isCode(error, 'NOT_FOUND')) throw error
      return store.read(id)
    }
  }
  return { read, has: (id) => disk.has(id) }
}

export function unreadable(id: ChunkId, how: string): HoldfastError {
  return new HoldfastError('DAMAGED', `chunk ${Buffer.from(id).toString('hex')} is ${how}`)
}
