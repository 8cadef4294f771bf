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

  /** Takes its turn to move so many bytes; returns for how many milliseconds to wait before. */
  claim(bytes: number): number {
    const nowMs = this.#env.monotonicMs()
    const startMs = Math.max(nowMs, this.#freeAtMs)
    this.#freeAtMs = startMs + bytes / this.#bytesPerMs
    return startMs - nowMs
  }

  /** Waits for its turn; returns early when the signal comes. */
  async pass(bytes: number, signal: AbortSignal): Promise<void> {
    const waitMs = this.claim(bytes)
    if (waitMs > 0) await pause(waitMs, signal)
  }
}
