/**
 * The time of day in nanoseconds. The system tells Node milliseconds; between two of them a second clock, which
 * nobody sets, tells how far on it is. What is told lies within the millisecond that the system tells, so it is
 * never further off than that, and follows when the clock is set: forward at once, back by standing still until
 * the time has come again, for a time that goes back makes tools take new files for old ones.
 */

const millisecondNs = 1_000_000n

export class WallClock {
  readonly #wallMs: () => number
  readonly #countNs: () => bigint
  /** Between the time of day and the second clock. */
  #aheadNs: bigint | null = null
  #lastNs = 0n

  constructor(wallMs: () => number = Date.now, countNs: () => bigint = process.hrtime.bigint) {
    this.#wallMs = wallMs
    this.#countNs = countNs
  }

  /** Nanoseconds since 1970. */
  nowNs(): bigint {
    const from = BigInt(Math.floor(this.#wallMs())) * millisecondNs
    const count = this.#countNs()
    const now = within(from, count + (this.#aheadNs ?? from - count))
    this.#aheadNs = now - count
    if (now > this.#lastNs) this.#lastNs = now
    return this.#lastNs
  }
}

/** The time itself, or the end of the millisecond that is nearest. */
function within(fromNs: bigint, nowNs: bigint): bigint {
  if (nowNs < fromNs) return fromNs
  return nowNs < fromNs + millisecondNs ? nowNs : fromNs + millisecondNs - 1n
}
