/**
 * Keeps the replicas of a store up to it, each at its own pace: a step as soon as there is something to send, at most
 * one a second, so that what is sealed meanwhile shares its objects; after a failure again, after a pause that grows.
 * Nothing is queued: what a replica lacks is found out anew, so however far it lags, memory does not grow.
 *
 * Threads: one, which may be shared with nobody who must answer soon.
 */
import type { Env } from '../env/env.ts'
import { HoldfastError, isCode, messageOf } from '../errors.ts'
import { pause } from './call.ts'
import type { CollectCall } from './collection/collect-replica.ts'
import { type ReplicaGarbage, collectedOn } from './collection/replica-garbage.ts'
import type { ReplicaCollectionRequest } from './collection/types.ts'
import { type FeedCall, ReplicaFeed } from './feed/replica-feed.ts'
import type { ReplicationLimits } from './limits.ts'
import { replicationLimits } from './limits.ts'
import type { Outbox } from './outbox.ts'
import type { ReplicaEntry, ReplicaNote, ReplicaRegistry } from './registry.ts'
import type { Replica } from './replica.ts'
import { type Line, isRefused, noteSuccess, poke, unknownReplica } from './replicator-line.ts'

export interface ReplicatorOptions {
  readonly env: Env
  readonly outbox: Outbox
  readonly registry: ReplicaRegistry
  /** For the entry's URL. */
  readonly open: (entry: ReplicaEntry) => Replica
  /** What the user should hear of, once each: a replica lags, is back, an image is fenced. */
  readonly onEvent: (message: string) => void
  /** Something was published. */
  readonly onPublished?: () => void
  readonly limits?: ReplicationLimits
}

export interface ReplicaStatus {
  readonly name: string
  readonly url: string
  readonly isAuthority: boolean
  /** failing: the last step failed and is tried again. refused: trying again will not help. */
  readonly state: 'current' | 'behind' | 'failing' | 'refused'
  readonly epochsBehind: number
  /** Since when it has lacked something, milliseconds since 1970; null when it does not. */
  readonly behindSinceMs: number | null
  readonly lastError: string | null
  readonly sentBytes: number
  readonly sentEpochs: number
  /** It lags by more than is right. */
  readonly alarm: string | null
}

export class Replicator implements AsyncDisposable {
  readonly #options: ReplicatorOptions
  readonly #limits: ReplicationLimits
  readonly #lines = new Map<string, Line>()
  #isClosed = false

  constructor(options: ReplicatorOptions) {
    this.#options = options
    this.#limits = options.limits ?? replicationLimits
  }

  /** Takes up what the registry lists now: begins what is new, ends what is gone. */
  async refresh(): Promise<void> {
    const entries = this.#options.registry.entries()
    for (const [name, line] of this.#lines) {
      if (!entries.some((entry) => entry.name === name && entry.self === line.entry.self)) await this.#end(line)
    }
    for (const entry of entries) {
      if (!this.#lines.has(entry.name)) this.#begin(entry)
    }
  }

  /** There may be something new to send. */
  poke(): void {
    for (const line of this.#lines.values()) poke(line)
  }

  status(): ReplicaStatus[] {
    return [...this.#lines.values()].map((line) => this.#statusOf(line))
  }

  /**
   * Brings a replica, or all, up to what the store has now, and has what is there looked at again. `progress` in bytes
   * of packs. Errors: NOT_FOUND (no such replica), the first failure of a step, ABORTED.
   */
  async sync(name: string | null, call: FeedCall): Promise<void> {
    await this.refresh()
    const lines = this.#ordered().filter(({ entry }) => name === null || entry.name === name)
    if (name !== null && lines.length === 0) throw unknownReplica(name)
    for (const line of lines) {
      await this.#inTurn(line, async () => {
        line.feed.forget()
        while ((await this.#step(line, call)).epochs > 0);
        await line.feed.merge(call)
        await line.feed.settle(call)
        noteSuccess(line)
        this.#noteCaughtUp(line)
      })
    }
  }

  /** Collects garbage on each replica. Of one that fails it is told. Errors: ABORTED. */
  async collect(request: ReplicaCollectionRequest, call: CollectCall): Promise<ReplicaGarbage[]> {
    await this.refresh()
    const found: ReplicaGarbage[] = []
    for (const line of this.#ordered()) {
      const run = (own: CollectCall) => this.#inTurn(line, () => line.feed.collect(request, own))
      found.push(await collectedOn(line, run, call))
    }
    return found
  }

  async close(): Promise<void> {
    this.#isClosed = true
    for (const line of [...this.#lines.values()]) await this.#end(line)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #begin(entry: ReplicaEntry): void {
    const { env, outbox, registry, open, onEvent } = this.#options
    const replica = open(entry)
    const feed = new ReplicaFeed({
      env, outbox, entry, replica, note: registry.note(entry.name),
      copiesWaitMs: this.#limits.copiesWaitMs,
      saveNote: (note) => this.#published(entry, note),
      authority: entry.isAuthority ? null : {
        replica: () => this.#authority()?.replica,
        published: (key) => this.#authority()?.feed.note.images[key],
      },
      onEvent: (message) => onEvent(`replica ${entry.name}: ${message}`),
    })
    const line: Line = {
      entry, replica, feed, end: new AbortController(), wake: () => undefined, isPoked: true,
      running: Promise.resolve(), stepping: Promise.resolve(), settling: null,
      failures: 0, lastError: null, hasWorked: false, behindSinceMs: null,
      isAlarmed: false, sentBytes: 0, sentEpochs: 0,
    }
    this.#lines.set(entry.name, line)
    line.running = this.#run(line)
  }

  async #end(line: Line): Promise<void> {
    line.end.abort()
    line.wake()
    await line.replica.close()
    await line.running
    await line.stepping
    await line.settling
    this.#lines.delete(line.entry.name)
  }

  /** The authority first: the others get what it has. */
  #ordered(): Line[] {
    return [...this.#lines.values()].sort((a, b) => Number(b.entry.isAuthority) - Number(a.entry.isAuthority))
  }

  #authority(): Line | undefined {
    return [...this.#lines.values()].find(({ entry }) => entry.isAuthority)
  }

  #published(entry: ReplicaEntry, note: ReplicaNote): void {
    this.#options.registry.saveNote(entry.name, note)
    if (entry.isAuthority) for (const line of this.#lines.values()) if (line.entry !== entry) poke(line)
    this.#options.onPublished?.()
  }

  async #run(line: Line): Promise<void> {
    const { signal } = line.end
    const { env } = this.#options
    while (!signal.aborted) {
      await this.#poked(line)
      if (signal.aborted) return
      const beganMs = env.monotonicMs()
      await this.#attempt(line, signal)
      const leastMs = line.failures === 0 ? this.#limits.batchEveryMs : this.#retryMs(line)
      await pause(Math.max(0, beganMs + leastMs - env.monotonicMs()), signal)
    }
  }

  /** One step, and what can be done in the quiet behind it. A failure is noted and tried again. */
  async #attempt(line: Line, signal: AbortSignal): Promise<void> {
    try {
      await this.#inTurn(line, () => this.#step(line, { signal }))
      noteSuccess(line)
      // An empty step would only make the next epoch wait for its second.
      if (line.feed.pending().length > 0) poke(line)
      await this.#inTurn(line, () => line.feed.merge({ signal }))
      this.#settle(line)
      this.#noteCaughtUp(line)
    } catch (error) {
      if (signal.aborted) return
      if (!(error instanceof HoldfastError)) throw error
      line.failures += 1
      line.lastError = error
      poke(line)
    }
    this.#watch(line)
  }

  /** A pack as a whole takes a second and more: nothing waits for it. What fails is tried again after a later step. */
  #settle(line: Line): void {
    line.settling ??= line.feed.settle({ signal: line.end.signal }).catch((error: unknown) => {
      if (!(error instanceof HoldfastError)) throw error
      line.lastError = error
    }).finally(() => { line.settling = null })
  }

  async #step(line: Line, call: FeedCall): Promise<{ epochs: number }> {
    line.isPoked = false
    const step = await line.feed.step(call)
    line.sentBytes += step.bytes
    line.sentEpochs += step.epochs
    return step
  }

  #noteCaughtUp(line: Line): void {
    const isBehind = line.feed.pending().length > 0
    if (!isBehind && line.isAlarmed) this.#options.onEvent(`replica ${line.entry.name} has caught up`)
    if (isBehind) return
    line.behindSinceMs = null
    line.isAlarmed = false
  }

  #watch(line: Line): void {
    if (line.failures === 0 && line.feed.pending().length === 0) return
    line.behindSinceMs ??= Math.round(this.#options.env.wallMs())
    const alarm = this.#alarmOf(line)
    if (alarm === null || line.isAlarmed) return
    line.isAlarmed = true
    this.#options.onEvent(alarm)
  }

  #alarmOf(line: Line): string | null {
    if (line.behindSinceMs === null) return null
    const lagMs = this.#options.env.wallMs() - line.behindSinceMs
    const isGone = isRefused(line) || isCode(line.lastError, 'NOT_FOUND')
    if (lagMs < this.#limits.lagAlarmMs && !isGone) return null
    const why = line.lastError === null ? '' : `: ${messageOf(line.lastError)}`
    return `replica ${line.entry.name} lags by ${Math.round(lagMs / 1000)} s${why}`
  }

  #statusOf(line: Line): ReplicaStatus {
    const { entry, lastError, behindSinceMs, sentBytes, sentEpochs } = line
    const epochsBehind = line.feed.pending().reduce((sum, { numbers }) => sum + numbers.length, 0)
    const failed = isRefused(line) ? 'refused' as const : 'failing' as const
    return {
      name: entry.name, url: line.replica.url, isAuthority: entry.isAuthority,
      state: line.failures > 0 ? failed : epochsBehind > 0 ? 'behind' : 'current', epochsBehind, behindSinceMs,
      lastError: lastError === null ? null : messageOf(lastError), sentBytes, sentEpochs, alarm: this.#alarmOf(line),
    }
  }

  /** Steps of one replica never overlap. */
  #inTurn<T>(line: Line, run: () => Promise<T>): Promise<T> {
    const turn = line.stepping.then(run, run)
    line.stepping = turn.catch(() => undefined)
    return turn
  }

  #poked(line: Line): Promise<void> {
    if (line.isPoked || this.#isClosed) return Promise.resolve()
    return new Promise((resolve) => { line.wake = resolve })
  }

  #retryMs({ failures }: Line): number {
    const { retryMinMs, retryMaxMs } = this.#limits
    return Math.min(retryMaxMs, retryMinMs * 2 ** Math.min(failures - 1, 16))
  }
}
