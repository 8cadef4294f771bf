/**
 * Looks for damage in a whole store: packs (verify.ts of the store), then every image's records and all that they
 * refer to. What is found is collected, not thrown: one bad epoch says nothing of the others, and the report names the
 * epochs, files and bytes that each fault costs. With `repair` what can be put right is, and the store is looked at
 * again, so that the report tells what is left.
 */
import { Buffer } from 'node:buffer'
import { basename } from 'node:path'
import { damagedIdsMax, repairRoundsMax } from '../../limits.ts'
import type { ChunkReader } from '../../store/chunks.ts'
import type { Damage } from '../../store/damage.ts'
import type { VerifyOptions } from '../../store/verify.ts'
import { isUnreadable } from '../catalog.ts'
import { listImages, listStrangers } from '../image-list.ts'
import { hasSources } from '../source-list.ts'
import type { CallOptions, CheckArguments, CheckFault, CheckReport } from '../types.ts'
import { FaultList } from './fault-list.ts'
import { surveyImage } from './image-survey.ts'
import type { ImageSurveyInput } from './image-survey.ts'
import { repairStore } from './repair.ts'
import type { CheckTarget, StoreSurvey } from './store-survey.ts'
import { SurveyRun } from './survey-run.ts'

/** Errors: ABORTED, IO; with `repair` NO_SPACE, FAILED_STATE. */
export async function checkStore(
  target: CheckTarget, args: CheckArguments, options: CallOptions,
): Promise<CheckReport> {
  const { readData, sample, timeMs } = args
  const before = await surveyStore(target, { readData, fraction: sample, timeMs }, options)
  if (args.repair !== true || isSound(before)) return reportOf(target, before, [], [])
  const repairs: string[] = []
  const seen = before.faults.list()
  let after = before
  for (let rounds = 1, last: StoreSurvey | null = null; rounds <= repairRoundsMax && wantsMore(after, last); rounds++) {
    last = after
    repairs.push(...await repairStore(target, last, args, options))
    const touched = new Set(last.damages.map(({ packNumber }) => packNumber))
    const newest = Math.max(0, ...target.store.packs().map(({ number }) => number))
    const isWorth = (number: number): boolean => touched.has(number) || number >= newest
    after = await surveyStore(target, { readData, only: isWorth }, options)
    seen.push(...after.faults.list())
  }
  const left = new Set(after.faults.list().map(keyOf))
  const healed = new Map(seen.filter((fault) => !left.has(keyOf(fault))).map((fault) => [keyOf(fault), fault]))
  return reportOf(target, { ...after, unread: before.unread }, [...healed.values()], repairs)
}

/** A node that came back may show that what is below it is lost, too. */
function wantsMore({ run: { wanted } }: StoreSurvey, last: StoreSurvey | null): boolean {
  return last === null || [...wanted.keys()].some((key) => !last.run.wanted.has(key))
}

async function surveyStore(target: CheckTarget, verify: VerifyOptions, options: CallOptions): Promise<StoreSurvey> {
  const { env, directory, store } = target
  const faults = new FaultList()
  const damages: Damage[] = []
  const verified = await store.verify({ ...verify, ...options, onDamage: (damage) => note(faults, damages, damage) })
  const reader = store.freshReader()
  const run = new SurveyRun(reader, store, unreadableOf(damages, reader), hasSources(env, directory))
  const input: ImageSurveyInput = {
    env, keys: store.keys, directory, run, faults, notes: [], logDamages: [], badRecords: [], badIdentities: [],
    isServed: (image) => target.isServed(image),
  }
  const epochs = await surveyImages(input, options)
  const { quarantine } = store.layout
  if (env.exists(quarantine)) input.notes.push(`${quarantine} holds what was replaced, or could not be read`)
  if (run.absentChunks > 0) input.notes.push(`${run.absentChunks} chunks are only on replicas: they were not looked at`)
  return { ...input, damages, epochs, unread: { packs: verified.unreadPacks, bytes: verified.unreadBytes } }
}

async function surveyImages(input: ImageSurveyInput, options: CallOptions): Promise<number> {
  for (const name of listStrangers(input.env, input.directory)) {
    input.notes.push(`images/${name} is no image: move it away`)
  }
  const images = listImages(input.env, input.directory)
  let epochs = 0
  for (const [index, image] of images.entries()) {
    await surveyImage(input, image, options, () => {
      epochs += 1
      const step = `checking image ${index + 1} of ${images.length}`
      options.progress?.({ step, done: epochs, total: 0, unit: 'epochs' })
    })
  }
  return epochs
}

function note(faults: FaultList, damages: Damage[], damage: Damage): void {
  const { kind, path, offset, bytes, reason } = damage
  const what = kind === 'record' || kind === 'bytes' || kind === 'base' ? 'record' : 'pack'
  faults.add({ what, where: `${basename(path)} at ${offset}, ${bytes} bytes`, message: reason })
  if (damages.length < damagedIdsMax) damages.push(damage)
}

/** Ids of damaged records of which no other record is good. */
function unreadableOf(damages: readonly Damage[], reader: ChunkReader): Set<string> {
  const ids = new Set<string>()
  for (const { id } of damages) if (id !== undefined) ids.add(Buffer.from(id, 'hex').toString('latin1'))
  for (const key of ids) if (!isUnreadable(() => reader.read(Buffer.from(key, 'latin1')))) ids.delete(key)
  return ids
}

function isSound(survey: StoreSurvey): boolean {
  return survey.faults.list().length === 0
}

function keyOf({ what, where }: CheckFault): string {
  return JSON.stringify([what, where])
}

function reportOf(target: CheckTarget, survey: StoreSurvey, healed: CheckFault[], repairs: string[]): CheckReport {
  const { packs, data, node } = target.store.stats()
  return {
    packs, records: data.records + node.records, epochs: survey.epochs, damaged: survey.faults.list(), healed, repairs,
    notes: survey.notes, unread: survey.unread,
  }
}
