/** One image: its identity, each record with all that it refers to, the head, pins and log. */
import { join } from 'node:path'
import type { DomainKeys } from '../../crypto/domain-keys.ts'
import type { Env } from '../../env/env.ts'
import { HoldfastError, isCode } from '../../errors.ts'
import type { EpochRecord } from '../../format/epoch.ts'
import { breathe } from '../../store/progress.ts'
import { ImageFiles } from '../image-files.ts'
import { parseSegmentName } from '../layout.ts'
import { listSegments, LogReader } from '../log-reader.ts'
import type { AffectedFile, CallOptions } from '../types.ts'
import { affectedFiles } from './affected-files.ts'
import { EpochLosses, surveyEpoch } from './epoch-survey.ts'
import type { FaultList } from './fault-list.ts'
import { surveyLane } from './log-survey.ts'
import type { LogDamage } from './log-survey.ts'
import type { SurveyRun } from './survey-run.ts'

export interface ImageSurveyInput {
  readonly env: Env
  readonly directory: string
  /** Null where nothing is encrypted. */
  readonly keys: DomainKeys | null
  readonly run: SurveyRun
  readonly faults: FaultList
  readonly notes: string[]
  readonly logDamages: LogDamage[]
  readonly badRecords: BadRecord[]
  /** Images whose identity cannot be read. */
  readonly badIdentities: string[]
  isServed(image: string): boolean
}

/** A file that should hold a record. */
export interface BadRecord {
  readonly files: ImageFiles
  readonly path: string
  /** Null of the head. */
  readonly number: number | null
}

/** How long a walk goes on before others may work. */
const stepMs = 10

/** Counts the epochs that were looked at. Errors: ABORTED, IO. */
export async function surveyImage(
  input: ImageSurveyInput, image: string, options: CallOptions, onEpoch: () => void,
): Promise<void> {
  const survey = new ImageSurvey(input, image, options)
  await survey.run(onEpoch)
}

class ImageSurvey {
  readonly #input: ImageSurveyInput
  readonly #image: string
  readonly #files: ImageFiles
  readonly #options: CallOptions

  constructor(input: ImageSurveyInput, image: string, options: CallOptions) {
    this.#input = input
    this.#image = image
    this.#files = new ImageFiles(input.env, input.directory, image, input.keys)
    this.#options = options
  }

  async run(onEpoch: () => void): Promise<void> {
    const numbers = this.#guarded('image', this.#image, [], () => {
      this.#files.requireDirectories()
      return this.#files.epochNumbers()
    }) ?? []
    const id = this.#identity(numbers)
    for (const number of numbers) {
      await this.#epoch(number, id)
      onEpoch()
    }
    await this.#head(numbers)
    this.#pins(numbers)
    await breathe(this.#options)
  }

  #identity(numbers: readonly number[]): Buffer | null {
    const epochs = numbers.map((number) => `${this.#image}@${number}`)
    const identity = this.#guarded('identity', this.#image, epochs, () => this.#files.identity())
    if (identity === null) this.#input.badIdentities.push(this.#image)
    return identity?.id ?? null
  }

  async #epoch(number: number, imageId: Buffer | null): Promise<void> {
    const address = `${this.#image}@${number}`
    const record = this.#record('epoch', address, [address], number, () => this.#files.epoch(number))
    if (record === null) return
    if (record.number !== number || record.kind !== 'epoch' || imageId?.equals(record.imageId) === false) {
      const message = `the record is another one's: ${record.kind} ${record.number} of ${record.image}`
      this.#input.faults.add({ what: 'epoch', where: address, message, epochs: [address] })
      this.#badRecord(number)
    }
    await this.#walk(record, address, [address])
  }

  /** An outdated head record and an epoch's before a newer head need not be readable, see `newest`. */
  async #head(numbers: readonly number[]): Promise<void> {
    const where = `the head of ${this.#image}`
    const { layout } = this.#files
    const isHead = this.#input.env.exists(layout.head)
    const newest = this.#record('head', where, [], isHead ? null : numbers.at(-1) ?? null, () => this.#files.newest())
    if (newest === null) return
    if (newest.kind === 'head') await this.#walk(newest, where, [])
    if (this.#input.isServed(this.#image)) this.#input.notes.push(`${this.#image} is in use: its log was not looked at`)
    else this.#guarded('log', this.#image, [], () => this.#log(newest))
  }

  async #walk(record: EpochRecord, where: string, epochs: string[]): Promise<void> {
    const losses = new EpochLosses()
    const manifest = await this.#stepThrough(surveyEpoch(this.#input.run, record, losses))
    if (losses.isEmpty || this.#isGone(epochs, record)) return
    const { faults } = this.#input
    if (losses.manifest !== null) faults.add({ what: 'manifest', where, message: losses.manifest, epochs })
    if (losses.machine !== null) faults.add({ what: 'machine state', where, message: losses.machine, epochs })
    if (manifest === null) return
    const files = await this.#stepThrough(affectedFiles(this.#input.run, manifest, losses))
    if (files.length > 0) faults.add({ what: 'files', where, message: fileLossText(losses, files), epochs, files })
  }

  /** Removed, by the user or the collector, while it was looked at. */
  #isGone(epochs: readonly string[], { number }: EpochRecord): boolean {
    return epochs.length > 0 && !this.#files.epochNumbers().includes(number)
  }

  async #stepThrough<T>(steps: Generator<void, T, undefined>): Promise<T> {
    const { env } = this.#input
    for (let untilMs = env.monotonicMs() + stepMs; ;) {
      const step = steps.next()
      if (step.done === true) return step.value
      if (env.monotonicMs() < untilMs) continue
      await breathe(this.#options)
      untilMs = env.monotonicMs() + stepMs
    }
  }

  /** Nothing of ours removes a pinned epoch. */
  #pins(numbers: readonly number[]): void {
    const { pins } = this.#files.layout
    for (const name of this.#guarded('pins', this.#image, [], () => this.#input.env.readdir(pins)) ?? []) {
      const path = join(pins, name)
      if (numbers.includes(Number(name))) continue
      // What a crash left of a pin that was being made is none.
      if (/^\d{1,15}$/.test(name)) this.#lostPinned(Number(name), path)
      else this.#input.notes.push(`${path} pins no epoch: remove it`)
    }
  }

  #lostPinned(number: number, pin: string): void {
    const where = `${this.#image}@${number}`
    const message = `it is pinned, and its record is gone: restore it from a replica, or remove ${pin}`
    this.#input.faults.add({ what: 'epoch', where, message, epochs: [where] })
    this.#badRecord(number)
  }

  /**
   * A power loss keeps what was not synced in any part and order, so bytes that are no record before sound ones are no
   * damage by themselves: only where one bit explains them, or records tell that they were synced once.
   */
  #log(newest: EpochRecord): void {
    const { env, notes } = this.#input
    const { layout } = this.#files
    const pending = listSegments(env, layout).filter((segment) => segment > newest.segment)
    const ruined = this.#guarded('log', this.#image, [], () => this.#readLog(pending, newest))
    for (const name of env.readdir(layout.log)) {
      const parsed = parseSegmentName(name)
      if (parsed === null || !pending.includes(parsed.segment)) continue
      const path = join(layout.log, name)
      const { damages, tornBytes } = surveyLane(env, path)
      const isRuined = ruined?.includes(path) === true && damages.every(({ corrected }) => corrected === null)
      if (isRuined) notes.push(`${path} begins with no header: nothing of it is read, and the next mount moves it away`)
      else if (tornBytes > 0) notes.push(`${path} ends in ${tornBytes} bytes that are no record, as after a crash`)
      if (!isRuined) for (const damage of damages) this.#logDamage(damage, ruined !== null)
    }
  }

  #logDamage(damage: LogDamage, isTorn: boolean): void {
    const { faults, notes, logDamages } = this.#input
    const { path, offset, bytes, corrected } = damage
    if (isTorn && corrected === null) {
      notes.push(`${path} holds ${bytes} bytes at ${offset} that are no record, as after a power loss`)
      return
    }
    faults.add({ what: 'log', where: path, message: `${bytes} bytes at ${offset} are not what was written` })
    logDamages.push(damage)
  }

  /** Paths of files without a header. Errors: DAMAGED (what is missing was synced once), NEWER_VERSION, IO. */
  #readLog(pending: readonly number[], { imageId, sequence }: EpochRecord): readonly string[] {
    using log = new LogReader(this.#input.env, this.#files.layout, imageId, this.#files.keys)
    for (const _ of log.records(pending, { sequence, isWhole: false }));
    return log.ruined
  }

  #record<T>(what: string, where: string, epochs: string[], number: number | null, read: () => T): T | null {
    const record = this.#guarded(what, where, epochs, read)
    if (record === null) this.#badRecord(number)
    return record
  }

  #badRecord(number: number | null): void {
    const files = this.#files
    const path = number === null ? files.layout.head : files.layout.epoch(number)
    this.#input.badRecords.push({ files, path, number })
  }

  #guarded<T>(what: string, where: string, epochs: string[], read: () => T): T | null {
    try {
      return read()
    } catch (error) {
      if (!(error instanceof HoldfastError) || isCode(error, 'ABORTED')) throw error
      const isGone = isCode(error, 'NOT_FOUND') && !this.#input.env.exists(this.#files.layout.directory)
      if (!isGone) this.#input.faults.add({ what, where, message: error.message, epochs })
      return null
    }
  }
}

function fileLossText({ inodes, inodeRuns }: EpochLosses, files: readonly AffectedFile[]): string {
  const reason = [...inodes.values()][0]?.reason ?? inodeRuns[0]?.reason ?? ''
  return files.length === 1 ? reason : `parts of ${inodes.size + inodeRuns.length} files are lost; the first: ${reason}`
}
