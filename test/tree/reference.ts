/**
 * The definition of the manifest tree, written down without any regard to cost: the node of a set of entries
 * is a leaf if it fits, else an inner node of the lowest level that holds all of them, whose 128 slots are
 * halved until a run fits a leaf or is a single slot.
 */
import { Buffer } from 'node:buffer'
import { blake3 } from '@napi-rs/blake-hash'
import { encodeInner, encodeLeaf } from '../../src/format/node.ts'
import type { ChildReference } from '../../src/format/node.ts'

type Entry = [number, Buffer]

export function referenceRoot(entries: Entry[]): Buffer | null {
  return entries.length === 0 ? null : blake3(referenceNode(entries))
}

function referenceNode(entries: Entry[]): Buffer {
  if (weight(entries) <= 4096) return encodeLeaf(entries.map(([key]) => key), entries.map(([, value]) => value))
  let level = 0
  while (new Set(entries.map(([key]) => Math.floor(key / 128 ** (level + 1)))).size > 1) level += 1
  const base = Math.floor(entries[0][0] / 128 ** (level + 1)) * 128 ** (level + 1)
  return encodeInner(level, base, children(entries, level, base, 0, 128))
}

function children(entries: Entry[], level: number, base: number, slot: number, slots: number): ChildReference[] {
  const within = entries.filter(([key]) => key >= base + slot * 128 ** level && key < base + (slot + slots) * 128 ** level)
  if (within.length === 0) return []
  if (weight(within) <= 4096 || slots === 1) {
    return [{ slot, id: blake3(referenceNode(within)), weight: Math.min(weight(within), 4097) }]
  }
  const half = slots / 2
  return [...children(within, level, base, slot, half), ...children(within, level, base, slot + half, half)]
}

function weight(entries: Entry[]): number {
  return entries.reduce((sum, [, value]) => sum + Math.min(value.length, 4096), 0)
}
