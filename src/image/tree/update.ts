/**
 * Changes to a tree: only nodes on the way to a change are read and written. Old nodes stay as they are (other
 * roots refer to them); each new one is put with the old one of its place as the base of its delta.
 */
import { nodeFanOut, treeKeyMax } from '../../limits.ts'
import { heavyWeight } from '../../format/node-partition.ts'
import { slotKeys } from '../../format/node.ts'
import type { Inner, Leaf } from '../../format/node.ts'
import type { ChunkId } from '../../store/chunks.ts'
import { assemble } from './assemble.ts'
import { checkEntry, settle, storeRoot } from './build.ts'
import { appendEntries, cutBySlot, entriesPart, isHeavy, mergeEntries, storedPart } from './parts.ts'
import type { NodeStore } from './nodes.ts'
import type { Entries, Part } from './parts.ts'

/** A new value, or null to remove the key. */
export type Change = readonly [key: number, value: Uint8Array | null]

/** Changes with rising keys, and a range of keys to be removed besides (empty where there are changes). */
interface Edit {
  keys: number[]
  values: (Uint8Array | null)[]
  cutFrom: number
  cutTo: number
}

/**
 * The root after the changes, whose keys rise strictly. What does not change the contents gives the same root
 * and puts nothing. Values are copied before return. Errors: as ChunkStore.put and NodeReader.read.
 */
export function update(store: NodeStore, root: ChunkId | null, changes: Iterable<Change>): ChunkId | null {
  const edit: Edit = { keys: [], values: [], cutFrom: 0, cutTo: 0 }
  let keyBefore = -1
  for (const [key, value] of changes) {
    checkEntry(key, keyBefore, value)
    edit.keys.push(key)
    edit.values.push(value)
    keyBefore = key
  }
  return apply(store, root, edit)
}

/** Removes every key at or above `key`, without a visit to what goes as a whole. */
export function removeFrom(store: NodeStore, root: ChunkId | null, key: number): ChunkId | null {
  return removeRange(store, root, key, treeKeyMax + 1)
}

/** Removes the keys with from <= key < to, without a visit to what goes as a whole. */
export function removeRange(store: NodeStore, root: ChunkId | null, from: number, to: number): ChunkId | null {
  return apply(store, root, { keys: [], values: [], cutFrom: from, cutTo: to })
}

function apply(store: NodeStore, root: ChunkId | null, edit: Edit): ChunkId | null {
  if (root === null) return buildInserts(store, edit)
  const node = store.read(root)
  const part = rewrite(store, edit, root, node, 0, edit.keys.length)
  return storeRoot(store, part === null ? null : settle(store, part), node.leaf ? root : null)
}

function buildInserts(store: NodeStore, edit: Edit): ChunkId | null {
  const part = entriesPart(collectInserts(edit, 0, edit.keys.length))
  return storeRoot(store, part === null ? null : settle(store, part), null)
}

/** The node after the changes `from` to `to` (exclusive); entries that it holds may be too heavy for a leaf. */
function rewrite(store: NodeStore, edit: Edit, id: ChunkId, node: Leaf | Inner, from: number, to: number): Part | null {
  if (node.leaf) return rewriteLeaf(edit, id, node, from, to)
  const first = indexAtOrAfter(edit.keys, node.base, from, to)
  const last = indexAtOrAfter(edit.keys, node.end, first, to)
  const inside = rewriteInside(store, edit, id, node, first, last)
  return join(store, inside, collectInserts(edit, from, first), collectInserts(edit, last, to))
}

function rewriteLeaf(edit: Edit, id: ChunkId, leaf: Leaf, from: number, to: number): Part | null {
  const entries: Entries = { keys: [], values: [] }
  let changed = false
  let at = from
  for (let index = 0; index < leaf.count; index += 1) {
    const key = leaf.keyAt(index)
    const next = indexAtOrAfter(edit.keys, key, at, to)
    changed = addInserts(entries, edit, at, next) || changed
    const isNamed = next < to && edit.keys[next] === key
    at = isNamed ? next + 1 : next
    const before = leaf.valueAt(index)
    const after = isNamed ? edit.values[next] : key >= edit.cutFrom && key < edit.cutTo ? null : before
    changed ||= after === null || (after !== before && !before.equals(after))
    if (after !== null) addEntry(entries, key, after)
  }
  changed = addInserts(entries, edit, at, to) || changed
  return changed ? entriesPart(entries) : storedPart(id, leaf.keyFirst, leaf.weight)
}

function rewriteInside(store: NodeStore, edit: Edit, id: ChunkId, node: Inner, from: number, to: number): Part | null {
  const parts: Part[] = []
  let changed = false
  let at = from
  for (let index = 0; index < node.count; index += 1) {
    const start = indexAtOrAfter(edit.keys, node.keyStart(index), at, to)
    changed = addParts(store, parts, entriesPart(collectInserts(edit, at, start)), node.level) || changed
    at = indexAtOrAfter(edit.keys, node.keyEnd(index), start, to)
    const before = storedPart(node.idAt(index), node.keyStart(index), node.weightAt(index))
    const after = rewriteChild(store, edit, node, index, start, at)
    if (after !== null && after.id !== null && after.id.equals(node.idAt(index))) parts.push(before)
    else {
      addParts(store, parts, after, node.level)
      changed = true
    }
  }
  changed = addParts(store, parts, entriesPart(collectInserts(edit, at, to)), node.level) || changed
  return changed ? assemble(store, node.level, parts, { id, node }) : storedPart(id, node.base, heavyWeight)
}

function rewriteChild(store: NodeStore, edit: Edit, node: Inner, index: number, from: number, to: number): Part | null {
  const start = node.keyStart(index)
  const end = node.keyEnd(index)
  const id = node.idAt(index)
  if (edit.cutFrom <= start && end <= edit.cutTo) return null
  const isCut = edit.cutFrom < end && start < edit.cutTo
  if (from === to && !isCut) return storedPart(id, start, node.weightAt(index))
  return rewrite(store, edit, id, store.child(node, index), from, to)
}

/** True where something was added. */
function addParts(store: NodeStore, parts: Part[], part: Part | null, level: number): boolean {
  if (part === null) return false
  if (part.entries === null) parts.push(part)
  else for (const run of cutBySlot(part.entries, level)) parts.push(settle(store, run))
  return true
}

/** One node of what an inner node's range now holds and of entries below and above that range. */
function join(store: NodeStore, part: Part | null, below: Entries, above: Entries): Part | null {
  if (below.keys.length === 0 && above.keys.length === 0) return part
  if (part !== null && isHeavy(part)) return joinHeavy(store, part, below, above)
  const all: Entries = { keys: [], values: [] }
  appendEntries(all, below)
  if (part !== null) appendEntries(all, mergeEntries(store, [part]))
  appendEntries(all, above)
  const joined = entriesPart(all)
  return joined === null ? null : settle(store, joined)
}

/** Grows upwards from the heavy node: entries that share its slot are joined with it one level deeper. */
function joinHeavy(store: NodeStore, part: Part, below: Entries, above: Entries): Part | null {
  if (below.keys.length === 0 && above.keys.length === 0) return part
  const keyFirst = below.keys.length === 0 ? part.key : below.keys[0]
  const keyLast = above.keys.length === 0 ? part.key : above.keys[above.keys.length - 1]
  const level = commonLevel(keyFirst, keyLast)
  const slotStart = part.key - (part.key % slotKeys(level))
  const [farBelow, nearBelow] = splitAt(below, slotStart)
  const [nearAbove, farAbove] = splitAt(above, slotStart + slotKeys(level))
  const parts: Part[] = []
  addParts(store, parts, entriesPart(farBelow), level)
  addParts(store, parts, joinHeavy(store, part, nearBelow, nearAbove), level)
  addParts(store, parts, entriesPart(farAbove), level)
  return assemble(store, level, parts, null)
}

/** The lowest level whose inner node holds both keys. */
function commonLevel(keyFirst: number, keyLast: number): number {
  let level = 0
  for (let span = nodeFanOut; Math.floor(keyFirst / span) !== Math.floor(keyLast / span); span *= nodeFanOut) level += 1
  return level
}

function splitAt(entries: Entries, key: number): [Entries, Entries] {
  const at = indexAtOrAfter(entries.keys, key, 0, entries.keys.length)
  return [
    { keys: entries.keys.slice(0, at), values: entries.values.slice(0, at) },
    { keys: entries.keys.slice(at), values: entries.values.slice(at) },
  ]
}

function collectInserts(edit: Edit, from: number, to: number): Entries {
  const entries: Entries = { keys: [], values: [] }
  addInserts(entries, edit, from, to)
  return entries
}

/** True where something was added. */
function addInserts(entries: Entries, edit: Edit, from: number, to: number): boolean {
  const countBefore = entries.keys.length
  for (let index = from; index < to; index += 1) {
    const value = edit.values[index]
    if (value !== null) addEntry(entries, edit.keys[index], value)
  }
  return entries.keys.length > countBefore
}

function addEntry(entries: Entries, key: number, value: Uint8Array): void {
  entries.keys.push(key)
  entries.values.push(value)
}

function indexAtOrAfter(keys: readonly number[], key: number, from: number, to: number): number {
  let low = from
  let high = to
  while (low < high) {
    const middle = (low + high) >>> 1
    if (keys[middle] < key) low = middle + 1
    else high = middle
  }
  return low
}
