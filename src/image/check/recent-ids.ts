/**
 * A bounded memory of ids: each has one slot, where it takes the place of another. So it may have forgotten an id that
 * was added, and never knows one that was not (but for 128 bits of a digest that agree).
 */
import type { Buffer } from 'node:buffer'
import { recentIdsMax } from '../../limits.ts'

const wordsOfId = 4

export class RecentIds {
  readonly #slots: number
  readonly #words: Uint32Array

  /** `count`: how many there may be. */
  constructor(count: number) {
    this.#slots = Math.max(1, Math.min(recentIdsMax, count))
    this.#words = new Uint32Array(this.#slots * wordsOfId)
  }

  has(id: Buffer): boolean {
    const slot = this.#slotOf(id)
    for (let word = 0; word < wordsOfId; word++) {
      if (this.#words[slot + word] !== id.readUInt32LE(4 * word)) return false
    }
    return true
  }

  add(id: Buffer): void {
    const slot = this.#slotOf(id)
    for (let word = 0; word < wordsOfId; word++) this.#words[slot + word] = id.readUInt32LE(4 * word)
  }

  #slotOf(id: Buffer): number {
    return (id.readUInt32LE(16) % this.#slots) * wordsOfId
  }
}
