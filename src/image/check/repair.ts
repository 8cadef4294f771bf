/**
 * Puts right what a survey found: packs and lost chunks first, then records, identities and logs. A file that is mended
 * in place is copied to `quarantine/` before. What cannot be put right stays as it is.
 */
import { Buffer } from 'node:buffer'
import { dirname } from 'node:path'
import type { Env } from '../../env/env.ts'
import { publishFile, readWhole } from '../../env/publish.ts'
import { isCode } from '../../errors.ts'
import { correctCheckedJson } from '../../format/checked-json.ts'
import { correctByTrial, correctEpoch } from '../../format/epoch-correction.ts'
import { epochRecordBytesMax } from '../../limits.ts'
import type { ChunkSource } from '../../store/chunk-source.ts'
import { breathe } from '../../store/progress.ts'
import { quarantineCopy, quarantineFile } from '../../store/quarantine.ts'
import type { RepairReport } from '../../store/repair.ts'
import { isUnreadable } from '../catalog.ts'
import { ImageFiles, rewriteIdentity } from '../image-files.ts'
import { listImages } from '../image-list.ts'
import type { CallOptions } from '../types.ts'
import { FileChunks } from './file-chunks.ts'
import type { BadRecord } from './image-survey.ts'
import { LogChunks } from './log-chunks.ts'
import type { LogDamage } from './log-survey.ts'
import { rebuildIdentity } from './rebuilt-identity.ts'
import type { CheckTarget, StoreSurvey } from './store-survey.ts'

/** One sentence for each thing done. Errors: ABORTED, NO_SPACE, IO, FAILED_STATE. */
export async function repairStore(
  target: CheckTarget, survey: StoreSurvey, from: readonly string[], options: CallOptions,
): Promise<string[]> {
  const { env, directory, store } = target
  const done: string[] = []
  const images = listImages(env, directory).map((image) => new ImageFiles(env, directory, image, store.keys))
  const logs = images.map((files) => new LogChunks(env, files))
  const sources: ChunkSource[] = [...logs, ...from.map((path) => new FileChunks(env, path))]
  const { damages: damaged, run: { wanted } } = survey
  if (damaged.length > 0 || wanted.size > 0) {
    done.push(...packSentences(await store.repair({ damaged, wanted, sources }, options)))
  }
  for (const bad of survey.badRecords) if (await mendRecord(target, bad, options)) done.push(`corrected ${bad.path}`)
  for (const image of survey.badIdentities) {
    if (mendIdentity(target, image)) done.push(`rebuilt the identity of ${image}`)
  }
  for (const damage of survey.logDamages) if (mendLog(target, damage)) done.push(`corrected ${damage.path}`)
  return done
}

function packSentences(report: RepairReport): string[] {
  const { corrected, found, moved, quarantined, missing, failed } = report
  return [
    ...corrected > 0 ? [`corrected ${corrected} records by their checksums`] : [],
    ...[...found].map(([name, count]) => `found ${count} chunks in ${name}`),
    ...quarantined.map((path) => `a damaged pack lies in ${path}`),
    ...moved > 0 ? [`moved ${moved} sound records out of damaged packs`] : [],
    ...missing > 0 ? [`${missing} chunks were found nowhere`] : [],
    ...failed,
  ]
}

async function mendRecord(
  { env, store }: CheckTarget, { files, path, number }: BadRecord, options: CallOptions,
): Promise<boolean> {
  const spoilt = readIfFile(env, path)
  if (spoilt === null) return false
  const isSound = (bytes: Buffer): boolean => !isUnreadable(() => files.decode(bytes, number))
  const steps = files.keys === null ? correctEpoch(spoilt) : correctByTrial(spoilt, isSound)
  for (let step = steps.next(); ; step = steps.next()) {
    if (step.done !== true) {
      await breathe(options)
      continue
    }
    if (step.value === null || step.value.equals(spoilt)) return false
    quarantineCopy(env, store.layout, path, 'one bit of this record was wrong')
    publishFile(env, path, step.value)
    return true
  }
}

function mendIdentity({ env, directory, store }: CheckTarget, image: string): boolean {
  const files = new ImageFiles(env, directory, image, store.keys)
  const { identity: path } = files.layout
  const spoilt = readIfFile(env, path)
  const corrected = spoilt === null ? null : correctCheckedJson(spoilt)
  const identity = corrected === null ? rebuildIdentity(files) : null
  if (corrected === null && identity === null) return false
  if (spoilt !== null) quarantineCopy(env, store.layout, path, 'this identity could not be read')
  else if (env.exists(path)) quarantineFile(env, store.layout, path, 'this is no file')
  if (corrected !== null) publishFile(env, path, corrected)
  else if (identity !== null) rewriteIdentity(env, files, identity)
  return true
}

function mendLog({ env, store }: CheckTarget, { path, offset, corrected }: LogDamage): boolean {
  if (corrected === null) return false
  quarantineCopy(env, store.layout, path, `one bit at or behind ${offset} was wrong`)
  using file = env.open(path, 'write')
  file.write(corrected, offset)
  file.sync()
  env.syncDirectory(dirname(path))
  return true
}

function readIfFile(env: Env, path: string): Buffer | null {
  try {
    const { kind, bytes: fileBytes } = env.stat(path)
    if (kind !== 'file' || fileBytes > epochRecordBytesMax) return null
    const bytes = readWhole(env, path, epochRecordBytesMax)
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  } catch (error) {
    if (!isCode(error, 'NOT_FOUND', 'IO')) throw error
    return null
  }
}
