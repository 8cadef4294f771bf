/**
 * Checks that every epoch and every head can be read: its record, its manifest, every node, and that each chunk
 * is there. Whether chunks hold what they should is found pack by pack (`verify` of the store), and which epochs
 * that touches on the way through their trees. What two epochs share is looked at once. Damage is collected, not
 * thrown: one bad epoch says nothing of the others.
 */
import { Buffer } from 'node:buffer'
import { basename } from 'node:path'
import type { Env } from '../env/env.ts'
import { HoldfastError, isCode } from '../errors.ts'
import { decodeAttributes } from '../format/attributes.ts'
import { decodeDirents } from '../format/dirent.ts'
import type { EpochRecord } from '../format/epoch.ts'
import { decodeInode } from '../format/inode.ts'
import type { InodeRecord } from '../format/inode.ts'
import type { RecordLocation } from '../format/keys.ts'
import { decodeManifest } from '../format/manifest.ts'
import type { ChunkReader } from '../store/chunks.ts'
import type { LocalChunkStore } from '../store/local-chunk-store.ts'
import { openChunkReader } from '../store/open.ts'
import { breathe } from '../store/progress.ts'
import type { Damage } from '../store/damage.ts'
import { ImageFiles, listImages } from './image-files.ts'
import { fileType, typeOf } from './modes.ts'
import { NodeReader, walk } from './tree/index.ts'
import type { CallOptions, CheckReport } from './types.ts'

export interface CheckTarget {
  env: Env
  directory: string
  store: LocalChunkStore
}

interface Checking extends CheckTarget {
  nodes: NodeReader
  /** Ids of which the packs hold no good record, as latin1. What is in memory must not hide it. */
  bad: Set<string>
  /** Ids that were found good, as latin1. */
  good: Set<string>
  /** Those of them that the present step found. */
  fresh: string[]
  report: CheckReport
}

/** A record to look at: an epoch's, or a head's that is newer than all epochs. */
interface Subject {
  where: string
  epochs: string[]
  read(): EpochRecord | null
}

/** Errors: ABORTED, IO. */
export async function checkStore(
  target: CheckTarget, args: { readData: boolean; sample?: number }, options: CallOptions,
): Promise<CheckReport> {
  const stats = target.store.stats()
  const report: CheckReport = {
    packs: stats.packs, records: stats.data.records + stats.node.records, epochs: 0, damaged: [],
  }
  const bad = args.readData ? await checkPacks(target, args.sample ?? 1, report, options) : new Set<string>()
  const checking = { ...target, nodes: new NodeReader(target.store), bad, good: new Set<string>(), fresh: [], report }
  const subjects = listImages(target.env, target.directory).flatMap((image) => subjectsOf(target, image))
  for (const [index, subject] of subjects.entries()) {
    options.progress?.({ step: 'checking epochs', done: index, total: subjects.length, unit: 'epochs' })
    await checkSubject(checking, subject, options)
    report.epochs += subject.epochs.length
  }
  return report
}

/** Reports damaged records; the ids that none can be read of. */
async function checkPacks(
  target: CheckTarget, fraction: number, report: CheckReport, options: CallOptions,
): Promise<Set<string>> {
  const { damaged, damagedCount } = await target.store.verify({ fraction, ...options })
  for (const { path, offset, reason } of damaged) {
    const where = `${basename(path)} at ${offset}`
    report.damaged.push({ what: 'record', where, message: reason, epochs: [], files: [] })
  }
  if (damagedCount > damaged.length) {
    const message = `${damagedCount - damaged.length} more records are damaged`
    report.damaged.push({ what: 'records', where: 'packs', message, epochs: [], files: [] })
  }
  return damaged.length === 0 ? new Set() : unreadableIn(target, damaged)
}

/** Ids that are damaged, or that the index has where a pack is damaged, and of which no other record is good. */
async function unreadableIn(target: CheckTarget, damaged: readonly Damage[]): Promise<Set<string>> {
  const suspects = new Set<string>()
  for (const { id } of damaged) if (id !== undefined) suspects.add(Buffer.from(id, 'hex').toString('latin1'))
  for await (const { id, location } of target.store.records()) {
    if (damaged.some((damage) => isWithin(location, damage))) suspects.add(id.toString('latin1'))
  }
  await using reader = await openChunkReader(target.env, target.directory)
  for (const key of suspects) if (canRead(reader, Buffer.from(key, 'latin1'))) suspects.delete(key)
  return suspects
}

function isWithin({ packNumber, offset }: RecordLocation, damage: Damage): boolean {
  return packNumber === damage.packNumber && offset >= damage.offset && offset < damage.offset + damage.bytes
}

function canRead(reader: ChunkReader, id: Buffer): boolean {
  try {
    reader.read(id)
    return true
  } catch (error) {
    if (isCode(error, 'DAMAGED', 'NOT_FOUND', 'IO')) return false
    throw error
  }
}

function subjectsOf(target: CheckTarget, image: string): Subject[] {
  const files = new ImageFiles(target.env, target.directory, image)
  const head: Subject = {
    where: `the head of ${image}`,
    epochs: [],
    read() {
      files.identity()
      const newest = files.newest()
      return newest.kind === 'head' ? newest : null
    },
  }
  const epochs = files.epochNumbers().map((number): Subject => {
    const epoch = `${image}@${number}`
    return { where: epoch, epochs: [epoch], read: () => files.epoch(number) }
  })
  return [...epochs, head]
}

async function checkSubject(checking: Checking, subject: Subject, options: CallOptions): Promise<void> {
  const trees: { what: string; root: Buffer }[] = []
  const isReadable = guarded(checking, subject, 'manifest', () => {
    const record = subject.read()
    if (record === null) return
    isNew(checking, record.manifest)
    const manifest = decodeManifest(checking.store.read(record.manifest))
    walk(checking.nodes, manifest.inodes, {
      node: (id) => isNew(checking, id),
      entry: (number, value) => {
        const inode = decodeInode(value)
        checkInode(checking, inode)
        if (inode.dataRoot !== null && typeOf(inode.mode) === fileType.regular) {
          trees.push({ what: `inode ${number}`, root: inode.dataRoot })
        }
      },
    })
    if (record.machine?.stateRoot) trees.push({ what: 'machine state', root: record.machine.stateRoot })
  })
  if (!isReadable) return
  const inodeNodes = checking.fresh
  let isWhole = true
  for (const { what, root } of trees) {
    const isGood = guarded(checking, subject, what, () => checkTree(checking, root, (id) => checkChunk(checking, id)))
    isWhole &&= isGood
    await breathe(options)
  }
  // Another epoch that shares the inodes shares the damage of their data: it must meet them again.
  if (!isWhole) for (const key of inodeNodes) checking.good.delete(key)
}

/** What an inode has besides a file's data: its extended attributes, and a directory's names. */
function checkInode(checking: Checking, { mode, dataRoot, attributesRoot }: InodeRecord): void {
  if (attributesRoot !== null && isNew(checking, attributesRoot)) decodeAttributes(checking.store.read(attributesRoot))
  if (dataRoot !== null && typeOf(mode) === fileType.directory) checkTree(checking, dataRoot, decodeDirents)
}

function checkTree(checking: Checking, root: Buffer, check: (value: Buffer) => void): void {
  walk(checking.nodes, root, { node: (id) => isNew(checking, id), entry: (_, value) => check(value) })
}

function checkChunk(checking: Checking, id: Buffer): void {
  if (!isNew(checking, id) || checking.store.has(id)) return
  throw new HoldfastError('DAMAGED', `chunk ${id.toString('hex')} is missing`)
}

/** Errors: DAMAGED. */
function isNew(checking: Checking, id: Buffer): boolean {
  const key = id.toString('latin1')
  if (checking.bad.has(key)) throw new HoldfastError('DAMAGED', `chunk ${id.toString('hex')} is damaged`)
  if (checking.good.has(key)) return false
  checking.good.add(key)
  checking.fresh.push(key)
  return true
}

/** A thing that is damaged is reported for this epoch, and looked at again for the next. */
function guarded(checking: Checking, subject: Subject, what: string, check: () => void): boolean {
  checking.fresh = []
  try {
    check()
    return true
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error
    for (const key of checking.fresh) checking.good.delete(key)
    const { where, epochs } = subject
    const files = what === 'manifest' ? [] : [what]
    checking.report.damaged.push({ what, where, message: error.message, epochs, files })
    return false
  }
}
