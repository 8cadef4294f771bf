/**
 * Publishes batches of records such that no collector takes a pack away that they name: carries out what
 * `protocol/writer.ts` says. One for each replica and run of its feed, one publication at a time. What it learnt of
 * the packs is kept from one batch to the next.
 */
import type { Buffer } from 'node:buffer'
import { HoldfastError, isCode } from '../errors.ts'
import { epochBatchBytesMax } from '../limits.ts'
import { openPart } from './generation.ts'
import { intentsDirectory, packsDirectory } from './layout.ts'
import { listNames } from './list-names.ts'
import { joinPath } from './paths.ts'
import type { CollectionReply } from './protocol/collection.ts'
import { type WriterAction, type WriterState, beginWriter, stepWriter } from './protocol/writer.ts'
import { readObject } from './read-object.ts'
import type { CallOptions, Replica } from './replica.ts'

/** One batch: its name in the generation, the packs that its readers may need, and its bytes, which name these. */
export interface Publication {
  readonly name: string
  readonly packs: readonly string[]
  encode(packs: readonly string[]): Buffer
  /** Whether an object of that name holds the same records, whatever packs it names: an earlier run's publication. */
  isSame(bytes: Buffer): boolean
}

/**
 * Uploads what these packs hold under other names, each made with `attempt`, which never comes twice: such as
 * PACK.ATTEMPT. Tells which stand for which. Errors: those of a put; after REPLICA_UNCLEAR it is asked again.
 */
export type ReplacePacks = (
  packs: readonly string[], attempt: string, options: CallOptions,
) => Promise<Readonly<Record<string, readonly string[]>>>

/** Of a pack whose directory is there: whether what is to be in it is there, as far as that can be told. */
export type IsWhole = (pack: string, options: CallOptions) => Promise<boolean>

export class Publisher {
  readonly #replica: Replica
  readonly #replace: ReplacePacks
  readonly #isWhole: IsWhole
  #state: WriterState
  #isReady = false

  /** `self`: letters and digits, of this publisher alone, never used again. */
  constructor(
    replica: Replica, self: string, replace: ReplacePacks, isWhole: IsWhole = () => Promise.resolve(true),
  ) {
    this.#replica = replica
    this.#replace = replace
    this.#isWhole = isWhole
    this.#state = beginWriter(self)
  }

  /**
   * On return the batches are published, for good, in this order; when it throws, the first ones may be.
   * Errors: FENCED, and those of every call.
   */
  async publish(generation: string, batches: readonly Publication[], options: CallOptions = {}): Promise<void> {
    const byName = new Map(batches.map((batch) => [batch.name, batch]))
    const records = batches.map(({ name, packs }) => ({ record: name, packs }))
    try {
      if (!this.#isReady) await this.#replica.makeDirectory(intentsDirectory, options)
      this.#isReady = true
      let step = stepWriter(this.#state, { type: 'publish', records })
      while (step.action !== null) {
        this.#state = step.state
        const reply = await answerOf(this.#carryOut(step.action, { generation, byName, options }))
        step = stepWriter(step.state, { type: 'reply', reply })
      }
      this.#state = step.state
    } catch (error) {
      this.#beginAgain()
      throw error
    }
    if (this.#state.phase !== 'fenced') return
    this.#beginAgain()
    throw new HoldfastError('FENCED', `${generation} was closed: another writer took over`)
  }

  /** What is known of the replica is found out again: another one may lie there now. */
  forget(): void {
    this.#beginAgain()
  }

  /** What was asked for may come late: no name is used again, and nothing is known. */
  #beginAgain(): void {
    const { self, count } = this.#state
    this.#isReady = false
    this.#state = { ...beginWriter(self), count: count + 1 }
  }

  async #carryOut(action: WriterAction, { generation, byName, options }: Publishing): Promise<CollectionReply> {
    switch (action.type) {
      case 'intend': {
        const bytes = batchOf(byName, action.record).encode(action.packs)
        await this.#replica.put(joinPath(intentsDirectory, action.intent), bytes, options)
        return done
      }
      case 'list': return { type: 'listed', names: await listNames(this.#replica, action.place, options) }
      case 'miss': return { type: 'listed', names: await this.#missing(action.packs, options) }
      case 'replace': return { type: 'replaced', names: await this.#replace(action.packs, action.attempt, options) }
      case 'drop':
        await this.#replica.remove(joinPath(intentsDirectory, action.intent), options)
        return done
      case 'publish': return this.#publish(action, { generation, byName, options })
    }
  }

  async #publish(
    { intent, record }: Extract<WriterAction, { type: 'publish' }>, { generation, byName, options }: Publishing,
  ): Promise<CollectionReply> {
    try {
      await this.#replica.publishIntent(joinPath(intentsDirectory, intent), generation, record, options)
      return done
    } catch (error) {
      if (isCode(error, 'NOT_FOUND')) return { type: 'gone' }
      if (isCode(error, 'FENCED')) return { type: 'fenced' }
      if (!isCode(error, 'EXISTS')) throw error
      if (await this.#isSame(joinPath(openPart(generation), record), batchOf(byName, record), options)) {
        return { type: 'exists' }
      }
      const message = `${record} in ${generation} is not ours: a copy of this store publishes too`
      throw new HoldfastError('FENCED', message, { cause: error })
    }
  }

  async #isSame(path: string, batch: Publication, options: CallOptions): Promise<boolean> {
    try {
      return batch.isSame(await readObject(this.#replica, path, epochBatchBytesMax, options))
    } catch (error) {
      // A generation that was closed since keeps what was published in it: the next publication tells.
      if (isCode(error, 'NOT_FOUND')) return true
      throw error
    }
  }

  /**
   * A pack is there if its directory is: a collector empties it only after the pack counts as gone. But a range that
   * was put after that, by ourselves when we did not know, makes the directory anew without what was before it.
   */
  async #missing(packs: readonly string[], options: CallOptions): Promise<string[]> {
    const isListed = packs.length > listedPacksMin
    const listed = new Set(isListed ? await listNames(this.#replica, packsDirectory, options) : [])
    const missing: string[] = []
    for (const pack of packs) {
      const isThere = isListed
        ? listed.has(pack) : await this.#replica.stat(joinPath(packsDirectory, pack), options) !== null
      if (!isThere || !await this.#isWhole(pack, options)) missing.push(pack)
    }
    return missing
  }
}

interface Publishing {
  readonly generation: string
  readonly byName: ReadonlyMap<string, Publication>
  readonly options: CallOptions
}

const done: CollectionReply = { type: 'done' }

/** One listing of all packs costs as much as so many single looks. */
const listedPacksMin = 20

function batchOf(byName: ReadonlyMap<string, Publication>, record: string): Publication {
  const batch = byName.get(record)
  if (batch !== undefined) return batch
  throw new HoldfastError('USAGE', `${record} is none of the batches that are published`)
}

/** That an outcome is unclear is a reply; that nobody answers, or allows it, is the caller's business. */
async function answerOf(carryingOut: Promise<CollectionReply>): Promise<CollectionReply> {
  try {
    return await carryingOut
  } catch (error) {
    if (isCode(error, 'REPLICA_UNCLEAR', 'EXISTS')) return { type: 'unclear' }
    throw error
  }
}
