/** Finds inodes of a sealed manifest by path, and walks it. */
import { Buffer } from 'node:buffer'
import { HoldfastError } from '../errors.ts'
import { decodeDirents, nameKey } from '../format/dirent.ts'
import type { Dirent } from '../format/dirent.ts'
import { decodeInode } from '../format/inode.ts'
import type { InodeRecord } from '../format/inode.ts'
import type { Manifest } from '../format/manifest.ts'
import { rootInode } from './ingest.ts'
import { fileType, typeOf } from './modes.ts'

import { entries, get } from './tree/index.ts'
import type { NodeReader } from './tree/nodes.ts'

/** Errors: DAMAGED when there is no such inode. */
export function inodeOf(nodes: NodeReader, manifest: Manifest, number: number): InodeRecord {
  const bytes = get(nodes, manifest.inodes, number)
  if (bytes === null) throw new HoldfastError('DAMAGED', `inode ${number} is missing from its manifest`)
  return decodeInode(bytes)
}

/** The inode at an absolute path. Symbolic links are not followed. Errors: NOT_FOUND. */
export function findPath(nodes: NodeReader, manifest: Manifest, path: string): { number: number; inode: InodeRecord } {
  let number = rootInode
  let inode = inodeOf(nodes, manifest, number)
  for (const part of path.split('/').filter((name) => name !== '' && name !== '.')) {
    const name = Buffer.from(part)
    const bytes = typeOf(inode.mode) === fileType.directory ? get(nodes, inode.dataRoot, nameKey(name)) : null
    const found = bytes === null ? undefined : decodeDirents(bytes).find((dirent) => dirent.name.equals(name))
    if (found === undefined) throw new HoldfastError('NOT_FOUND', `there is no ${path} in this epoch`)
    number = found.inode
    inode = inodeOf(nodes, manifest, number)
  }
  return { number, inode }
}

/** Regular files' data in an epoch, for sizes and counts: calls back for each inode. */
export function* allInodes(nodes: NodeReader, manifest: Manifest): Generator<{ number: number; inode: InodeRecord }> {
  for (const [number, value] of entries(nodes, manifest.inodes)) yield { number, inode: decodeInode(value) }
}

export function* direntsOf(nodes: NodeReader, directory: InodeRecord): Generator<Dirent> {
  for (const [, value] of entries(nodes, directory.dataRoot)) yield* decodeDirents(value)
}
