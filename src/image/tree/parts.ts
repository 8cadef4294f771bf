/**
 * What an inner node is put together from: stretches of entries that are not in any node yet, leaves of the
 * tree before that need not be read, and finished inner nodes.
 */
import { heavyWeight } from '../../format/node-partition.ts'
import { entryWeight, slotKeys } from '../../format/node.ts'
import { nodeFanOut } from '../../limits.ts'
import { assert } from '../../errors.ts'
import type { ChunkId } from '../../store/chunks.ts'
import type { NodeReader } from './nodes.ts'

/** Keys rise; each value belongs to the key of its index. */
export interface Entries {
  keys: number[]
  values: Uint8Array[]
}

export interface Part {
  /** Tells its slot: its first key, or one below it in the same slot. */
  key: number
  /** Of all entries together, heavyWeight for an inner node. */
  weight: number
  /** Of a node that is stored already; else null. */
  id: ChunkId | null
  /** What is to be stored; null where `id` is set. */
  entries: Entries | null
}

export function isHeavy(part: Part): boolean {
  return part.weight >= heavyWeight
}

export function storedPart(id: ChunkId, key: number, weight: number): Part {
  return { key, weight, id, entries: null }
}

/** Null where there are no entries. The weight may be above a leaf's. */
export function entriesPart(entries: Entries): Part | null {
  if (entries.keys.length === 0) return null
  return { key: entries.keys[0], weight: weightOf(entries.values), id: null, entries }
}

/** The slot of a key within an inner node of this level. */
export function slotOf(key: number, level: number): number {
  return Math.floor(key / slotKeys(level)) % nodeFanOut
}

/** The first key of the inner node of this level that would hold the key. */
export function baseOf(key: number, level: number): number {
  return key - (key % (slotKeys(level) * nodeFanOut))
}

/** One part for each slot of the level that the entries lie in. */
export function cutBySlot(entries: Entries, level: number): Part[] {
  const parts: Part[] = []
  const span = slotKeys(level)
  let from = 0
  for (let to = 1; to <= entries.keys.length; to += 1) {
    const slot = Math.floor(entries.keys[from] / span)
    if (to < entries.keys.length && Math.floor(entries.keys[to] / span) === slot) continue
    const part = entriesPart({ keys: entries.keys.slice(from, to), values: entries.values.slice(from, to) })
    if (part !== null) parts.push(part)
    from = to
  }
  return parts
}

/** All entries of light parts, the stored ones read. */
export function mergeEntries(nodes: NodeReader, parts: readonly Part[]): Entries {
  const merged: Entries = { keys: [], values: [] }
  for (const part of parts) appendEntries(merged, entriesOf(nodes, part))
  return merged
}

export function appendEntries(target: Entries, more: Entries): void {
  for (let index = 0; index < more.keys.length; index += 1) {
    target.keys.push(more.keys[index])
    target.values.push(more.values[index])
  }
}

function entriesOf(nodes: NodeReader, part: Part): Entries {
  if (part.entries !== null) return part.entries
  assert(part.id !== null, 'a part is stored or has entries')
  const node = nodes.read(part.id)
  assert(node.leaf, 'only leaves are taken apart')
  const entries: Entries = { keys: [], values: [] }
  for (let index = 0; index < node.count; index += 1) {
    entries.keys.push(node.keyAt(index))
    entries.values.push(node.valueAt(index))
  }
  return entries
}

function weightOf(values: readonly Uint8Array[]): number {
  let weight = 0
  for (const value of values) weight += entryWeight(value)
  return weight
}
