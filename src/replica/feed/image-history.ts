/** What a replica has of an image's history, and how it stands to the store's. */
import { HoldfastError, isCode } from '../../errors.ts'
import { type DecodedBatch, decodeEpochBatch } from '../../format/epoch-batch.ts'
import { decodeEpochIdentity } from '../../format/epoch.ts'
import { epochBatchBytesMax } from '../../limits.ts'
import { type BatchName, batchName, generationParts, imageKey, parseBatchName } from '../layout.ts'
import type { LocalImage, Outbox } from '../outbox.ts'
import type { OwnerRecord } from '../owner-record.ts'
import { joinPath } from '../paths.ts'
import { readObject } from '../read-object.ts'
import type { CallOptions, Replica } from '../replica.ts'
import { batchesIn, newestGeneration, readOwner } from './ownership.ts'

export class ImageHistory {
  readonly #replica: Replica
  readonly #outbox: Outbox
  readonly #image: LocalImage

  constructor(replica: Replica, outbox: Outbox, image: LocalImage) {
    this.#replica = replica
    this.#outbox = outbox
    this.#image = image
  }

  /**
   * Packs of other stores that this image may build on: what the newest batch of the last owner before us names; of
   * an image that nobody else owned, its parent's. (What we brought ourselves is here, or was moved to packs that are.)
   */
  async inherited(generation: number, call: CallOptions, key = this.#image.key): Promise<readonly string[]> {
    for (let number = generation; number > 0; number--) {
      const newest = (await this.published(number, call, key)).at(-1)
      if (newest === undefined) continue
      const { owner } = await readOwner(this.#replica, key, number, call)
      if (!owner.storeId.equals(this.#outbox.storeId)) return (await this.read(number, newest, call, key)).packs
    }
    const [outbox, replica, image] = [this.#outbox, this.#replica, this.#image]
    if (key !== image.key) return []
    const [first] = outbox.epochNumbers(image, -1)
    const record = first === undefined ? null : outbox.record(image, first)
    const parent = record === null ? null : decodeEpochIdentity(record, `epoch ${image.image}@${first}`).parent
    if (parent === null) return []
    const parentKey = imageKey(parent.imageId)
    if (parentKey === key) return this.#inheritedBefore(generation, call)
    return this.inherited((await newestGeneration(replica, parentKey, call))?.number ?? 0, call, parentKey)
  }

  /** Of an image whose first epochs are gone, with what they said of their parent: what its newest batch names. */
  async #inheritedBefore(generation: number, call: CallOptions): Promise<readonly string[]> {
    if (this.#image.origin.kind !== 'fork') return []
    for (let number = generation; number > 0; number--) {
      const newest = (await this.published(number, call)).at(-1)
      if (newest !== undefined) return (await this.read(number, newest, call)).packs
    }
    return []
  }

  /** The newest generation of this store's, and the last epoch that counts in it; of a stranger's image none does. */
  async lastOfOurs(known: number, call: CallOptions): Promise<{ generation: number; last: number }> {
    const [replica, outbox, key] = [this.#replica, this.#outbox, this.#image.key]
    const newest = await newestGeneration(replica, key, call)
    for (let generation = newest?.number ?? 0; generation > 0; generation--) {
      const { owner } = await readOwner(replica, key, generation, call)
      if (!owner.storeId.equals(outbox.storeId)) continue
      return { generation, last: await this.common({ number: generation, owner }, known, call) }
    }
    return { generation: newest?.number ?? 1, last: -1 }
  }

  /**
   * The last epoch of a generation of this store's that is the same there and here: all, unless a copy of this store
   * published, too. Errors: FENCED, where that matters.
   */
  async common(
    { number, owner }: { number: number; owner: OwnerRecord }, known: number, call: CallOptions, or?: 'or fenced',
  ): Promise<number> {
    const [outbox, image] = [this.#outbox, this.#image]
    const newest = outbox.epochNumbers(image, -1).at(-1) ?? -1
    let last = Math.max(known, owner.last)
    for (const name of await this.published(number, call)) {
      if (name.last <= last) continue
      for (const epoch of (await this.read(number, name, call)).epochs) {
        if (epoch.number <= last) continue
        const own = outbox.record(image, epoch.number)
        const isCommon = own === null ? epoch.number <= newest : own.subarray(-epoch.id.length).equals(epoch.id)
        if (!isCommon && or !== undefined) throw fenced(image.key)
        if (!isCommon) return last
        last = epoch.number
      }
    }
    return last
  }

  /** Errors: NOT_FOUND, DAMAGED, BAD_FORMAT, NEWER_VERSION. */
  async read(
    generation: number, name: BatchName, call: CallOptions, key = this.#image.key,
  ): Promise<DecodedBatch> {
    const [open, closed] = generationParts(key, generation)
    const read = async (part: string): Promise<DecodedBatch> => {
      const path = joinPath(part, batchName(name))
      return decodeEpochBatch(await readObject(this.#replica, path, epochBatchBytesMax, call), path)
    }
    try {
      return await read(open)
    } catch (error) {
      if (!isCode(error, 'NOT_FOUND')) throw error
      return read(closed)
    }
  }

  /** The batches of a generation, open or closed, in order. */
  async published(generation: number, call: CallOptions, key = this.#image.key): Promise<BatchName[]> {
    const replica = this.#replica
    for (const part of generationParts(key, generation)) {
      try {
        return namesOf(await batchesIn(replica, part, call))
      } catch (error) {
        if (!isCode(error, 'NOT_FOUND')) throw error
      }
    }
    return []
  }
}

function namesOf(batches: readonly string[]): BatchName[] {
  return batches.map((name) => parseBatchName(name)!).sort((left, right) => left.first - right.first)
}

export function fenced(key: string): HoldfastError {
  return new HoldfastError('FENCED', `another writer has ${key}`)
}
