/**
 * Applies Changes to a manifest: new chunks, new nodes, a new root. Nothing here is durable until the store
 * is synced, and nothing is visible until a record names the new root. The cost is O(changes).
 */
import { Buffer } from 'node:buffer'
import { decodeDirents, encodeDirents, nameKey } from '../format/dirent.ts'
import type { Dirent } from '../format/dirent.ts'
import { encodeInode } from '../format/inode.ts'
import { encodeManifest } from '../format/manifest.ts'
import type { Manifest } from '../format/manifest.ts'
import { isZero } from '../chunk/zero.ts'
import { chunkBytes } from '../limits.ts'
import type { ChunkId, ChunkStore } from '../store/chunks.ts'
import type { ChangedInode, Changes } from './changes.ts'
import type { Extent } from './extents.ts'
import type { LogReader } from './log-reader.ts'
import { get } from './tree/get.ts'
import type { NodeStore } from './tree/nodes.ts'
import { removeFrom, removeRange, update } from './tree/update.ts'
import type { Change } from './tree/update.ts'
import type { CallOptions } from './types.ts'
import { breathe } from '../store/progress.ts'

export interface ApplyTarget {
  store: ChunkStore
  nodes: NodeStore
  log: LogReader
}

/** The manifest after the changes (not stored yet: see storeManifest). Errors: DAMAGED, NO_SPACE, IO, ABORTED. */
export async function applyChanges(
  target: ApplyTarget, manifest: Manifest, changes: Changes, options: CallOptions = {},
): Promise<Manifest> {
  const inodeChanges: Change[] = []
  const orphans = new Set(manifest.orphans)
  let added = 0
  for (const changed of changes.inodes()) {
    const existed = get(target.nodes, manifest.inodes, changed.number) !== null
    if (!changed.removed) await applyInode(target, changed, options)
    inodeChanges.push([changed.number, changed.removed ? null : encodeInode(changed.record)])
    added += Number(!changed.removed) - Number(existed)
    if (!changed.removed && changed.record.linkCount === 0) orphans.add(changed.number)
    else orphans.delete(changed.number)
  }
  return {
    inodes: update(target.nodes, manifest.inodes, inodeChanges),
    nextInode: changes.nextInode,
    inodeCount: manifest.inodeCount + added,
    orphans: [...orphans].sort((a, b) => a - b),
  }
}

/** The manifest without inodes that have no name: what an epoch holds. */
export function withoutOrphans(nodes: NodeStore, manifest: Manifest): Manifest {
  if (manifest.orphans.length === 0) return manifest
  const gone = manifest.orphans.map((number): Change => [number, null])
  return {
    ...manifest,
    inodes: update(nodes, manifest.inodes, gone),
    inodeCount: manifest.inodeCount - gone.length,
    orphans: [],
  }
}

export function storeManifest(store: ChunkStore, manifest: Manifest, before: ChunkId | null): ChunkId {
  return store.put(encodeManifest(manifest), 'node', before ?? undefined).id
}

async function applyInode(target: ApplyTarget, changed: ChangedInode, options: CallOptions): Promise<void> {
  const { record } = changed
  if (!changed.extents.isEmpty) record.dataRoot = await applyData(target, changed, options)
  if (changed.names.size > 0) record.dataRoot = applyNames(target.nodes, record.dataRoot, changed)
  if (changed.attributes !== undefined) {
    record.attributesRoot = changed.attributes.length === 0
      ? null
      : target.store.put(changed.attributes, 'node', record.attributesRoot ?? undefined).id
  }
}

async function applyData(target: ApplyTarget, changed: ChangedInode, options: CallOptions): Promise<ChunkId | null> {
  const { nodes } = target
  const { extents, record } = changed
  const touched = new Set(extents.touched())
  const cut = extents.lowestCut()
  if (cut !== null && cut.within > 0) touched.add(cut.chunk)
  const chunkChanges: Change[] = []
  let done = 0
  for (const chunk of [...touched].sort((a, b) => a - b)) {
    const before = get(nodes, record.dataRoot, chunk)
    chunkChanges.push([chunk, buildChunk(target, changed, chunk, before)])
    done += 1
    if (done % chunksBetweenTurns === 0) {
      await breathe(options)
      options.progress?.({ step: 'committing', done, total: touched.size, unit: 'chunks' })
    }
  }
  let root = record.dataRoot
  if (cut !== null) root = removeFrom(nodes, root, cut.within > 0 ? cut.chunk + 1 : cut.chunk)
  for (const range of extents.zeroRanges()) root = removeRange(nodes, root, range.first, range.end)
  return update(nodes, root, chunkChanges)
}

/** So many chunks take about ten milliseconds: then other work of this thread gets its turn. */
const chunksBetweenTurns = 32

/** Id of the chunk as it is now; null when it is all zeros. */
function buildChunk(target: ApplyTarget, changed: ChangedInode, chunk: number, before: ChunkId | null): ChunkId | null {
  const { extents, record } = changed
  const pieces = extents.pieces(chunk) ?? []
  const committedBytes = before === null ? 0 : extents.committedBytes(chunk)
  const covered = pieces.length === 1 && pieces[0].from === 0 && pieces[0].to === chunkBytes
  const parent = before !== null && committedBytes > 0 && !covered ? target.store.read(before) : null
  const plain = Buffer.alloc(chunkBytes)
  parent?.copy(plain, 0, 0, committedBytes)
  for (const piece of pieces) layPiece(target.log, record.isMemory, piece, plain)
  if (parent !== null && committedBytes === chunkBytes && plain.equals(parent)) return before
  return isZero(plain) ? null : target.store.put(plain, 'data', before ?? undefined).id
}

function layPiece(log: LogReader, isMemory: boolean, piece: Extent, plain: Buffer): void {
  const part = plain.subarray(piece.from, piece.to)
  if (piece.position < 0) part.fill(0)
  else log.read(isMemory ? 'memory' : 'disk', piece.segment, part, piece.position)
}

function applyNames(nodes: NodeStore, root: ChunkId | null, changed: ChangedInode): ChunkId | null {
  const byKey = new Map<number, Dirent[]>()
  for (const { name, entry } of changed.names.values()) {
    const key = nameKey(name)
    const list = byKey.get(key) ?? direntsAt(nodes, root, key)
    const others = list.filter((dirent) => !dirent.name.equals(name))
    byKey.set(key, entry === null ? others : [...others, { name, ...entry }])
  }
  const changes = [...byKey].sort(([a], [b]) => a - b)
    .map(([key, list]): Change => [key, list.length === 0 ? null : encodeDirents(list)])
  return update(nodes, root, changes)
}

function direntsAt(nodes: NodeStore, root: ChunkId | null, key: number): Dirent[] {
  const bytes = get(nodes, root, key)
  return bytes === null ? [] : decodeDirents(bytes)
}
