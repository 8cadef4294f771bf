/** The time of one call: its deadline, its signal and the closing of its replica, as one signal with one reason. */
import { HoldfastError } from '../errors.ts'
import type { Env } from '../env/env.ts'
import type { ReplicaLimits } from './limits.ts'
import type { CallOptions } from './replica.ts'

export interface CallContext {
  readonly env: Env
  readonly limits: ReplicaLimits
  /** Aborted when the replica is closed. */
  readonly closing: AbortSignal
}

export class Call implements Disposable {
  readonly #context: CallContext
  readonly #asked: AbortSignal | undefined
  readonly #controller = new AbortController()
  readonly #timer: NodeJS.Timeout
  readonly #end = (): void => this.#controller.abort()
  /** A change was asked for and its answer lost: what is said when the time is over. */
  isUnclear = false
  /** The last passing failure: why the time was not enough. */
  lastFailure: unknown

  /** Errors: ABORTED. */
  constructor(context: CallContext, options: CallOptions | undefined, defaultTimeoutMs: number) {
    this.#context = context
    this.#asked = options?.signal
    this.#timer = setTimeout(this.#end, options?.timeoutMs ?? defaultTimeoutMs)
    this.#asked?.addEventListener('abort', this.#end)
    context.closing.addEventListener('abort', this.#end)
    if (this.#wasAborted) this.#end()
  }

  /** Aborted when the call has to end. */
  get signal(): AbortSignal {
    return this.#controller.signal
  }

  get limits(): ReplicaLimits {
    return this.#context.limits
  }

  get env(): Env {
    return this.#context.env
  }

  /** Errors: ABORTED, REPLICA_UNREACHABLE, REPLICA_UNCLEAR once the call has to end. */
  check(): void {
    if (!this.signal.aborted) return
    if (this.#wasStopped) throw new HoldfastError('ABORTED', 'a call to a replica was stopped on request')
    throw this.overdue()
  }

  /** The failure of a call that no more time is given. */
  overdue(): HoldfastError {
    const cause = this.lastFailure
    const why = cause instanceof Error ? `: ${cause.message}` : ''
    if (!this.isUnclear) {
      return new HoldfastError('REPLICA_UNREACHABLE', `the replica did not answer in time${why}`, { cause })
    }
    const message = `the answer of the replica was lost, and what it did cannot be seen${why}`
    return new HoldfastError('REPLICA_UNCLEAR', message, { cause })
  }

  /** Waits before try number `tries` (from 1), and then checks. Errors as in `check`. */
  async backOff(tries: number): Promise<void> {
    const { backoffMinMs, backoffMaxMs } = this.limits
    const ms = Math.min(backoffMaxMs, backoffMinMs * 2 ** Math.min(tries - 1, 16))
    const chance = this.env.randomBytes(1)[0] / 256
    await pause(ms * (0.5 + chance / 2), this.signal)
    this.check()
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
    this.#asked?.removeEventListener('abort', this.#end)
    this.#context.closing.removeEventListener('abort', this.#end)
  }

  get #wasAborted(): boolean {
    return this.#asked?.aborted === true || this.#context.closing.aborted
  }

  /** Whoever gives several calls one time to end by does it with a signal: that this is over is no request. */
  get #wasStopped(): boolean {
    const { reason } = this.#asked ?? {} as { reason?: unknown }
    const isTimeOver = reason instanceof DOMException && reason.name === 'TimeoutError'
    return this.#wasAborted && (!isTimeOver || this.#context.closing.aborted)
  }
}

/** Returns early when the signal comes. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    const done = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done)
  })
}
