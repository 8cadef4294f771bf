/**
 * Opens what a crash left and says everything that is not as it must be: what was acknowledged and is gone,
 * what was never written and is there, what does not check out, what can no longer be used.
 */
import { basename } from 'node:path'
import type { Env } from '../../src/env/env.ts'
import { isCode, messageOf } from '../../src/errors.ts'
import type { GarbageRequest } from '../../src/image/collection/types.ts'
import type { Engine } from '../../src/image/engine.ts'
import { ImageFiles } from '../../src/image/image-files.ts'
import type { CheckReport, EpochSummary } from '../../src/image/types.ts'
import type { Model, Operation } from '../image/model.ts'
import type { Random } from '../random.ts'
import { HeadInUse } from './head-in-use.ts'
import { ImageHistory } from './history.ts'
import type { Commit } from './history.ts'
import { locate } from './tree.ts'
import type { Tree } from './tree.ts'
import type { Volume } from './volume.ts'
import { packBytesMax } from './workload.ts'
import type { Workload } from './workload.ts'
import { initStore, openLocalEngine } from '../image/variant.ts'
import { domainKeys } from '../store/variant.ts'

/** A crash: what was done before it, and what it left. */
export interface Crash {
  readonly workload: Workload
  /** Operations before it. */
  readonly at: number
  /** The file system as its users saw it. */
  readonly volume: Volume
  /** What is left; opening it changes it. */
  readonly tree: Tree
  readonly env: Env
  readonly random: Random
  /** The index is gone, and with it the proof that a gap in a pack was never synced. */
  readonly isIndexGone: boolean
}

/** What the head of each image must hold; null: not compared. */
export type Expected = ReadonlyMap<string, Model | null>

export class Aftermath {
  readonly faults: string[] = []
  readonly #crash: Crash

  constructor(crash: Crash) {
    this.#crash = crash
  }

  /** Of a store that was spoilt: a repair puts all right, whatever became of one before. */
  async repair(): Promise<void> {
    const engine = await this.#open()
    if (engine === null) return
    try {
      this.#report(await engine.check({ readData: true, repair: true, from: this.#crash.workload.repairFrom }))
    } catch (error) {
      this.#fault(`the store cannot be repaired: ${messageOf(error)}`)
    } finally {
      await engine.close()
    }
  }

  /** What the heads must hold, judged by the files alone. */
  expected(): Expected {
    const { workload, at } = this.#crash
    const expected = new Map<string, Model | null>()
    for (const history of workload.images.values()) {
      if (!history.mayBeThere(at) || !this.#isThere(history.image)) continue
      const base = this.#newest(history)
      if (base !== null) expected.set(history.image, base.model === null ? null : this.#survivors(history, base))
    }
    return expected
  }

  /** `onRecovered`: all logs are committed, nothing new is written yet. */
  async examine(expected: Expected, onRecovered = (): void => undefined): Promise<void> {
    const engine = await this.#open()
    if (engine === null) return
    try {
      await this.#examineImages(engine)
      const heads: HeadInUse[] = []
      for (const [image, model] of expected) heads.push(...await this.#recover(engine, image, model))
      onRecovered()
      for (const head of heads) await this.#use(engine, head)
      this.#report(await engine.check({ readData: true }))
      if (this.#crash.workload.collects !== null) await this.#collect(engine, this.#crash.workload.collects)
    } finally {
      await engine.close()
    }
  }

  async #open(): Promise<Engine | null> {
    const { workload, at, env } = this.#crash
    const open = (): Promise<Engine> => openLocalEngine(workload.directory, { env, packBytesMax })
    try {
      return await open()
    } catch (error) {
      if (at >= workload.madeAt || !isCode(error, 'NOT_FOUND')) {
        this.#fault(`the store cannot be opened: ${messageOf(error)}`)
        return null
      }
    }
    initStore(env, workload.directory)
    return open()
  }

  async #examineImages(engine: Engine): Promise<void> {
    const { workload, at } = this.#crash
    const present = await engine.images()
    for (const { image, damaged } of present) {
      if (damaged !== undefined) this.#fault(`image ${image} is damaged: ${damaged}`)
      if (!workload.images.get(image)?.mayBeThere(at)) this.#fault(`image ${image} is there`)
    }
    for (const history of workload.images.values()) {
      if (present.some(({ image }) => image === history.image)) this.#examineEpochs(history, await engine.log({ image: history.image }))
      else if (history.mustBeThere(at)) this.#fault(`image ${history.image} is gone`)
    }
  }

  #examineEpochs(history: ImageHistory, present: EpochSummary[]): void {
    const { at } = this.#crash
    for (const { number, id, damaged, pinned } of present) {
      const where = `${history.image}@${number}`
      if (damaged !== undefined) this.#fault(`${where} is damaged: ${damaged}`)
      else if (!history.mayHaveEpoch(number, at)) this.#fault(`${where} is there`)
      else if (history.epochs.get(number)!.id !== id) this.#fault(`${where} is another epoch`)
      const wanted = history.isPinned(number, at)
      if (wanted !== undefined && wanted !== pinned) this.#fault(`${where} is ${pinned ? '' : 'not '}pinned`)
    }
    for (const number of history.epochs.keys()) {
      const isThere = present.some((epoch) => epoch.number === number)
      if (!isThere && history.mustHaveEpoch(number, at)) this.#fault(`${history.image}@${number} is gone`)
    }
  }

  async #recover(engine: Engine, image: string, model: Model | null): Promise<HeadInUse[]> {
    const { env, random } = this.#crash
    let head: HeadInUse | null = null
    try {
      const start = await engine.openHead({ image })
      const history = new ImageHistory(image, 0)
      head = await HeadInUse.open({ env, random, history, at: () => 0 }, start, model?.clone() ?? null)
      this.#compare(image, head)
      return [head]
    } catch (error) {
      await head?.close()
      this.#fault(`${image} cannot be opened: ${messageOf(error)}`)
      return []
    }
  }

  /** Writes to the head, seals it, and compares it once more. */
  async #use(engine: Engine, head: HeadInUse): Promise<void> {
    const { workload, at } = this.#crash
    const { image } = head.history
    try {
      for (let step = 0; step < 4; step += 1) head.step()
      await head.fsync()
      const { segment } = head.ended()
      const { epoch, ...result } = await engine.commit({ image, segment, kind: 'epoch' })
      head.committed(result)
      await head.retire()
      this.#compare(`${image}, written again,`, head)
      const told = [...workload.images.get(image)!.epochs].filter(([, { span }]) => span.end <= at)
      const last = Math.max(-1, ...told.map(([number]) => number))
      if (epoch!.number <= last) this.#fault(`epoch number ${epoch!.number} of ${image} is used again`)
    } catch (error) {
      this.#fault(`${image} cannot be used: ${messageOf(error)}`)
    }
    // Whatever it did: a handle of the index that stays would be found again by who opens the next state.
    await head.close()
    await engine.closeHead({ image })
  }

  /** A collection goes on where one was broken off: it leaves all that is needed and no garbage. */
  async #collect(engine: Engine, request: GarbageRequest): Promise<void> {
    try {
      // A pack with a gap stays as it is: until it is repaired, or closed, as a footer leaves gaps out.
      const { damaged } = await engine.check({ readData: true })
      const mayHoldGarbage = damaged.some(({ message }) => this.#isUnprovenGap(message))
      const { left } = await engine.collectGarbage(request)
      for (const { pack, reason } of left) this.#fault(`pack ${pack} cannot be collected: ${reason}`)
      const { droppedPacks, rewrittenPacks, unusedBytes } = await engine.collectGarbage({ maxUnused: 0, dryRun: true })
      if (droppedPacks + rewrittenPacks + unusedBytes > 0 && !mayHoldGarbage) {
        this.#fault(`garbage is left: ${droppedPacks} packs to drop, ${rewrittenPacks} to rewrite, ${unusedBytes} bytes`)
      }
    } catch (error) {
      this.#fault(`garbage cannot be collected: ${messageOf(error)}`)
    }
    this.#report(await engine.check({ readData: true }))
  }

  #compare(what: string, head: HeadInUse): void {
    for (const difference of head.differences().slice(0, 3)) this.#fault(`${what} ${difference}`)
  }

  #report({ damaged }: CheckReport): void {
    for (const { what, where, message } of damaged) {
      if (this.#isUnprovenGap(message)) continue
      this.#fault(`check finds ${what} ${where} ${message}`)
    }
  }

  /** Without its index a store cannot tell what never arrived from damage. */
  #isUnprovenGap(message: string): boolean {
    return this.#crash.isIndexGone && message.includes('no sound record')
  }

  #isThere(image: string): boolean {
    const { env, workload } = this.#crash
    return new ImageFiles(env, workload.directory, image, domainKeys).exists()
  }

  /** The commit that the head stands on; null where that is a fault already. */
  #newest(history: ImageHistory): Commit | null {
    const { env, workload, at } = this.#crash
    try {
      const { commit, manifest } = new ImageFiles(env, workload.directory, history.image, domainKeys).newest()
      const acknowledged = history.acknowledgedCommit(at)
      if (commit < acknowledged) this.#fault(`commit ${acknowledged} of ${history.image} is gone, ${commit} is there`)
      const known = history.commits.find((other) => other.commit === commit && other.manifest === manifest.toString('hex'))
      if (known === undefined) this.#fault(`commit ${commit} of ${history.image} was never made`)
      return known ?? null
    } catch (error) {
      this.#fault(`the newest record of ${history.image} cannot be read: ${messageOf(error)}`)
      return null
    }
  }

  /** What must be there: of each lane all up to its first loss, in the order of both. */
  #survivors(history: ImageHistory, base: Commit): Model {
    const { at } = this.#crash
    const model = base.model!.clone()
    const synced = history.syncedCount(at)
    const intact = new Map<string, number>()
    const lost = new Set<string>()
    for (const [index, { operation, lane, segment, bytesEnd, at: loggedAt }] of history.logged.entries()) {
      if (segment <= base.segment || loggedAt > at) continue
      const file = `${String(segment).padStart(8, '0')}.${lane}`
      if (!intact.has(file)) intact.set(file, this.#intactBytes(history.image, file))
      if (bytesEnd > intact.get(file)!) lost.add(lane)
      if (lost.has(lane)) {
        if (lane === 'disk' && index < synced) this.#fault(`${history.image}: what was synced is lost in ${file}`)
        continue
      }
      // Writes to a memory file can survive what made it; what leaves no record can be about it, too.
      const mayLack = operation.do === 'write' || operation.do === 'reference' || operation.do === 'forget'
      if (!mayLack || model.nodes.has(operation.inode)) this.#apply(model, operation)
    }
    model.dropReferences()
    return model
  }

  #apply(model: Model, operation: Operation): void {
    try {
      model.apply(operation)
    } catch (error) {
      this.#fault(`what is left of the log does not fit its record: ${operation.do}: ${messageOf(error)}`)
    }
  }

  /** How many bytes from its start a segment's file holds as they were written. */
  #intactBytes(image: string, file: string): number {
    const { tree, volume } = this.#crash
    const node = locate(tree, ['store', 'images', image, 'log', file])?.node
    const left = node === undefined ? undefined : tree.files.get(node)
    if (node === undefined || left === undefined) return 0
    const written = volume.written(node)
    const first = left.findIndex((byte, index) => byte !== written[index])
    return first < 0 ? left.length : first
  }

  #fault(text: string): void {
    this.faults.push(text.replaceAll(basename(this.#crash.workload.directory), 'store'))
  }
}
