/**
 * Which records stay: every one of a chunk that somebody needs, and those that such records build on, whose own
 * chunks nobody may need any more. It may keep too much, never too little.
 */
import type { Buffer } from 'node:buffer'
import { IdSet } from './id-set.ts'

export class LiveRecords {
  readonly #ids: IdSet
  readonly #bases: IdSet

  /** `count`: the records of the store, an upper bound of what there is to keep. */
  constructor(count: number, secret: number) {
    this.#ids = new IdSet(count, 8, secret)
    this.#bases = new IdSet(count / 16, 8, secret)
  }

  /** Chunks, and bases besides. */
  get count(): number {
    return this.#ids.count + this.#bases.count
  }

  get bytes(): number {
    return this.#ids.bytes + this.#bases.bytes
  }

  keep(id: Buffer): void {
    this.#ids.add(id)
  }

  /**
   * What a kept record builds on: the record of that chunk and depth, or a shallower one, which serves as well.
   * Whether it is new, and so has bases to be looked for.
   */
  keepBase(id: Buffer, depth: number): boolean {
    for (let shallower = 0; shallower < depth; shallower++) this.#bases.add(id, shallower + 1)
    return this.#bases.add(id, depth + 1)
  }

  isNeeded(id: Buffer): boolean {
    return this.#ids.has(id)
  }

  isBase(id: Buffer, depth: number): boolean {
    return this.#bases.has(id, depth + 1)
  }

  stays(id: Buffer, depth: number): boolean {
    return this.isNeeded(id) || this.isBase(id, depth)
  }
}
