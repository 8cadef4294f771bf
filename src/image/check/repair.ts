/**
 * Puts right what a survey found: packs and lost chunks first, then records, identities and logs. A file that is mended
 * in place is copied to `quarantine/` before. What cannot be put right stays as it is.
 */
import { dirname } from 'node:path'
import { publishFile } from '../../env/publish.ts'
import { correctCheckedJson } from '../../format/checked-json.ts'
import type { ChunkSource } from '../../store/chunk-source.ts'
import { quarantineCopy, quarantineFile } from '../../store/quarantine.ts'
import type { RepairReport } from '../../store/repair.ts'
import { ImageFiles, rewriteIdentity } from '../image-files.ts'
import { listImages } from '../image-list.ts'
import type { CallOptions, CheckArguments } from '../types.ts'
import { FileChunks } from './file-chunks.ts'
import { LogChunks } from './log-chunks.ts'
import type { LogDamage } from './log-survey.ts'
import { readIfFile, RecordMending } from './record-mending.ts'
import { rebuildIdentity } from './rebuilt-identity.ts'
import type { CheckTarget, StoreSurvey } from './store-survey.ts'

/** One sentence for each thing done. Errors: ABORTED, NO_SPACE, IO, FAILED_STATE. */
export async function repairStore(
  target: CheckTarget, survey: StoreSurvey, { from = [], copies = [] }: CheckArguments, options: CallOptions,
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
  const mending = new RecordMending(target, images, copies)
  // Newer ones first: they name older ones as their parents.
  const badRecords = new Map(survey.badRecords.map((bad) => [bad.path, bad]))
  for (const bad of [...badRecords.values()].reverse()) {
    const sentence = await mending.mend(bad, options)
    if (sentence !== null) done.push(sentence)
  }
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
