/**
 * Records a workload over a real directory and crashes it at every point: between any two recorded operations,
 * in one or in every way in which the power can go, each with some variant of the index.
 */
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { systemEnv } from '../../src/env/system.ts'
import { Random } from '../random.ts'
import { Aftermath } from './aftermath.ts'
import type { Crash, Expected } from './aftermath.ts'
import { IndexCopies, indexVariants } from './index-variants.ts'
import type { IndexVariant } from './index-variants.ts'
import { memoryEnv } from './memory-env.ts'
import { powerLoss, powerLossNames } from './power-losses.ts'
import { QuickDirectory } from './quick-directory.ts'
import { RecordingEnv } from './recording-env.ts'
import type { RecordedOperation } from './recording-env.ts'
import { locate, namesOf } from './tree.ts'
import type { Tree } from './tree.ts'
import { Volume } from './volume.ts'
import { Workload } from './workload.ts'

/** What LevelDB and the lock do is not recorded. */
const around = ['store/index', 'store/lock']

export interface CrashOptions {
  script: (workload: Workload, random: Random) => Promise<void>
  /** Ways of losing power tried at each point. */
  lossesPerPoint: number
  /** One of so many states is crashed a second time, while it is recovered. */
  secondCrashEvery: number
}

export interface CrashReport {
  points: number
  states: number
  secondCrashes: number
  faults: string[]
}

interface FirstCrash {
  readonly volume: Volume
  /** What it left. */
  readonly before: Tree
  /** Its recovery. */
  readonly operations: readonly RecordedOperation[]
  readonly expected: Expected
  readonly what: string
  readonly wasIndexGone: boolean
}

const faultsMax = 10

export class CrashRun {
  readonly #random: Random
  readonly #options: CrashOptions
  readonly #directory: string
  readonly #report: CrashReport = { points: 0, states: 0, secondCrashes: 0, faults: [] }
  readonly #indexes: IndexCopies
  #workload!: Workload
  #operations: readonly RecordedOperation[] = []
  #loss = 0

  private constructor(directory: string, random: Random, options: CrashOptions) {
    this.#directory = directory
    this.#random = random
    this.#options = options
    this.#indexes = new IndexCopies(join(this.#directory, 'indexes'))
  }

  static async run(random: Random, options: CrashOptions): Promise<CrashReport> {
    using directory = new QuickDirectory('hf-crash-')
    const run = new CrashRun(directory.path, random, options)
    await run.#record()
    await run.#crashEverywhere()
    return run.#report
  }

  get #root(): string {
    return join(this.#directory, 'disk')
  }

  async #record(): Promise<void> {
    mkdirSync(this.#root)
    const recording = new RecordingEnv({ inner: systemEnv(), root: this.#root, around, random: this.#random })
    this.#workload = new Workload(this.#random, recording, this.#root, this.#indexes)
    await this.#options.script(this.#workload, this.#random)
    this.#operations = recording.operations
    rmSync(join(this.#root, 'store'), { recursive: true })
    mkdirSync(join(this.#root, 'store'))
  }

  async #crashEverywhere(): Promise<void> {
    const volume = new Volume()
    for (let at = 0; at <= this.#operations.length; at += 1) {
      for (let each = 0; each < this.#options.lossesPerPoint; each += 1) await this.#crash(volume)
      this.#report.points += 1
      if (this.#report.faults.length >= faultsMax) return
      if (at < this.#operations.length) volume.apply(this.#operations[at])
    }
  }

  async #crash(volume: Volume): Promise<void> {
    this.#loss += 1
    const name = powerLossNames[this.#loss % powerLossNames.length]
    const variant = this.#random.pick(indexVariants)
    const tree = volume.after(powerLoss(name, this.#random, volume.pending()), this.#random)
    const what = `${name}, index ${variant}`
    const isTwice = this.#loss % this.#options.secondCrashEvery === 0
    const before = isTwice ? { ...namesOf(tree), files: new Map(tree.files) } : tree
    const crash = await this.#state(volume, tree, variant)
    const recovery = new RecordingEnv({ inner: crash.env, root: this.#root, around, random: this.#random, start: namesOf(tree) })
    const aftermath = new Aftermath({ ...crash, env: recovery.env })
    const besides = await this.#workload.alsoExamine(tree, volume.at)
    if (volume.at >= this.#workload.spoiltAt) await aftermath.repair()
    const expected = aftermath.expected()
    let recoveredAt = 0
    await aftermath.examine(expected, () => (recoveredAt = recovery.operations.length))
    this.#note(volume.at, what, [...besides, ...aftermath.faults])
    if (isTwice && aftermath.faults.length === 0) {
      const operations = recovery.operations.slice(0, recoveredAt)
      await this.#again({ volume, before, operations, expected, what, wasIndexGone: crash.isIndexGone })
    }
  }

  /** The power goes again while the first recovery runs: what it has to find is known now. */
  async #again({ volume, before, operations, expected, what, wasIndexGone }: FirstCrash): Promise<void> {
    const recovery = new Volume(before)
    const name = this.#random.pick(powerLossNames)
    for (const operation of operations.slice(0, this.#random.below(operations.length + 1))) recovery.apply(operation)
    const tree = recovery.after(powerLoss(name, this.#random, recovery.pending()), this.#random)
    const variant = this.#random.pick(['older', 'deleted'] as const)
    const crash = await this.#state(volume, tree, variant)
    // What the first recovery had no witness for stays, whatever index comes back.
    const aftermath = new Aftermath({ ...crash, isIndexGone: crash.isIndexGone || wasIndexGone })
    if (volume.at >= this.#workload.spoiltAt) await aftermath.repair()
    await aftermath.examine(expected)
    this.#report.secondCrashes += 1
    this.#note(volume.at, `${what}, then in its recovery: ${name}, index ${variant}`, aftermath.faults)
  }

  async #state(volume: Volume, tree: Tree, variant: IndexVariant): Promise<Crash> {
    await this.#indexes.place(join(this.#root, 'store', 'index'), variant, volume.at, this.#random)
    const env = memoryEnv({ tree, root: this.#root, around, random: this.#random })
    // A mark that came back makes the store throw its index away.
    const isIndexGone = variant === 'deleted' || locate(tree, ['store', 'index.opening'])?.node !== undefined
    return { workload: this.#workload, at: volume.at, volume, tree, env, random: this.#random, isIndexGone }
  }

  #note(at: number, what: string, faults: readonly string[]): void {
    this.#report.states += 1
    const last = this.#operations[at - 1]
    const after = last === undefined ? 'the beginning' : last.do === 'names' ? last.what : last.do
    if (faults.length > 0) this.#report.faults.push(`point ${at}, after ${after}; ${what}: ${faults.join('; ')}`)
  }
}
