/** What a replica has of an image's history, and how it stands to the store's. */
import { HoldfastError, isCode } from '../../errors.ts'
import { type DecodedBatch, decodeEpochBatch } from '../../format/epoch-batch.ts'
import { epochBatchBytesMax } from '../../limits.ts'
import { type BatchName, batchName, generationParts, parseBatchName } from '../layout.ts'
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
