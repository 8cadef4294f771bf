/**
 * Repeatable randomness for property tests. A test draws the same numbers each time, from its title: what fails was
 * changed by somebody. `HOLDFAST_SEED=random` looks further, `HOLDFAST_SEED=N` repeats what that found; each run says
 * its seed.
 */
import { Buffer } from 'node:buffer'
import { randomInt } from 'node:crypto'
import process from 'node:process'
import { crc32 } from 'node:zlib'
import { chunkBytes } from '../src/limits.ts'

interface Titled {
  readonly title: string
  log(...values: unknown[]): void
}

export function seedOf(title: string): number {
  const given = process.env['HOLDFAST_SEED'] ?? String(crc32(title))
  return given === 'random' ? randomInt(2 ** 32) : Number(given)
}

export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** From the test's seed, which its log tells. */
  static announced(t: Titled): Random {
    const seed = seedOf(t.title)
    t.log(`HOLDFAST_SEED=${seed}`)
    return new Random(seed)
  }

  /** From 0 to below 1 (mulberry32). */
  unit(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = this.#state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  /** A whole number from 0 to below `end`, which may be above 2^32. */
  below(end: number): number {
    const wide = end > 2 ** 32 ? this.unit() + this.unit() / 2 ** 32 : this.unit()
    return Math.min(end - 1, Math.floor(wide * end))
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]
  }

  bytes(length: number): Buffer {
    const bytes = Buffer.alloc(length)
    for (let index = 0; index < length; index += 1) bytes[index] = this.below(256)
    return bytes
  }

  /** The same bytes with a few of them changed, taken away or added. */
  mutated(bytes: Buffer): Buffer {
    let mutant = Buffer.from(bytes)
    for (let times = 1 + this.below(3); times > 0; times -= 1) {
      const at = this.below(mutant.length + 1)
      const kind = this.below(4)
      if (kind === 0) mutant = Buffer.concat([mutant.subarray(0, at), this.bytes(1 + this.below(4)), mutant.subarray(at)])
      else if (kind === 1) mutant = Buffer.concat([mutant.subarray(0, at), mutant.subarray(at + 1 + this.below(4))])
      else if (mutant.length > 0) mutant[at % mutant.length] = this.pick([0, 1, 127, 128, 255, this.below(256)])
    }
    return mutant
  }

  /** A chunk that compresses to about a third, as machine code does. */
  chunk(): Buffer {
    const chunk = Buffer.alloc(chunkBytes)
    const words = Array.from({ length: 200 }, () => this.bytes(4 + this.below(12)))
    for (let at = 0; at < chunkBytes; ) at += this.pick(words).copy(chunk, at)
    return chunk
  }

  /** A later version of the same length: `places` changes of up to 64 bytes. */
  laterVersion(bytes: Buffer, places = 1 + this.below(20)): Buffer {
    const changed = Buffer.from(bytes)
    for (let place = 0; place < places; place++) {
      this.bytes(1 + this.below(64)).copy(changed, this.below(bytes.length))
    }
    return changed
  }
}
