/** What `show` and `diff` say of sealed epochs. */
import type { StoredEpoch } from '../format/epoch.ts'
import { decodeInode } from '../format/inode.ts'
import type { InodeRecord } from '../format/inode.ts'
import { decodeManifest } from '../format/manifest.ts'
import type { Manifest } from '../format/manifest.ts'
import type { ChunkReader } from '../store/chunks.ts'
import { breathe } from '../store/progress.ts'
import { rootInode } from './ingest.ts'
import { fileType, typeOf } from './modes.ts'
import { allInodes, direntsOf, inodeOf } from './paths.ts'
import { diff, get } from './tree/index.ts'
import type { NodeReader } from './tree/index.ts'
import type { CallOptions, DiffEntry, EpochDetail, EpochSummary } from './types.ts'

/** What `show` says of an epoch besides its summary. Errors: DAMAGED, NOT_FOUND. */
export function detailOf(
  reader: ChunkReader, nodes: NodeReader, { manifest, machine, recordBytes }: StoredEpoch,
): Omit<EpochDetail, keyof EpochSummary> {
  const { files, logicalBytes } = measure(nodes, decodeManifest(reader.read(manifest)))
  return {
    root: manifest.toString('hex'), files, logicalBytes, recordBytes,
    state: machine === null ? null : { bytes: machine.stateBytes },
    machineFacts: machine === null ? null : JSON.parse(machine.facts),
  }
}

/** Number of inodes and sum of the regular files' sizes. */
function measure(nodes: NodeReader, manifest: Manifest): { files: number; logicalBytes: number } {
  let files = 0
  let logicalBytes = 0
  for (const { inode } of allInodes(nodes, manifest)) {
    files += 1
    if (typeOf(inode.mode) === fileType.regular) logicalBytes += Number(inode.size)
  }
  return { files, logicalBytes }
}

/** Entries by path. The data of what did not change is not looked at; names of every directory are. */
export async function diffEpochs(
  reader: ChunkReader, nodes: NodeReader, before: StoredEpoch, after: StoredEpoch, options: CallOptions,
): Promise<DiffEntry[]> {
  const [old, now] = [before, after].map((record) => decodeManifest(reader.read(record.manifest)))
  const changed = new Set<number>()
  for (const { key } of diff(nodes, old.inodes, now.inodes)) changed.add(key)
  const oldPaths = await pathsOf(nodes, old, changed, options)
  const newPaths = await pathsOf(nodes, now, changed, options)
  const found: DiffEntry[] = []
  for (const path of [...new Set([...oldPaths.keys(), ...newPaths.keys()])].sort()) {
    found.push(compare(nodes, path, at(nodes, old, oldPaths.get(path)), at(nodes, now, newPaths.get(path))))
  }
  return found
}

function at(nodes: NodeReader, manifest: Manifest, number: number | undefined): InodeRecord | null {
  if (number === undefined) return null
  const bytes = get(nodes, manifest.inodes, number)
  return bytes === null ? null : decodeInode(bytes)
}

function compare(nodes: NodeReader, path: string, before: InodeRecord | null, after: InodeRecord | null): DiffEntry {
  const inode = (after ?? before)!
  let changedChunks = 0
  if (typeOf(inode.mode) === fileType.regular) {
    for (const difference of diff(nodes, before?.dataRoot ?? null, after?.dataRoot ?? null)) {
      changedChunks += Number(difference.key >= 0)
    }
  }
  const sameBytes = before !== null && after !== null && changedChunks === 0 && before.size === after.size
  return {
    path,
    change: before === null ? 'added' : after === null ? 'removed' : sameBytes ? 'metadata' : 'modified',
    kind: kindOf(inode.mode),
    bytesBefore: Number(before?.size ?? 0n),
    bytesAfter: Number(after?.size ?? 0n),
    changedChunks,
  }
}

function kindOf(mode: number): DiffEntry['kind'] {
  switch (typeOf(mode)) {
    case fileType.regular: return 'file'
    case fileType.directory: return 'directory'
    case fileType.link: return 'symlink'
    default: return 'other'
  }
}

/** Paths of the inodes asked for, by path. */
async function pathsOf(
  nodes: NodeReader, manifest: Manifest, wanted: ReadonlySet<number>, options: CallOptions,
): Promise<Map<string, number>> {
  const paths = new Map<string, number>()
  if (wanted.has(rootInode)) paths.set('/', rootInode)
  const open = [{ path: '', number: rootInode }]
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    for (const dirent of direntsOf(nodes, inodeOf(nodes, manifest, next.number))) {
      const path = `${next.path}/${dirent.name.toString()}`
      if (wanted.has(dirent.inode)) paths.set(path, dirent.inode)
      if (dirent.type === fileType.directory >>> 12) open.push({ path, number: dirent.inode })
    }
    await breathe(options)
  }
  return paths
}
