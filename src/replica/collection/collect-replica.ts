/**
 * Collects garbage on one replica. Records of epochs that no rule keeps go, of images whose generation there this
 * store has opened, and then the packs that no record and no intent of any store names any more:
 *
 *   1. all batches are read: what they name, and which epochs of ours they hold;
 *   2. of an image of ours what stays is published anew, in batches that name fewer packs; its readers find both;
 *   3. the collector's reducer (`protocol/collector.ts`) removes the old batches, and then packs.
 *
 * A batch of an older generation is moved into the open one before it is removed. So every removal of a record fails,
 * or does nothing, when another store has taken the image over: a collector that is late removes no record.
 * A pack that holds something needed stays whole.
 *
 * A death anywhere leaves records twice, or markers: the next collection has both.
 */
import type { Env } from '../../env/env.ts'
import { isCode, messageOf } from '../../errors.ts'
import { digestBytes } from '../../limits.ts'
import { epochsDirectory, packIdOf, packsDirectory, prefetchDirectory } from '../layout.ts'
import { listNames } from '../list-names.ts'
import type { LocalImage, LocalPack, Outbox } from '../outbox.ts'
import { joinPath } from '../paths.ts'
import type { CallOptions, Replica } from '../replica.ts'
import { CollectorRun } from './collector-run.ts'
import type { PackFates } from './dead-runs.ts'
import { type ForgottenImages, forgottenImages } from './forgotten-images.ts'
import {
  type ImagePlan, type OldBatch, groupsOf, planForgotten, planImage, recordsOf,
} from './image-plan.ts'
import type { PackHomes } from './pack-homes.ts'
import { RecordRemoval } from './record-removal.ts'
import { batchesOf, intentsOf } from './survey.ts'
import type { CollectedEpoch, OwnedImage, ReplicaCollected, ReplicaCollectionRequest } from './types.ts'

export interface CollectionParts {
  readonly env: Env
  readonly replica: Replica
  readonly outbox: Outbox
  readonly homes: PackHomes
  /** How names of this store's intents begin. */
  readonly intentsPrefix: string
  /** As of a cut after the store's own collection; all of it is there. */
  readonly packs: readonly LocalPack[]
  readonly nameOf: (pack: LocalPack) => string
  /** Errors: FENCED: another store has it. Null: it was never there. Changes nothing in a dry run. */
  readonly own: (image: LocalImage, call: CallOptions) => Promise<OwnedImage | null>
  /** Null: this replica is the authority itself. Errors: NOT_FOUND: there is none. */
  readonly authority: () => Replica | null
  /** Resolves when what was published, and the packs that it needs, would outlive a disk there. */
  readonly copied: (paths: readonly string[], call: CallOptions) => Promise<void>
  /** Puts index runs right that lead to what is gone. Returns how many. */
  readonly tidyRuns: (fates: PackFates, call: CallOptions) => Promise<number>
}

export interface CollectCall extends CallOptions {
  readonly progress?: (step: string, done: number, total: number) => void
}

interface Owned {
  readonly image: LocalImage
  readonly owned: OwnedImage
  /** All of it goes. */
  readonly isForgotten: boolean
}

interface Skipped {
  readonly image: string
  readonly reason: string
}

interface OwnedRecords extends Owned {
  readonly old: readonly OldBatch[]
  readonly records: ReturnType<typeof recordsOf>
}

interface PlannedImage extends OwnedRecords {
  readonly plan: ImagePlan
}

interface Survey {
  readonly images: readonly OwnedRecords[]
  /** Packs that records of others name. */
  readonly named: Set<string>
  /** IMAGEID@N of epochs that are parents of forks. */
  readonly parents: ReadonlySet<string>
}

export class ReplicaCollection {
  readonly #parts: CollectionParts
  readonly #request: ReplicaCollectionRequest
  readonly #local: ReadonlySet<string>
  readonly #skipped: Skipped[] = []
  readonly #refused: Skipped[] = []

  constructor(parts: CollectionParts, request: ReplicaCollectionRequest) {
    this.#parts = parts
    this.#request = request
    const going = request.dryRun?.packs ?? new Set<number>()
    this.#local = new Set(parts.packs.filter(({ number }) => !going.has(number)).map(parts.nameOf))
  }

  /** Errors: DAMAGED, BAD_FORMAT, NEWER_VERSION (what is named cannot be read), FEW_COPIES, those of every call. */
  async run(call: CollectCall): Promise<ReplicaCollected> {
    const survey = await this.#survey(call)
    const planned: PlannedImage[] = []
    for (const image of survey.images) planned.push(await this.#plan(image, survey.parents, call))
    const { intents, packs } = await this.#garbage(survey, planned, call)
    if (this.#request.dryRun === null) return this.#execute(planned, intents, packs, call)
    return this.#report(planned, { packs: packs.length, bytes: await this.#bytesOf(packs, call) }, 0)
  }

  async #survey(call: CollectCall): Promise<Survey> {
    const { replica } = this.#parts
    const images: OwnedRecords[] = []
    const [named, parents] = [new Set<string>(), new Set<string>()]
    const keys = await listNames(replica, epochsDirectory, call)
    const forgotten = await this.#forgotten(keys, call)
    for (const [done, key] of keys.entries()) {
      call.progress?.('reading records', done, keys.length)
      const found = await this.#ownOf(key, forgotten, call)
      const own = 'owned' in found ? found : null
      const old: OldBatch[] = []
      let hasRecords = false
      for await (const batch of batchesOf(replica, key, call)) {
        hasRecords = true
        for (const { imageId, parent } of batch.epochs) {
          if (parent !== null && !parent.imageId.equals(imageId)) parents.add(addressOf(parent))
        }
        if (own !== null) old.push(batch)
        else for (const pack of batch.packs) named.add(pack)
      }
      if (own !== null) images.push({ ...own, old, records: recordsOf(old) })
      else if (hasRecords && 'reason' in found) this.#skipped.push(found)
    }
    return { images, named, parents }
  }

  async #forgotten(keys: readonly string[], call: CollectCall): Promise<ForgottenImages['found']> {
    const { replica, outbox, authority } = this.#parts
    const { forget = [] } = this.#request
    if (forget.length === 0) return new Map()
    const { found, refused } = await forgottenImages({ replica, outbox, authority: authority() }, forget, keys, call)
    this.#refused.push(...refused)
    return found
  }

  /** Or why the image is not this store's to collect. */
  async #ownOf(key: string, forgotten: ForgottenImages['found'], call: CollectCall): Promise<Owned | Skipped> {
    const left = forgotten.get(key)
    if (left !== undefined) return { ...left, isForgotten: true }
    const image = this.#parts.outbox.images().find((each) => each.key === key)
    if (image === undefined) return { image: key, reason: 'it is not in this store' }
    try {
      const owned = await this.#parts.own(image, call)
      if (owned !== null) return { image, owned, isForgotten: false }
      return { image: image.image, reason: 'it was never opened there' }
    } catch (error) {
      if (!isCode(error, 'FENCED')) throw error
      return { image: image.image, reason: 'another store owns it' }
    }
  }

  #skip(image: string, reason: string): void {
    this.#skipped.push({ image, reason })
  }

  async #plan(owned: OwnedRecords, parents: ReadonlySet<string>, call: CollectCall): Promise<PlannedImage> {
    const { outbox, homes } = this.#parts
    const { image, records } = owned
    if (owned.isForgotten) {
      const isParent = records.some(({ epoch }) => parents.has(addressOf(epoch)))
      if (isParent) this.#refused.push({ image: image.image, reason: 'forks were made of it' })
      return { ...owned, plan: planForgotten(records.map(({ kept }) => kept), isParent) }
    }
    const staying = records.length === 0 ? new Set<number>() : this.#staying(owned, parents)
    const left = new Set<string>()
    for (const pack of new Set(records.flatMap(({ kept }) => kept.packs))) {
      const isHere = this.#local.has(pack) || this.#request.ownPacks.has(packIdOf(pack))
      if (!isHere && await homes.isOurs(pack, call)) left.add(pack)
    }
    const isHere = (number: number, record: Buffer): boolean => {
      const isComplete = this.#request.completeEpochs.has(record.subarray(-digestBytes).toString('hex'))
      return isComplete && outbox.record(image, number)?.equals(record) === true
    }
    const plan = planImage(records.map(({ kept }) => kept), staying, { left, instead: [...this.#local], isHere })
    return { ...owned, plan }
  }

  /** What the rules keep of all that is there, and what is in the store. */
  #staying({ image, records }: OwnedRecords, parents: ReadonlySet<string>): ReadonlySet<number> {
    const { outbox } = this.#parts
    const going = this.#request.dryRun?.epochs
    const here = new Set(outbox.epochNumbers(image, -1).filter((number) => !going?.has(`${image.image}@${number}`)))
    const machine = records.findLast(({ epoch }) => epoch.machine !== null)?.epoch.number
    const epochs = records.map(({ epoch: { number, wallMs, imageId } }): CollectedEpoch => {
      const isParent = parents.has(addressOf({ imageId, number }))
      const isNeeded = here.has(number) ? 'in the store' : isParent ? 'fork' : null
      return { number, wallMs, neededFor: number === machine ? 'newest with a machine' : isNeeded }
    })
    return this.#request.decide(image.image, epochs)
  }

  /** Intents of earlier runs of this store, and packs that nothing names. */
  async #garbage(
    { named }: Survey, planned: readonly PlannedImage[], call: CollectCall,
  ): Promise<{ intents: string[]; packs: string[] }> {
    const { replica, outbox, intentsPrefix, homes } = this.#parts
    const released = new Set<string>()
    for (const { plan, old, records } of planned) {
      const lists = plan.isWorthwhile ? plan.kept : records.map(({ kept }) => kept)
      for (const { packs } of lists) for (const pack of packs) named.add(pack)
      for (const { packs } of old) for (const pack of packs) released.add(pack)
    }
    const intents: string[] = []
    for await (const { name, packs } of intentsOf(replica, call)) {
      if (name.startsWith(intentsPrefix)) intents.push(name)
      else for (const pack of packs) named.add(pack)
    }
    const garbage: string[] = []
    for (const pack of await listNames(replica, packsDirectory, call)) {
      if (named.has(pack) || this.#local.has(pack)) continue
      const isWhole = this.#request.isComplete || outbox.isRestored()
      if (await homes.isOurs(pack, call) ? isWhole : released.has(pack)) garbage.push(pack)
    }
    return { intents, packs: garbage }
  }

  async #execute(
    planned: readonly PlannedImage[], intents: readonly string[], packs: readonly string[], call: CollectCall,
  ): Promise<ReplicaCollected> {
    const { env, replica } = this.#parts
    const self = env.randomBytes(8).toString('hex')
    const removal = new RecordRemoval(replica, self, (image) => this.#skip(image, 'another store took it over'))
    const published: string[] = []
    for (const each of planned) if (each.plan.isWorthwhile) published.push(...await this.#rewrite(each, removal, call))
    if (published.length > 0) await this.#parts.copied(published, call)
    const run = new CollectorRun({ replica, self, removeRecord: (path, options) => removal.remove(path, options) })
    const removed = (done: number): void => call.progress?.('removing packs', done, Math.max(done, packs.length))
    await run.run({ records: removal.paths, intents, packs }, { ...call, removed })
    await removal.settle(call)
    const helpers = await this.#tidy(planned, run.removed.packs, call)
    return this.#report(planned, { packs: run.removed.packs.size, bytes: run.removed.bytes }, helpers)
  }

  /** What stays is there before what was there goes. */
  async #rewrite(planned: PlannedImage, removal: RecordRemoval, call: CollectCall): Promise<string[]> {
    const { image, owned, plan, old } = planned
    try {
      const paths = await owned.publishAgain(groupsOf(plan.kept), call)
      removal.add(image, owned.generation, old)
      return paths
    } catch (error) {
      if (!isCode(error, 'FENCED')) throw error
      this.#skip(image.image, `another store took it over: ${messageOf(error)}`)
      return []
    }
  }

  /** Prefetch lists of epochs that are gone, and entries of index runs that lead nowhere. */
  async #tidy(
    planned: readonly PlannedImage[], packs: ReadonlySet<string>, call: CollectCall,
  ): Promise<number> {
    const { replica, tidyRuns } = this.#parts
    let removed = 0
    for (const { image, plan } of planned) {
      const going = new Set(plan.going)
      const directory = joinPath(prefetchDirectory, image.key)
      for (const name of going.size === 0 ? [] : await listNames(replica, directory, call)) {
        if (!going.has(Number(name))) continue
        await replica.remove(joinPath(directory, name), call)
        removed += 1
      }
    }
    if (packs.size === 0) return removed
    const idsOf = (names: Iterable<string>): Set<string> => new Set([...names].map(packIdOf))
    const there = idsOf(await listNames(replica, packsDirectory, call))
    return removed + await tidyRuns({ there, removed: idsOf(packs) }, call)
  }

  async #bytesOf(packs: readonly string[], call: CollectCall): Promise<number> {
    let bytes = 0
    for (const pack of packs) bytes += await this.#parts.homes.bytes(pack, call)
    return bytes
  }

  #report(
    planned: readonly PlannedImage[], removed: { packs: number; bytes: number }, removedHelpers: number,
  ): ReplicaCollected {
    const done = planned.filter(({ image }) => !this.#skipped.some((each) => each.image === image.image))
    return {
      keptEpochs: done.reduce((sum, { plan }) => sum + plan.kept.length, 0),
      removedEpochs: done.flatMap(({ image, plan }) => plan.going.map((number) => `${image.image}@${number}`)),
      removedPacks: removed.packs, freedBytes: removed.bytes, removedHelpers, refused: this.#refused,
      skipped: this.#skipped,
    }
  }
}

function addressOf({ imageId, number }: { imageId: Buffer; number: number }): string {
  return `${imageId.toString('hex')}@${number}`
}
