/**
 * Removes epochs that retention lets go, and then what no epoch, head or mount needs any more. It runs in the engine's
 * thread, in short turns, beside everything that goes on there:
 *
 *   1. from now on all that is put is noted (`PackCollection`);
 *   2. what had begun before is waited for: commits, images that are being made;
 *   3. records of epochs are removed;
 *   4. what is left is marked: epochs, heads, what mounts still read by, what is being exported;
 *   5. packs are looked through, planned, dropped and rewritten.
 *
 * Whatever becomes of a record after (4) was made of what it reached or was put since (1). A crash anywhere leaves
 * garbage for the next time.
 */
import type { Buffer } from 'node:buffer'
import type { Env } from '../../env/env.ts'
import { HoldfastError } from '../../errors.ts'
import type { PackCollection } from '../../store/collection/pack-collection.ts'
import { type PlanLimits, defaultPlanLimits } from '../../store/collection/pack-plan.ts'
import type { LocalChunkStore } from '../../store/local-chunk-store.ts'
import type { ImageCatalog } from '../catalog.ts'
import type { OpenImage } from '../open-image.ts'
import { hasSources } from '../source-list.ts'
import type { CallOptions } from '../types.ts'
import type { Activity } from './activity.ts'
import { type EpochRoots, readEpoch, readEpochs, retainedEpochs, rootsOf } from './image-epochs.ts'
import { Marking } from './mark.ts'
import { type RetentionRules, decide } from './retention.ts'
import type { CollectedGarbage, GarbageRequest, RemovedEpoch } from './types.ts'

export interface GarbageContext {
  readonly env: Env
  readonly store: LocalChunkStore
  readonly catalog: ImageCatalog
  readonly activity: Activity
}

/** Errors: NOT_FOUND (an image), BUSY, DAMAGED (what is needed cannot be told), ABORTED, IO, FAILED_STATE. */
export async function collectGarbage(
  context: GarbageContext, request: GarbageRequest, call: CallOptions,
): Promise<CollectedGarbage> {
  using packs = context.store.beginCollection()
  await context.activity.created()
  await context.catalog.settle()
  await context.store.sync()
  return await new GarbageCollection(context, packs, request, call).run()
}

interface SurveyedImage {
  readonly image: OpenImage
  readonly epochs: readonly EpochRoots[]
  readonly rules: RetentionRules
}

class GarbageCollection {
  readonly #context: GarbageContext
  readonly #packs: PackCollection
  readonly #request: GarbageRequest
  readonly #call: CallOptions
  readonly #removed: RemovedEpoch[] = []
  #reasons: Record<string, readonly string[]> = {}
  #keptEpochs = 0
  #markedEpochs: readonly string[] = []
  #forks: readonly { image: string; imageId: Buffer; number: number }[] = []

  constructor(context: GarbageContext, packs: PackCollection, request: GarbageRequest, call: CallOptions) {
    this.#context = context
    this.#packs = packs
    this.#request = request
    this.#call = call
  }

  async run(): Promise<CollectedGarbage> {
    const surveyed = await this.#survey()
    const isDry = this.#request.dryRun === true
    this.#forks = this.#context.catalog.forkedFrom()
    for (const each of surveyed) this.#remove(each, isDry)
    await this.#mark(surveyed)
    const plan = await this.#packs.plan(this.#call, limitsOf(this.#request))
    const { freedBytes, movedBytes, unusedBytes } = plan
    const { isComplete, live } = this.#packs
    const told = {
      dryRun: isDry, keptEpochs: this.#keptEpochs, removedEpochs: this.#removed, reasons: this.#reasons,
      liveRecords: live.count, unusedBytes, isComplete, completeEpochs: isComplete ? this.#markedEpochs : [],
    }
    if (isDry) {
      const counts = { droppedPacks: plan.drop.length, rewrittenPacks: plan.rewrite.length, freedBytes, movedBytes }
      const goingPacks = [...plan.drop, ...plan.rewrite].map(({ number }) => number)
      return { ...told, ...counts, goingPacks, left: [], ownPacks: this.#ownPacks(goingPacks) }
    }
    const { kept, ...done } = await this.#packs.execute(plan, this.#call)
    return { ...told, ...done, goingPacks: [], left: kept, ownPacks: this.#ownPacks([]) }
  }

  #ownPacks(without: readonly number[]): string[] {
    const own = this.#context.store.packs().filter(({ number, isCopied }) => !isCopied && !without.includes(number))
    return own.map(({ packId }) => packId.toString('hex'))
  }

  async #survey(): Promise<SurveyedImage[]> {
    const { catalog } = this.#context
    const names = catalog.names()
    const chosen = this.#request.images ?? names
    for (const name of chosen) catalog.image(name)
    const surveyed: SurveyedImage[] = []
    for (const [done, name] of names.entries()) {
      this.#call.progress?.({ step: 'reading epochs', done, total: names.length, unit: 'steps' })
      const image = imageOf(catalog, name)
      if (image === null) continue
      const epochs = await readEpochs(image, this.#call)
      surveyed.push({ image, epochs, rules: chosen.includes(name) ? this.#request : {} })
    }
    return surveyed
  }

  /** Why each of them stays; no reason: it goes. */
  #reasonsOf({ image, epochs, rules }: SurveyedImage): Map<number, readonly string[]> {
    const { keepLast, keepWithinMs, keepHourly, keepDaily, keepWeekly, thin } = rules
    const retained = retainedEpochs(image, epochs, this.#neededByOthers(image), this.#request.unreplicated === true)
    const decisions = decide(retained, { keepLast, keepWithinMs, keepHourly, keepDaily, keepWeekly, thin })
    return new Map(decisions.map(({ number, reasons }) => [number, reasons]))
  }

  /** Parents of forks, and what is being read for long. */
  #neededByOthers({ identity }: OpenImage): Map<number, string> {
    const { activity } = this.#context
    const needed = new Map<number, string>()
    for (const { image, number, imageId } of this.#forks) {
      if (imageId.equals(identity.id)) needed.set(number, `fork ${image}`)
    }
    for (const { imageId, number } of activity.held) if (imageId.equals(identity.id)) needed.set(number, 'being read')
    return needed
  }

  /** Decided and done in one turn: what was pinned, forked, removed or is read since the survey counts. */
  #remove(surveyed: SurveyedImage, isDry: boolean): void {
    const { image } = surveyed
    // Removed meanwhile, or under another name, as another writer took it over: the next time decides.
    if (imageOf(this.#context.catalog, image.identity.image) !== image) return
    const there = new Set(image.files.epochNumbers())
    const epochs = surveyed.epochs.filter(({ number }) => there.has(number))
    const reasons = this.#reasonsOf({ ...surveyed, epochs })
    const going = epochs.filter(({ number }) => reasons.get(number)?.length === 0)
    for (const { number, wallMs, note } of going) {
      const storedBytes = image.statistics.get(number)
      this.#removed.push({ epoch: `${image.identity.image}@${number}`, wallMs, note, storedBytes })
    }
    this.#keptEpochs += epochs.length - going.length
    if (!isDry) return image.files.removeEpochs(going.map(({ number }) => number))
    for (const [number, why] of reasons) {
      if (why.length > 0) this.#reasons[`${image.identity.image}@${number}`] = why
    }
  }

  async #mark(surveyed: readonly SurveyedImage[]): Promise<void> {
    const { store, env } = this.#context
    const marking = new Marking({
      reader: store, keep: (id) => this.#packs.live.keep(id), secret: env.randomBytes(4).readInt32LE(0),
      mayBeAbsent: hasSources(env, store.layout.directory), call: this.#call,
    })
    const { epochs, manifests } = this.#roots(surveyed)
    this.#markedEpochs = epochs.map(({ id }) => id.toString('hex'))
    const roots = [...epochs, ...manifests.map((manifest) => ({ manifest, stateRoot: null }))]
    for (const [done, { manifest, stateRoot }] of roots.entries()) {
      this.#call.progress?.({ step: 'marking epochs', done, total: roots.length, unit: 'epochs' })
      await marking.manifest(manifest)
      if (stateRoot !== null) await marking.data(stateRoot)
    }
  }

  /** As of now, in one turn: of what is sealed later all was put, or is reached from here. */
  #roots(surveyed: readonly SurveyedImage[]): { epochs: EpochRoots[]; manifests: Buffer[] } {
    const { catalog, activity } = this.#context
    const known = new Map(surveyed.map(({ image, epochs }) => {
      return [image, new Map(epochs.map((each) => [each.number, each]))]
    }))
    const going = new Set(this.#request.dryRun === true ? this.#removed.map(({ epoch }) => epoch) : [])
    const epochs = activity.held.map((record) => rootsOf(record))
    const manifests: Buffer[] = []
    for (const name of catalog.names()) {
      const image = imageOf(catalog, name)
      if (image === null) continue
      for (const number of image.files.epochNumbers()) {
        if (going.has(`${name}@${number}`)) continue
        const epoch = known.get(image)?.get(number) ?? readEpoch(image, number)
        if (epoch !== null) epochs.push('machine' in epoch ? rootsOf(epoch) : epoch)
      }
      manifests.push(image.newest.manifest, ...image.served.manifests)
    }
    return { epochs, manifests }
  }
}

function limitsOf({ maxUnused }: GarbageRequest): PlanLimits {
  if (maxUnused === undefined) return defaultPlanLimits
  const openUnusedBytesMin = maxUnused === 0 ? 1 : defaultPlanLimits.openUnusedBytesMin
  return { unusedShareMax: maxUnused, openUnusedBytesMin }
}

/** Null when it was removed meanwhile. Errors: DAMAGED. */
function imageOf(catalog: ImageCatalog, name: string): OpenImage | null {
  if (!catalog.names().includes(name)) return null
  try {
    return catalog.image(name)
  } catch (error) {
    throw new HoldfastError('DAMAGED', `image ${name} cannot be read, so what it needs cannot be told from garbage: ` +
      `'holdfast check --repair', or 'holdfast rm ${name}'`, { cause: error })
  }
}
