/**
 * What an epoch reaches, level by level instead of depth first: what is not in the store is fetched a level at a time,
 * with few large reads, and not node after node.
 */
import { Buffer } from 'node:buffer'
import { decodeInode } from '../format/inode.ts'
import { decodeManifest } from '../format/manifest.ts'
import { namedChunk } from '../format/node.ts'
import type { EpochRecord } from '../format/epoch.ts'
import type { ChunkId } from '../store/chunks.ts'
import { breathe } from '../store/progress.ts'
import { fileType, typeOf } from './modes.ts'
import type { NodeReader } from './tree/index.ts'
import type { CallOptions } from './types.ts'

/** What a node's leaves hold: inodes, names, ids of data chunks. */
type TreeKind = 'inodes' | 'names' | 'data'

export interface Reached {
  /** Data chunks, and blocks of extended attributes, that were not seen before. */
  chunk(id: ChunkId): void
  /** Called for each node when it is here. */
  node(id: ChunkId): void
}

export interface ReachableStore {
  read(id: ChunkId): Buffer
  /** Has what is not here fetched at once. */
  fetchAbsent(ids: readonly ChunkId[]): void
}

interface Pending {
  readonly id: ChunkId
  readonly kind: TreeKind
}

/** Every node and chunk of an epoch, its machine state included, each once. Errors: as reads; ABORTED. */
export async function reach(
  store: ReachableStore, nodes: NodeReader, record: Pick<EpochRecord, 'manifest' | 'machine'>, reached: Reached,
  options: CallOptions = {},
): Promise<void> {
  store.fetchAbsent([record.manifest])
  reached.node(record.manifest)
  const { inodes } = decodeManifest(store.read(record.manifest))
  const stateRoot = record.machine?.stateRoot ?? null
  let level: Pending[] = []
  if (stateRoot !== null) level.push({ id: stateRoot, kind: 'data' })
  if (inodes !== null) level.push({ id: inodes, kind: 'inodes' })
  const seen = new Set<string>()
  while (level.length > 0) {
    const fresh = level.filter(({ id }) => isNew(seen, id))
    store.fetchAbsent(fresh.map(({ id }) => id))
    level = []
    for (const [index, pending] of fresh.entries()) {
      reached.node(pending.id)
      visit(nodes, pending, seen, reached, level)
      if (index % 64 === 63) await breathe(options)
    }
  }
}

function visit(nodes: NodeReader, { id, kind }: Pending, seen: Set<string>, reached: Reached, next: Pending[]): void {
  const node = nodes.read(id)
  for (let index = 0; index < node.count; index += 1) {
    if (!node.leaf) {
      next.push({ id: Buffer.from(node.idAt(index)), kind })
      continue
    }
    const value = node.valueAt(index)
    if (kind === 'data' && isNew(seen, namedChunk(value))) reached.chunk(Buffer.from(value))
    if (kind === 'inodes') visitInode(value, seen, reached, next)
  }
}

function visitInode(value: Buffer, seen: Set<string>, reached: Reached, next: Pending[]): void {
  const { mode, dataRoot, attributesRoot } = decodeInode(value)
  if (attributesRoot !== null && isNew(seen, attributesRoot)) reached.chunk(Buffer.from(attributesRoot))
  if (dataRoot === null) return
  const kind = typeOf(mode) === fileType.directory ? 'names' : 'data'
  next.push({ id: Buffer.from(dataRoot), kind })
}

function isNew(seen: Set<string>, id: Buffer): boolean {
  const key = id.toString('latin1')
  if (seen.has(key)) return false
  seen.add(key)
  return true
}
