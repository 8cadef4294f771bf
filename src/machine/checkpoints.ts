/**
 * The checkpoints of one machine: one at a time captures, in the order they were asked for; commits follow
 * behind while the guest runs. The schedule never queues: what comes while one is captured, or while the
 * commits lag, is skipped; and most of it while replicas lag, so that what waits for them does not grow with time.
 */
import { HoldfastError, isCode, messageOf } from '../errors.ts'
import type { FileChunks } from '../image/machine-state.ts'
import type { CallOptions, EpochSummary } from '../image/types.ts'
import { capture } from './checkpoint.ts'
import { bootFiles } from './boot-files.ts'
import type { MachineContext } from './context.ts'
import { deviceChunks } from './device-chunks.ts'
import { factsOf } from './facts.ts'
import type { Incarnation } from './incarnation.ts'
import { ReplicaLag, stretchedMs } from './replica-lag.ts'
import { checkpointsWaitingMax, commitsPendingMax, devicesAskedEveryMs, everyMsMin } from './limits.ts'
import type { CheckpointCounts, CheckpointResult } from './types.ts'

const steps = 2

export class Checkpoints {
  readonly counts: CheckpointCounts = { requested: 0, completed: 0, failed: 0, aborted: 0 }
  newest: EpochSummary | null = null
  /** What the last checkpoint said that failed; null once one succeeded. */
  lastError: string | null = null
  readonly #context: MachineContext
  readonly #image: string
  /** The life to capture. Errors: BUSY, MACHINE_GONE, NOT_FOUND: why there is none now. */
  readonly #life: () => Incarnation
  #turn: Promise<unknown> = Promise.resolve()
  #waitingCount = 0
  readonly #commits = new Set<Promise<unknown>>()
  #halt = new AbortController()
  #timer: NodeJS.Timeout | null = null
  #everyMs: number | null = null
  readonly #lag: ReplicaLag
  /** When the schedule last took one, by the monotonic clock. */
  #tickedMs = -Infinity
  #isStretched = false
  #devices: { life: Incarnation; chunks: readonly FileChunks[]; askedMs: number } | null = null

  constructor(context: MachineContext, image: string, life: () => Incarnation) {
    this.#context = context
    this.#image = image
    this.#life = life
    this.#lag = new ReplicaLag(context.replicasOf)
  }

  get everyMs(): number | null {
    return this.#everyMs
  }

  /** The period that is kept while replicas lag, where it is longer than the one that was asked for, else null. */
  get stretchedMs(): number | null {
    const stretched = stretchedMs(this.#lagMs(), this.#context.limits)
    return stretched === null || this.#everyMs === null || stretched <= this.#everyMs ? null : Math.round(stretched)
  }

  /** What the user should know while the schedule is stretched, else null. */
  get alarm(): string | null {
    const stretched = this.stretchedMs
    if (stretched === null) return null
    const lag = `replicas lag by ${secondsText(this.#lagMs())}`
    return `${lag}: until they have caught up, a checkpoint is taken every ${secondsText(stretched)} only`
  }

  /** Errors: BUSY, MACHINE, MACHINE_TIMEOUT, MACHINE_GONE, ABORTED, NO_SPACE, IO, FAILED_STATE. */
  async take(note: string | undefined, call: CallOptions): Promise<CheckpointResult> {
    this.#life()
    if (this.#waitingCount >= checkpointsWaitingMax) {
      const waiting = `${checkpointsWaitingMax} checkpoints of ${this.#image} wait already`
      throw new HoldfastError('BUSY', `${waiting}: try again later`)
    }
    this.counts.requested += 1
    try {
      const result = await this.#take(note, call)
      this.counts.completed += 1
      this.newest = result.epoch
      this.lastError = null
      return result
    } catch (error) {
      const isAborted = isCode(error, 'ABORTED')
      this.counts[isAborted ? 'aborted' : 'failed'] += 1
      if (!isAborted) this.lastError = messageOf(error)
      throw error
    }
  }

  /** Null ends the schedule. Errors: USAGE. */
  schedule(everyMs: number | null): void {
    if (everyMs !== null && !(everyMs >= everyMsMin)) {
      throw new HoldfastError('USAGE', `a checkpoint every ${everyMs} ms would be all pause: ${everyMsMin} ms or more`)
    }
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#everyMs = everyMs
    this.#timer = everyMs === null ? null : setInterval(() => this.#tick(), everyMs)
  }

  /** Aborts what is being captured and waits for it and for the commits. The schedule stays. */
  async halt(): Promise<void> {
    this.#halt.abort(new HoldfastError('ABORTED', `the machine of ${this.#image} is being ended`))
    await this.#turn
    await Promise.allSettled(this.#commits)
    this.#halt = new AbortController()
  }

  #tick(): void {
    if (this.#waitingCount > 0 || this.#commits.size >= commitsPendingMax) return
    try {
      this.#life()
    } catch {
      // Not running now: a machine that is resumed goes on being checkpointed.
      return
    }
    if (!this.#isDue()) return
    const before = this.lastError
    this.take(undefined, {}).catch((error: unknown) => {
      // A cause that lasts is told once, not at every tick.
      if (isCode(error, 'ABORTED') || messageOf(error) === before) return
      const message = `a scheduled checkpoint failed: ${messageOf(error)}`
      this.#context.onEvent({ type: 'machine', image: this.#image, message })
    })
  }

  /** The first and the last of the ticks that are skipped are told. */
  #isDue(): boolean {
    const nowMs = this.#context.env.monotonicMs()
    const { alarm, stretchedMs: stretched } = this
    if ((alarm !== null) !== this.#isStretched) {
      this.#isStretched = alarm !== null
      const message = alarm ?? `replicas have caught up: a checkpoint is taken every ${secondsText(this.#everyMs ?? 0)}`
      this.#context.onEvent({ type: 'machine', image: this.#image, message })
    }
    if (stretched !== null && nowMs - this.#tickedMs < stretched) return false
    this.#tickedMs = nowMs
    return true
  }

  #lagMs(): number {
    return this.#lag.ms(this.newest, this.#context.env.monotonicMs())
  }

  async #take(note: string | undefined, call: CallOptions): Promise<CheckpointResult> {
    const { env, limits } = this.#context
    call.progress?.({ step: 'capturing the machine', done: 0, total: steps, unit: 'steps' })
    const signal = call.signal === undefined ? this.#halt.signal : AbortSignal.any([call.signal, this.#halt.signal])
    const { life, devices, taken } = await this.#inTurn(async () => {
      if (signal.aborted) {
        throw new HoldfastError('ABORTED', 'the checkpoint was stopped before it began', { cause: signal.reason })
      }
      const life = this.#life()
      const devices = await this.#devicesOf(life)
      return { life, devices, taken: await capture(life, { env, limits, signal }) }
    })
    call.progress?.({ step: 'storing the epoch', done: 1, total: steps, unit: 'steps' })
    const begin = env.monotonicMs()
    const { state, wallMs, pauseMs, parts } = taken
    const machine = { state, facts: factsOf(life.machine.handle(), wallMs, devices), pauseMs }
    const { epoch, manifest } = await this.#committing(taken.cut.seal({ note, wallMs, machine }))
    this.#holdBootFiles(life, manifest)
    return { epoch: epoch!, pauseMs, parts: { ...parts, commit: env.monotonicMs() - begin } }
  }

  /** Asked now and then: a guest's drivers make their queues when they start. */
  async #devicesOf(life: Incarnation): Promise<readonly FileChunks[]> {
    const nowMs = this.#context.env.monotonicMs()
    if (this.#devices?.life !== life || nowMs - this.#devices.askedMs > devicesAskedEveryMs) {
      // It only helps a resume: what is wrong with the machine, the capture will say.
      const chunks = await deviceChunks(life.machine).catch((): FileChunks[] => [])
      this.#devices = { life, chunks, askedMs: nowMs }
    }
    return this.#devices.chunks
  }

  /** So that even the first resume need not read them from the store. */
  #holdBootFiles(life: Incarnation, manifest: string): void {
    if (life.isEnding) return
    void this.#context.pusher.find({ manifest, paths: bootFiles(life.machine.plan.spec), want: 'made' })
  }

  async #inTurn<T>(step: () => Promise<T>): Promise<T> {
    this.#waitingCount += 1
    const result = this.#turn.then(step)
    this.#turn = result.catch(() => undefined)
    try {
      return await result
    } finally {
      this.#waitingCount -= 1
    }
  }

  async #committing<T>(commit: Promise<T>): Promise<T> {
    this.#commits.add(commit)
    try {
      return await commit
    } finally {
      this.#commits.delete(commit)
    }
  }
}

function secondsText(ms: number): string {
  return `${Number((ms / 1000).toFixed(1))} s`
}
