/**
 * The payloads in one file of the log, to be read at any place. Where the log is sealed, the record that a place
 * belongs to has to be known: of each that holds data it is noted where its payload begins, 8 bytes a record.
 */
import type { SegmentSeal } from '../crypto/segment-seal.ts'
import type { EnvFile } from '../env/env.ts'
import { assert } from '../errors.ts'

const recordsFirst = 64
/** Begin of the payload, counter of the seal. */
const fields = 2

export class SegmentBytes {
  readonly file: EnvFile
  /** Null where the log is not sealed. */
  readonly seal: SegmentSeal | null
  #noted = new Uint32Array(0)
  #count = 0

  constructor(file: EnvFile, seal: SegmentSeal | null) {
    this.file = file
    this.seal = seal
  }

  /** In the order of their places. */
  note(position: number, counter: number): void {
    if (this.seal === null) return
    const at = this.#count * fields
    if (at === this.#noted.length) this.#grow()
    this.#noted[at] = position
    this.#noted[at + 1] = counter
    this.#count += 1
  }

  /** Fills `target` from within one payload; the number of bytes that were there. */
  read(target: Uint8Array, position: number): number {
    const bytes = this.file.read(target, position)
    if (this.seal === null) return bytes
    const at = this.#recordAt(position)
    this.seal.reveal(target.subarray(0, bytes), position - this.#noted[at], this.#noted[at + 1])
    return bytes
  }

  close(): void {
    this.file.close()
  }

  /** The last record that begins there or before. */
  #recordAt(position: number): number {
    let low = 0
    let high = this.#count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#noted[middle * fields] <= position) low = middle + 1
      else high = middle
    }
    assert(low > 0, 'what is read of the log is a record that was noted')
    return (low - 1) * fields
  }

  #grow(): void {
    const grown = new Uint32Array(Math.max(recordsFirst * fields, this.#noted.length * 2))
    grown.set(this.#noted)
    this.#noted = grown
  }
}
