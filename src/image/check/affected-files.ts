/** Names the files of an epoch that damage touches. Directories that cannot be read hide what is below them. */
import { HoldfastError } from '../../errors.ts'
import type { Dirent } from '../../format/dirent.ts'
import type { Manifest } from '../../format/manifest.ts'
import { affectedFilesMax, affectedRangesMax } from '../../limits.ts'
import { rootInode } from '../ingest.ts'
import { fileType } from '../modes.ts'
import { direntsOf, inodeOf } from '../paths.ts'
import type { AffectedFile } from '../types.ts'
import type { EpochLosses } from './epoch-survey.ts'
import type { SurveyRun } from './survey-run.ts'

/** The first `affectedFilesMax` of them, by path; runs of lost inodes last. */
export function* affectedFiles(
  run: SurveyRun, manifest: Manifest, losses: EpochLosses,
): Generator<void, AffectedFile[], undefined> {
  const paths = yield* pathsOf(run, manifest, losses)
  const files = [...losses.inodes].slice(0, affectedFilesMax).map(([number, { ranges }]): AffectedFile => ({
    path: paths.get(number) ?? `inode ${number}`, ranges: ranges.slice(0, affectedRangesMax),
  }))
  const runs = losses.inodeRuns.slice(0, affectedFilesMax).map(({ start, end }): AffectedFile => {
    const last = Math.min(end, manifest.nextInode) - 1
    return { path: last > start ? `inodes ${start} to ${last}` : `inode ${start}`, ranges: [] }
  })
  return [...files.sort((a, b) => (a.path < b.path ? -1 : 1)), ...runs]
}

function* pathsOf(
  run: SurveyRun, manifest: Manifest, { inodes }: EpochLosses,
): Generator<void, Map<number, string>, undefined> {
  const paths = new Map<number, string>()
  if (inodes.has(rootInode)) paths.set(rootInode, '/')
  const open = [{ path: '', number: rootInode }]
  for (let next = open.pop(); next !== undefined && paths.size < inodes.size; next = open.pop()) {
    for (const { inode, name, type } of namesIn(run, manifest, next.number)) {
      const path = `${next.path}/${name.toString()}`
      if (inodes.has(inode)) paths.set(inode, path)
      if (type === fileType.directory >>> 12) open.push({ path, number: inode })
    }
    yield
  }
  return paths
}

function namesIn(run: SurveyRun, manifest: Manifest, directory: number): Dirent[] {
  try {
    return [...direntsOf(run.nodes, inodeOf(run.nodes, manifest, directory))]
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error
    return []
  }
}
