/**
 * Collections of garbage again and again, by a daemon. What was asked for is kept in the store, so that it outlives
 * the process:
 *
 *   gc.json                 `everyMs`, `rules` (arguments of `gc`), `lastMs` (when the last one began,
 *                           or the schedule was set)
 *
 * A collection is noted before it begins: one that ends the process does not end the next process at once.
 */
import { Buffer } from 'node:buffer'
import { join } from 'node:path'
import type { Env } from '../env/env.ts'
import { publishFile, readWhole } from '../env/publish.ts'
import { HoldfastError, isCode, messageOf } from '../errors.ts'
import type { Engine } from '../image/engine.ts'
import { jsonText } from '../replica/json-text.ts'
import {
  type CollectOptions, type GarbageOutcome, type ReplicaCollector, collectEverywhere, troubleOf,
} from './garbage-run.ts'
import type { GarbageHost, GarbageScheduleState } from './host.ts'
import { garbageDelayMsMin, requestBytesMax } from './limits.ts'
import { checkArguments } from './parameters.ts'
import { type GarbageRules, garbageParameters } from './verbs/retention.ts'

export interface GarbageScheduleOptions {
  readonly env: Env
  readonly engine: Engine
  readonly replicas: ReplicaCollector
  /** Collects; else it only keeps what is asked for. */
  readonly isBackground: boolean
  /** For the log. */
  readonly onEvent: (message: string) => void
}

interface Plan {
  readonly everyMs: number
  readonly rules: GarbageRules
  readonly lastMs: number
}

const scheduleVersion = 1

export class GarbageSchedule implements GarbageHost {
  readonly #options: GarbageScheduleOptions
  readonly #path: string
  #plan: Plan | null = null
  #timer: NodeJS.Timeout | null = null
  #running: Promise<void> = Promise.resolve()
  #abort = new AbortController()
  #isClosed = false
  #last: Pick<GarbageScheduleState, 'removedEpochs' | 'freedBytes'> = { removedEpochs: null, freedBytes: null }
  #lastError: string | null = null

  constructor(options: GarbageScheduleOptions) {
    this.#options = options
    this.#path = join(options.engine.directory, 'gc.json')
  }

  collect(rules: GarbageRules, dryRun: boolean, options: CollectOptions = {}): Promise<GarbageOutcome> {
    return collectEverywhere(this.#options, rules, dryRun, options)
  }

  /** Takes up what is kept in the store. What is damaged is told, and asked for again by whoever wants it. */
  begin(): void {
    try {
      this.#plan = this.#read()
    } catch (error) {
      if (!isCode(error, 'DAMAGED', 'BAD_FORMAT', 'NEWER_VERSION', 'USAGE', 'BAD_NAME')) throw error
      this.#lastError = `${messageOf(error)}: 'holdfast gc --every' sets it anew`
      this.#options.onEvent(this.#lastError)
    }
    this.#wind()
  }

  /** Durable on return; null ends it, and what is being collected by it. Errors: NO_SPACE, IO. */
  async schedule(wanted: { everyMs: number; rules: GarbageRules } | null): Promise<GarbageScheduleState> {
    const { env } = this.#options
    await this.#halt()
    this.#plan = wanted === null ? null : { ...wanted, lastMs: env.wallMs() }
    this.#lastError = null
    if (this.#plan !== null) this.#write(this.#plan)
    else if (env.exists(this.#path)) env.unlink(this.#path)
    this.#wind()
    return this.state()
  }

  state(): GarbageScheduleState {
    const { everyMs = null, rules = null, lastMs = null } = this.#plan ?? {}
    return { everyMs, rules, lastMs, ...this.#last, lastError: this.#lastError }
  }

  /** Idempotent. A collection under way is ended: the next one finishes it. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.#halt()
  }

  async #halt(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.#abort.abort(new HoldfastError('ABORTED', 'the schedule has ended'))
    await this.#running
    this.#abort = new AbortController()
  }

  /** However the clock was set meanwhile, the next one is at most one period away. */
  #wind(): void {
    const { env, isBackground } = this.#options
    if (this.#plan === null || !isBackground || this.#isClosed) return
    const { everyMs, lastMs } = this.#plan
    const dueMs = lastMs + everyMs - env.wallMs()
    const delayMs = Math.min(everyMs, Math.max(garbageDelayMsMin, dueMs))
    this.#timer = setTimeout(() => {
      this.#running = this.#collect(this.#plan!).finally(() => this.#wind())
    }, delayMs)
    this.#timer.unref()
  }

  async #collect(plan: Plan): Promise<void> {
    const { env, onEvent } = this.#options
    const before = this.#lastError
    try {
      this.#plan = { ...plan, lastMs: env.wallMs() }
      this.#write(this.#plan)
      const { signal } = this.#abort
      const outcome = await this.collect(plan.rules, false, { signal })
      this.#last = { removedEpochs: outcome.removedEpochs.length, freedBytes: outcome.freedBytes }
      this.#lastError = troubleOf(outcome)
    } catch (error) {
      if (isCode(error, 'ABORTED')) return
      this.#lastError = messageOf(error)
    }
    // A cause that lasts is told once, not every time.
    if (this.#lastError !== null && this.#lastError !== before) onEvent(`scheduled gc: ${this.#lastError}`)
  }

  /** Null when there is none. Errors: DAMAGED, BAD_FORMAT, NEWER_VERSION, USAGE and BAD_NAME (its rules). */
  #read(): Plan | null {
    const { env } = this.#options
    if (!env.exists(this.#path)) return null
    const bytes = Buffer.from(readWhole(env, this.#path, requestBytesMax))
    const text = jsonText(bytes, { kind: 'gc schedule', versionMax: scheduleVersion, where: this.#path })
    const rules = checkArguments(garbageParameters, text.value('rules')) as GarbageRules
    return { everyMs: text.count('everyMs'), rules, lastMs: text.count('lastMs') }
  }

  #write({ everyMs, rules, lastMs }: Plan): void {
    const fields = { holdfast: 'gc schedule', version: scheduleVersion, everyMs, rules, lastMs }
    publishFile(this.#options.env, this.#path, Buffer.from(`${JSON.stringify(fields)}\n`))
  }
}
