/**
 * Checks that every epoch can be read: its record, its manifest, every node, and that each chunk is there;
 * with `readData` each chunk's bytes too. What two epochs of an image share is looked at once. Damage is
 * collected, not thrown: one bad epoch says nothing of the others.
 */
import { Buffer } from 'node:buffer'
import type { Env } from '../env/env.ts'
import { HoldfastError } from '../errors.ts'
import { decodeInode } from '../format/inode.ts'
import { decodeManifest } from '../format/manifest.ts'
import type { ChunkStore } from '../store/chunks.ts'
import { breathe } from '../store/progress.ts'
import { ImageFiles, listImages } from './image-files.ts'
import { fileType, typeOf } from './modes.ts'
import { walk } from './tree/index.ts'
import type { NodeReader } from './tree/index.ts'
import type { CallOptions, CheckReport } from './types.ts'

export interface CheckTarget {
  env: Env
  directory: string
  store: ChunkStore
  nodes: NodeReader
}

interface Checking extends CheckTarget {
  readData: boolean
  /** Ids that were found good, as latin1. */
  good: Set<string>
  /** Those of them that the present step found. */
  fresh: string[]
  report: CheckReport
}

export async function checkImages(
  target: CheckTarget, readData: boolean, report: CheckReport, options: CallOptions,
): Promise<void> {
  const checking: Checking = { ...target, readData, good: new Set(), fresh: [], report }
  const epochs = listImages(target.env, target.directory).flatMap((image) => {
    const files = new ImageFiles(target.env, target.directory, image)
    return files.epochNumbers().map((number) => ({ files, number }))
  })
  for (const [index, { files, number }] of epochs.entries()) {
    options.progress?.({ step: 'checking epochs', done: index, total: epochs.length, unit: 'epochs' })
    await checkEpoch(checking, files, number, options)
    report.epochs += 1
  }
}

async function checkEpoch(checking: Checking, files: ImageFiles, number: number, options: CallOptions): Promise<void> {
  const epoch = `${files.image}@${number}`
  const inodes: { number: number; root: Buffer }[] = []
  const isReadable = guarded(checking, epoch, 'manifest', () => {
    const record = files.epoch(number)
    const manifest = decodeManifest(checking.store.read(record.manifest))
    walk(checking.nodes, manifest.inodes, {
      node: (id) => isNew(checking, id),
      entry: (inode, value) => {
        const { mode, dataRoot } = decodeInode(value)
        if (dataRoot !== null && typeOf(mode) === fileType.regular) inodes.push({ number: inode, root: dataRoot })
        else if (dataRoot !== null) checkTree(checking, dataRoot)
      },
    })
    if (record.machine?.stateRoot) inodes.push({ number: 0, root: record.machine.stateRoot })
  })
  if (!isReadable) return
  for (const { number: inode, root } of inodes) {
    const what = inode === 0 ? 'machine state' : `inode ${inode}`
    guarded(checking, epoch, what, () => checkTree(checking, root, (id) => checkChunk(checking, id)))
    await breathe(options)
  }
}

function checkTree(checking: Checking, root: Buffer, chunk?: (id: Buffer) => void): void {
  walk(checking.nodes, root, { node: (id) => isNew(checking, id), entry: (_, id) => chunk?.(id) })
}

function checkChunk(checking: Checking, id: Buffer): void {
  if (!isNew(checking, id)) return
  if (checking.readData) checking.store.read(Buffer.from(id))
  else if (!checking.store.has(id)) throw new HoldfastError('DAMAGED', `chunk ${id.toString('hex')} is missing`)
}

function isNew(checking: Checking, id: Buffer): boolean {
  const key = id.toString('latin1')
  if (checking.good.has(key)) return false
  checking.good.add(key)
  checking.fresh.push(key)
  return true
}

/** A thing that is damaged is reported for this epoch, and looked at again for the next. */
function guarded(checking: Checking, epoch: string, what: string, check: () => void): boolean {
  checking.fresh = []
  try {
    check()
    return true
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error
    for (const key of checking.fresh) checking.good.delete(key)
    const files = what === 'manifest' ? [] : [what]
    checking.report.damaged.push({ what, where: epoch, message: error.message, epochs: [epoch], files })
    return false
  }
}
