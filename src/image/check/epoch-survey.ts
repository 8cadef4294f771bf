/** All that a record refers to: manifest, inodes, names, data, a machine's state. */
import { Buffer } from 'node:buffer'
import { HoldfastError } from '../../errors.ts'
import { decodeAttributes } from '../../format/attributes.ts'
import { decodeDirents } from '../../format/dirent.ts'
import type { EpochRecord } from '../../format/epoch.ts'
import { decodeInode } from '../../format/inode.ts'
import type { InodeRecord } from '../../format/inode.ts'
import { decodeManifest } from '../../format/manifest.ts'
import type { Manifest } from '../../format/manifest.ts'
import { chunkBytes } from '../../limits.ts'
import { fileType, typeOf } from '../modes.ts'
import type { FileRange } from '../types.ts'
import type { SurveyRun } from './survey-run.ts'
import { unreadable } from './survey-run.ts'
import { surveyTree } from './tree-survey.ts'
import type { SurveySteps, TreeVisitor } from './tree-survey.ts'

/** What of an inode cannot be read. */
export interface InodeLoss {
  /** Of a file's bytes, rising; empty where something else is lost. */
  ranges: FileRange[]
  reason: string
}

export class EpochLosses {
  /** Why nothing at all can be read. */
  manifest: string | null = null
  /** Runs of inodes whose records are gone, and why. */
  readonly inodeRuns: { start: number; end: number; reason: string }[] = []
  readonly inodes = new Map<number, InodeLoss>()
  machine: string | null = null

  get isEmpty(): boolean {
    return this.manifest === null && this.machine === null && this.inodes.size === 0 && this.inodeRuns.length === 0
  }

  lose(number: number, reason: string, range?: FileRange): void {
    const loss = this.inodes.get(number) ?? { ranges: [], reason }
    this.inodes.set(number, loss)
    if (range === undefined) return
    const last = loss.ranges.at(-1)
    if (last !== undefined && last.offset + last.bytes === range.offset) last.bytes += range.bytes
    else loss.ranges.push(range)
  }
}

/** Ends with the record's manifest; null where that cannot be read. */
export function* surveyEpoch(
  run: SurveyRun, record: EpochRecord, losses: EpochLosses,
): Generator<void, Manifest | null, undefined> {
  const manifest = readManifest(run, record, losses)
  if (manifest !== null) yield* surveyTree(run, manifest.inodes, inodeVisitor(run, losses))
  if (record.machine !== null) yield* surveyMachine(run, record.machine, losses)
  return manifest
}

function readManifest(run: SurveyRun, { manifest: id }: EpochRecord, losses: EpochLosses): Manifest | null {
  try {
    return run.reading(id, () => decodeManifest(run.chunks.read(id)))
  } catch (error) {
    losses.manifest = reasonOf(error)
    return null
  }
}

function inodeVisitor(run: SurveyRun, losses: EpochLosses): TreeVisitor {
  return {
    role: 'inodes',
    entry: (number, value) => surveyInode(run, losses, number, decodeInode(value)),
    lost: (start, end, { message: reason }) => void losses.inodeRuns.push({ start, end, reason }),
  }
}

function* surveyInode(run: SurveyRun, losses: EpochLosses, number: number, inode: InodeRecord): SurveySteps {
  const { mode, dataRoot, attributesRoot, size } = inode
  let isSound = attributesRoot === null || readAttributes(run, losses, number, attributesRoot)
  const isDirectory = typeOf(mode) === fileType.directory
  const visitor = isDirectory ? namesVisitor(losses, number) : dataVisitor(run, losses, number, Number(size))
  const isTreeSound = yield* surveyTree(run, dataRoot, visitor)
  isSound &&= isTreeSound
  return isSound
}

function readAttributes(run: SurveyRun, losses: EpochLosses, number: number, id: Buffer): boolean {
  try {
    run.reading(id, () => decodeAttributes(run.chunks.read(id)))
    return true
  } catch (error) {
    losses.lose(number, `its extended attributes: ${reasonOf(error)}`)
    return false
  }
}

function namesVisitor(losses: EpochLosses, number: number): TreeVisitor {
  return {
    role: 'names',
    entry: (_, value) => decodeDirents(value).length > 0,
    lost: (_, __, { message }) => losses.lose(number, `names in it: ${message}`),
  }
}

function dataVisitor(run: SurveyRun, losses: EpochLosses, number: number, size: number): TreeVisitor {
  return {
    role: 'data',
    entry(_, id) {
      if (run.hasData(id)) return true
      throw unreadable(id, 'missing or damaged')
    },
    lost(start, end, { message }) {
      const offset = start * chunkBytes
      losses.lose(number, message, { offset, bytes: Math.max(0, Math.min(end * chunkBytes, size) - offset) })
    },
  }
}

function* surveyMachine(
  run: SurveyRun, machine: NonNullable<EpochRecord['machine']>, losses: EpochLosses,
): SurveySteps {
  const lost = (_: number, __: number, { message }: HoldfastError): void => void (losses.machine ??= message)
  const visitor = { ...dataVisitor(run, losses, 0, 0), lost }
  const isSound = yield* surveyTree(run, machine.stateRoot, visitor)
  return isSound
}

function reasonOf(error: unknown): string {
  if (error instanceof HoldfastError) return error.message
  throw error
}
