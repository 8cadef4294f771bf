/**
 * Takes batches away that were published anew: only while the image's generation is open, by construction. A batch in
 * the open part has no such path once that was renamed; one of an older generation is moved into the open part first,
 * which fails then.
 */
import { HoldfastError, isCode } from '../../errors.ts'
import { openPart } from '../generation.ts'
import { batchName, generationDirectory, generationParts } from '../layout.ts'
import type { LocalImage } from '../outbox.ts'
import { joinPath } from '../paths.ts'
import type { CallOptions, Replica } from '../replica.ts'
import type { OldBatch } from './image-plan.ts'

interface Removed {
  readonly image: string
  readonly generation: string
  /** Its name in the open part: its own, or one that it gets. */
  readonly name: string
  readonly isOpen: boolean
}

export class RecordRemoval {
  readonly #replica: Replica
  readonly #self: string
  readonly #onFenced: (image: string) => void
  readonly #batches = new Map<string, Removed>()
  readonly #fenced = new Set<string>()

  /** `self` is never used again. */
  constructor(replica: Replica, self: string, onFenced: (image: string) => void) {
    this.#replica = replica
    this.#self = self
    this.#onFenced = onFenced
  }

  /** Those that may be removed from now on. */
  add({ image, key }: LocalImage, generation: number, batches: readonly OldBatch[]): void {
    const [open] = generationParts(key, generation)
    for (const { path, name } of batches) {
      const isOpen = path === joinPath(open, batchName(name))
      const moved = { ...name, revision: `${this.#self}x${this.#batches.size}` }
      const target = batchName(isOpen ? name : moved)
      this.#batches.set(path, { image, generation: generationDirectory(key, generation), name: target, isOpen })
    }
  }

  get paths(): string[] {
    return [...this.#batches.keys()]
  }

  /** Of an image that another store has taken over nothing is removed. Errors: those of every call. */
  async remove(path: string, call: CallOptions): Promise<void> {
    const batch = this.#batches.get(path)
    if (batch === undefined || this.#fenced.has(batch.image)) return
    const { image, generation, name, isOpen } = batch
    const target = joinPath(openPart(generation), name)
    try {
      if (!isOpen) await this.#move(path, generation, name, call)
    } catch (error) {
      if (!isCode(error, 'FENCED')) throw error
      return this.#fence(image)
    }
    await this.#replica.remove(target, call)
  }

  /** Tells of images that were taken over meanwhile, of which some batches may have stayed. */
  async settle(call: CallOptions): Promise<void> {
    const generations = new Map([...this.#batches.values()].map(({ image, generation }) => [image, generation]))
    for (const [image, generation] of generations) {
      if (!this.#fenced.has(image) && await this.#replica.stat(openPart(generation), call) === null) this.#fence(image)
    }
  }

  #fence(image: string): void {
    this.#fenced.add(image)
    this.#onFenced(image)
  }

  async #move(path: string, generation: string, name: string, call: CallOptions): Promise<void> {
    try {
      await this.#replica.publishIntent(path, generation, name, call)
    } catch (error) {
      // It is gone, by an earlier try perhaps: then it has its new name.
      if (isCode(error, 'NOT_FOUND')) return
      if (!isCode(error, 'EXISTS')) throw error
      // An earlier try died with both names there.
      await this.#replica.remove(joinPath(openPart(generation), name), call)
      throw new HoldfastError('REPLICA_UNCLEAR', `${path} has two names: it is moved again`, { cause: error })
    }
  }
}
