/**
 * Which records stay: every one of a chunk that somebody needs, and those that such records build on, whose own
 * chunks nobody may need any more. It may keep too much, never too little.
 */
import type { Buffer } from 'node:buffer'
import { deltaDepthMax } from '../../limits.ts'
import { IdSet } from './id-set.ts'

export class LiveRecords {
  readonly #ids: IdSet
  readonly #bases: IdSet

  /** `count`: the records of the store, an upper bound of what there is to keep. */
  constructor(count: number, secret: number) {
    this.#ids = new IdSet(count, 6, secret)
    this.#bases = new IdSet(count / 16, 6, secret)
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
    const isNew = this.#bases.add(id, depth + 1)
    this.#bases.mark(id, 'wanted', depth + 1)
    return isNew
  }

  /** There is such a record, in a pack of the store's own. */
  found(id: Buffer, depth: number): void {
    this.#ids.mark(id, 'found')
    if (!this.isBase(id, depth)) return
    for (let deeper = depth; deeper <= deltaDepthMax; deeper++) this.#bases.mark(id, 'found', deeper + 1)
  }

  /** Chunks that are needed, and records that others build on, of which none was found: where all were looked for. */
  get missing(): number {
    return this.#ids.missing('all') + this.#bases.missing('wanted')
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
