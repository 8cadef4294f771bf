/**
 * The owner's side of `absent-chunks.ts`: asks for the chunks that requests of a mount wait for, again and again while
 * no replica answers, and gives those up that nobody has, or that ordinary requests have waited for long enough.
 */
import { Buffer } from 'node:buffer'
import { setImmediate as immediate } from 'node:timers/promises'
import { systemEnv } from '../env/system.ts'
import { isCode, messageOf } from '../errors.ts'
import type { FetcherPort, RecordParcel } from '../image/remote/messages.ts'
import { fetchedAtOnceMax } from '../limits.ts'
import type { ToServer } from './messages.ts'

/** Where chunks come from that the store lacks; an engine's `RemoteRecords` is one. */
export interface ChunkProvider {
  fetch(ids: readonly Buffer[]): Promise<{ parcel: RecordParcel }>
}

/** With connections for the server's own thread. */
export interface MountRemote extends ChunkProvider {
  connect(): FetcherPort | undefined
}

export interface WantedChunksOptions {
  readonly provider: ChunkProvider | undefined
  readonly send: (message: ToServer) => void
  /** A sentence for the log. */
  readonly onWait: (message: string) => void
  readonly patienceMs?: number
}

/** An ordinary request gets EIO after this; one for a machine's memory asks again. */
const patienceMs = 5 * 60_000
/** Two: while one is read, the next is proved. */
const askedAtOnceMax = 2
const pauseMinMs = 200
const pauseMaxMs = 5_000

const clock = systemEnv()

export class WantedChunks {
  readonly #options: WantedChunksOptions
  readonly #waits = new Set<NodeJS.Timeout>()
  #isClosed = false
  /** Ids that nobody asks for yet. */
  readonly #next: string[] = []
  #underWay = 0

  constructor(options: WantedChunksOptions) {
    this.#options = options
  }

  /** `chunks` are ids in hex. What comes while enough is under way is asked for together. Never rejects. */
  async ask(chunks: string[]): Promise<void> {
    this.#next.push(...chunks)
    if (this.#underWay >= askedAtOnceMax) return
    this.#underWay += 1
    // Those who ask at the same time ask in turns of the event loop right after one another.
    await immediate()
    while (this.#next.length > 0 && !this.#isClosed) await this.#first(this.#next.splice(0, fetchedAtOnceMax))
    this.#underWay -= 1
  }

  /** Resolves when they were answered, or have to be asked for again: that must not keep back others. */
  #first(chunks: string[]): Promise<void> {
    return new Promise((resolve) => void this.#ask(chunks, resolve).then(resolve))
  }

  async #ask(chunks: string[], onFailure?: () => void): Promise<void> {
    const { provider, send, onWait } = this.#options
    const deadlineMs = clock.monotonicMs() + (this.#options.patienceMs ?? patienceMs)
    const ids = chunks.map((chunk) => Buffer.from(chunk, 'hex'))
    for (let pauseMs = pauseMinMs; !this.#isClosed; pauseMs = Math.min(2 * pauseMs, pauseMaxMs)) {
      try {
        if (provider === undefined) return send({ type: 'missing', chunks, reason: 'the store has no replica' })
        const { parcel } = await provider.fetch(ids)
        return send({ type: 'arrived', chunks, parcel })
      } catch (error) {
        onFailure?.()
        // One of many that is not to be had must not keep the others: each is asked for by itself then.
        if (chunks.length > 1) return void await Promise.all(chunks.map((chunk) => this.#ask([chunk])))
        const isLost = !isCode(error, 'REPLICA_UNREACHABLE')
        if (isLost || clock.monotonicMs() > deadlineMs) {
          return send({ type: 'missing', chunks, reason: messageOf(error) })
        }
        if (pauseMs === pauseMinMs) onWait(`a request waits for a replica: ${messageOf(error)}`)
        await this.#pause(pauseMs)
      }
    }
  }

  /** Nothing is asked any more. Idempotent. */
  close(): void {
    this.#isClosed = true
    for (const timer of this.#waits) clearTimeout(timer)
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#waits.delete(timer)
        resolve()
      }, ms)
      this.#waits.add(timer)
    })
  }
}
