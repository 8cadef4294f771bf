/**
 * Packs that are not in this store and that its records may build on. A store that was restored has chunks in its index
 * that others brought to the replica, and any image of it may come to refer to them. So every batch of such a store
 * names all that it inherited, with all its images: those that it has here, and those that it ever opened on the
 * replica. Each of its batches says so again, so of an image that it owns one batch is enough.
 *
 * Its own packs are inherited, too, where an image came back after they had left the store. What leaves while the image
 * is here leaves what is needed of it in others; a process that did not see that takes it for inherited.
 */
import { isCode } from '../../errors.ts'
import { decodeEpochIdentity } from '../../format/epoch.ts'
import type { PackHomes } from '../collection/pack-homes.ts'
import { batchesOf } from '../collection/survey.ts'
import { epochsDirectory, imageKey } from '../layout.ts'
import { listNames } from '../list-names.ts'
import type { LocalImage, Outbox } from '../outbox.ts'
import type { CallOptions, Replica } from '../replica.ts'
import { newestGeneration } from './ownership.ts'

export class InheritedPacks {
  readonly #replica: Replica
  readonly #outbox: Outbox
  readonly #homes: PackHomes
  /** Names of the packs that the store has now. */
  readonly #local: () => readonly string[]
  readonly #everLocal = new Set<string>()
  /** Images as they came: one that was removed and came back is another one. */
  readonly #met = new WeakSet<LocalImage>()
  /** Names of packs of our own that were not here when an image came. */
  readonly #heirlooms = new Set<string>()
  /** Keys of images that were looked at. */
  readonly #looked = new Set<string>()
  readonly #packs = new Set<string>()
  readonly #orphans = new Map<string, string>()
  #isOwnRead = false

  constructor(replica: Replica, outbox: Outbox, homes: PackHomes, local: () => readonly string[]) {
    this.#local = local
    this.#replica = replica
    this.#outbox = outbox
    this.#homes = homes
  }

  /** Their names. Errors: DAMAGED, BAD_FORMAT, NEWER_VERSION (records there), those of every call. */
  async names(call: CallOptions): Promise<readonly string[]> {
    if (!this.#outbox.isRestored()) return []
    for (const name of this.#local()) this.#everLocal.add(name)
    for (const image of this.#outbox.images()) {
      if (!this.#looked.has(image.key) || !this.#met.has(image)) await this.#look(image, call)
    }
    if (!this.#isOwnRead) await this.#readOwn(call)
    this.#isOwnRead = true
    return [...this.#packs]
  }

  /** Why an image is not to be published: what it was made of left the replica before it was there itself. */
  orphaned(key: string): string | undefined {
    return this.#orphans.get(key)
  }

  /** What is known is found out again. */
  forget(): void {
    this.#orphans.clear()
    this.#looked.clear()
    this.#packs.clear()
    this.#isOwnRead = false
  }

  /** Its own history, that of the image that it was left behind by, and its parent's. */
  async #look(image: LocalImage, call: CallOptions): Promise<void> {
    const isNew = !this.#met.has(image)
    const own = await this.#add(image.key, isNew, call)
    const original = imageKey(image.imageId)
    if (original !== image.key) await this.#add(original, isNew, call)
    const [first] = this.#outbox.epochNumbers(image, -1)
    const record = first === undefined ? null : this.#outbox.record(image, first)
    const parent = record === null ? null : decodeEpochIdentity(record, `epoch ${image.image}@${first}`).parent
    if (parent !== null && !parent.imageId.equals(image.imageId)) {
      const there = await this.#add(imageKey(parent.imageId), isNew, call)
      const isOrphan = own.size === 0 && there.size > 0 && !there.has(parent.number)
      if (isOrphan) this.#orphans.set(image.key, this.#why(image, parent))
    }
    this.#looked.add(image.key)
    this.#met.add(image)
  }

  /** Removed here since, perhaps: what is made of its chunks stays. */
  async #readOwn(call: CallOptions): Promise<void> {
    for (const key of await listNames(this.#replica, epochsDirectory, call)) {
      if (this.#looked.has(key) || !await this.#isOwned(key, call)) continue
      await this.#add(key, false, call)
    }
  }

  async #isOwned(key: string, call: CallOptions): Promise<boolean> {
    try {
      return (await newestGeneration(this.#replica, key, call))?.owner.storeId.equals(this.#outbox.storeId) ?? false
    } catch (error) {
      if (isCode(error, 'NOT_FOUND', 'DAMAGED', 'BAD_FORMAT', 'NEWER_VERSION')) return false
      throw error
    }
  }

  /** The numbers of its epochs there. */
  async #add(key: string, isNew: boolean, call: CallOptions): Promise<Set<number>> {
    const numbers = new Set<number>()
    const packs = new Set<string>()
    for await (const batch of batchesOf(this.#replica, key, call)) {
      for (const { number } of batch.epochs) numbers.add(number)
      for (const pack of batch.packs) packs.add(pack)
    }
    const others = await this.#homes.others(packs, call)
    for (const pack of others) {
      this.#packs.add(pack)
      packs.delete(pack)
    }
    this.#addOwn(packs, isNew)
    return numbers
  }

  #addOwn(packs: Iterable<string>, isNew: boolean): void {
    const local = new Set(this.#local())
    for (const pack of packs) {
      if (local.has(pack)) continue
      if (isNew || !this.#everLocal.has(pack)) this.#heirlooms.add(pack)
      if (this.#heirlooms.has(pack)) this.#packs.add(pack)
    }
  }

  #why({ image }: LocalImage, parent: { image: string; number: number }): string {
    return `${image} was made of ${parent.image}@${parent.number}, which has left ${this.#replica.url} since: it is ` +
      `not brought there, as what it lacks here is gone ('holdfast check ${image}' tells what)`
  }
}
