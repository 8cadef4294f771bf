/** What goes on in an engine that a collection of garbage has to know of. */
import { HoldfastError } from '../../errors.ts'
import type { StoredEpoch } from '../../format/epoch.ts'

export class Activity {
  readonly #creating = new Set<Promise<unknown>>()
  readonly #held = new Map<StoredEpoch, number>()
  #upkeep: string | null = null

  /** An image is being made: its chunks are put, and no record names them yet. */
  async creating<T>(run: () => Promise<T>): Promise<T> {
    const running = run()
    this.#creating.add(running)
    try {
      return await running
    } finally {
      this.#creating.delete(running)
    }
  }

  /** Waits for those that have begun, however they end. */
  async created(): Promise<void> {
    await Promise.allSettled([...this.#creating])
  }

  /** Epochs stay, with all that they need, while something reads them for long. */
  async holding<T>(epochs: readonly StoredEpoch[], run: () => Promise<T>): Promise<T> {
    for (const epoch of epochs) this.#held.set(epoch, (this.#held.get(epoch) ?? 0) + 1)
    try {
      return await run()
    } finally {
      for (const epoch of epochs) {
        const count = this.#held.get(epoch)! - 1
        if (count === 0) this.#held.delete(epoch)
        else this.#held.set(epoch, count)
      }
    }
  }

  get held(): StoredEpoch[] {
    return [...this.#held.keys()]
  }

  /** Check, repair, collection and a new index would confuse each other. Errors: BUSY. */
  async upkeep<T>(what: string, run: () => Promise<T>): Promise<T> {
    if (this.#upkeep !== null) {
      throw new HoldfastError('BUSY', `${this.#upkeep} is running in this store: try again when it has ended`)
    }
    this.#upkeep = what
    try {
      return await run()
    } finally {
      this.#upkeep = null
    }
  }
}
