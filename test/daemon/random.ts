/** Random numbers that a seed reproduces (mulberry32). Tests print the seed. */
export class Random {
  readonly seed: number
  #state: number

  constructor(seed: number = Math.floor(Math.random() * 2 ** 32)) {
    this.seed = seed
    this.#state = seed
  }

  /** A whole number in 0..bound-1. */
  below(bound: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % bound
  }

  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)]
  }

  bytes(count: number): Buffer {
    return Buffer.from(Array.from({ length: count }, () => this.below(256)))
  }
}
