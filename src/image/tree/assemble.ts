/** From the parts of one inner node's range to the one canonical node of their entries. */
import { assert } from '../../errors.ts'
import { nodeWeightMax } from '../../limits.ts'
import { heavyWeight, partition } from '../../format/node-partition.ts'
import { encodeInner, encodeLeaf, slotKeys } from '../../format/node.ts'
import type { ChildReference, Inner } from '../../format/node.ts'
import type { Share } from '../../format/node-partition.ts'
import type { ChunkId } from '../../store/chunks.ts'
import { baseOf, isHeavy, mergeEntries, slotOf, storedPart } from './parts.ts'
import type { NodeStore } from './nodes.ts'
import type { Entries, Part } from './parts.ts'

/** The inner node at the same place of the tree before: its nodes are the bases of deltas. */
export interface Before {
  id: ChunkId
  node: Inner
}

/**
 * All parts lie in one inner node's range of the level, in rising slots, no two in one slot; entries of one
 * slot weigh no more than a leaf may. What fits a leaf is given back as entries, for the parent to decide; a
 * lone inner node is given back as it is.
 */
export function assemble(store: NodeStore, level: number, parts: readonly Part[], before: Before | null): Part | null {
  if (parts.length === 0) return null
  if (parts.length === 1) return parts[0]
  const weight = parts.reduce((sum, part) => sum + part.weight, 0)
  if (weight <= nodeWeightMax) return { key: parts[0].key, weight, id: null, entries: mergeEntries(store, parts) }
  const base = baseOf(parts[0].key, level)
  const shares = partition(
    parts.map((part) => slotOf(part.key, level)),
    parts.map((part) => part.weight),
  )
  const children = shares.map((share) => storeShare(store, parts, share, before))
  const id = store.put(encodeInner(level, base, children), before?.id ?? null)
  return storedPart(id, base, heavyWeight)
}

export function putLeaf(store: NodeStore, entries: Entries, before: ChunkId | null): ChunkId {
  return store.put(encodeLeaf(entries.keys, entries.values), before)
}

function storeShare(store: NodeStore, parts: readonly Part[], share: Share, before: Before | null): ChildReference {
  const first = parts[share.from]
  if (share.to - share.from === 1 && first.id !== null) return { slot: share.start, id: first.id, weight: first.weight }
  const members = parts.slice(share.from, share.to)
  assert(!members.some(isHeavy), 'what is too heavy for a leaf has a slot of its own')
  const weight = members.reduce((sum, part) => sum + part.weight, 0)
  const id = putLeaf(store, mergeEntries(store, members), before === null ? null : leafBefore(before, share))
  return { slot: share.start, id, weight }
}

function leafBefore(before: Before, share: Share): ChunkId | null {
  const { node } = before
  const keysOfSlot = slotKeys(node.level)
  const index = node.indexFrom(node.base + share.start * keysOfSlot)
  if (index === node.count || node.keyStart(index) >= node.base + (share.start + share.span) * keysOfSlot) return null
  return node.weightAt(index) === heavyWeight ? null : node.idAt(index)
}
