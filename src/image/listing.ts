/**
 * What a directory of the head holds: its committed names with those set and removed since laid over them,
 * in the order of their keys. A key depends on the name alone, so it serves as a position that stays
 * meaningful whatever else comes and goes.
 */
import type { Buffer } from 'node:buffer'
import { decodeDirents, nameKey } from '../format/dirent.ts'
import { treeKeyMax } from '../limits.ts'
import type { Head } from './head.ts'
import type { InodeState } from './inode-state.ts'
import type { NamedInode, OverlaidName } from './names.ts'

import { entries, get } from './tree/index.ts'

export interface ListedName extends NamedInode {
  key: number
  name: Buffer
}

export function lookupName(head: Head, directory: InodeState, name: Buffer): NamedInode | null {
  const overlaid = directory.names.get(name)
  if (overlaid !== undefined) return overlaid
  const bytes = get(head.nodes, directory.dataRoot, nameKey(name))
  if (bytes === null) return null
  return decodeDirents(bytes).find((dirent) => dirent.name.equals(name)) ?? null
}

/** Names from a key on, in key order; names with one key follow each other. */
export function* listNames(head: Head, directory: InodeState, fromKey: number): Generator<ListedName> {
  if (fromKey > treeKeyMax) return
  const overlaid = directory.names.sorted()
  let at = overlaid.findIndex((name) => name.key >= fromKey)
  if (at < 0) at = overlaid.length
  for (const [key, bytes] of entries(head.nodes, directory.dataRoot, fromKey)) {
    for (; at < overlaid.length && overlaid[at].key < key; at += 1) yield* shown(overlaid[at])
    for (const dirent of decodeDirents(bytes)) {
      if (!directory.names.has(dirent.name)) yield { key, name: dirent.name, inode: dirent.inode, type: dirent.type }
    }
  }
  for (; at < overlaid.length; at += 1) yield* shown(overlaid[at])
}

export function isEmptyDirectory(head: Head, directory: InodeState): boolean {
  return listNames(head, directory, 0).next().done === true
}

function* shown(name: OverlaidName): Generator<ListedName> {
  if (name.entry !== null) yield { key: name.key, name: name.name, ...name.entry }
}
