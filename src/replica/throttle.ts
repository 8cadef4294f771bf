/** A limit on bytes a second over all transfers of a replica. */
import type { Env } from '../env/env.ts'
import { pause } from './call.ts'

export class Throttle {
  readonly #env: Env
  readonly #bytesPerMs: number
  /** When the line is free again, by the monotonic clock. */
  #freeAtMs = 0

  /** Null: no limit. */
  constructor(env: Env, bytesPerSecondMax: number | null) {
    this.#env = env
    this.#bytesPerMs = bytesPerSecondMax === null ? Infinity : bytesPerSecondMax / 1000
  }

  /** Waits for its turn to move so many bytes; returns early when the signal comes. */
  async pass(bytes: number, signal: AbortSignal): Promise<void> {
    if (this.#bytesPerMs === Infinity) return
    const now = this.#env.monotonicMs()
    const start = Math.max(now, this.#freeAtMs)
    this.#freeAtMs = start + bytes / this.#bytesPerMs
    if (start > now) await pause(start - now, signal)
  }
}
