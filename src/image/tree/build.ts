/** A tree from entries that come in the order of their keys, in memory bounded by the tree's height. */
import { assert } from '../../errors.ts'
import { nodeFanOut, nodeWeightMax, treeKeyMax } from '../../limits.ts'
import { treeValueBytesMax } from '../../format/node-table.ts'
import { slotKeys } from '../../format/node.ts'
import type { ChunkId } from '../../store/chunks.ts'
import { assemble, putLeaf } from './assemble.ts'
import { cutBySlot, entriesPart } from './parts.ts'
import type { NodeStore } from './nodes.ts'
import type { Entries, Part } from './parts.ts'

const levelMax = 7

/** Keys rise strictly; values are 1 to 4,224 bytes. Errors: as ChunkStore.put. */
export function build(store: NodeStore, entries: Iterable<readonly [number, Uint8Array]>): ChunkId | null {
  const builder = new TreeBuilder(store)
  for (const [key, value] of entries) builder.add(key, value)
  return storeRoot(store, builder.finish(), null)
}

/** A root's node: there is no parent left to decide. `before` is the root before, a base of its delta. */
export function storeRoot(store: NodeStore, part: Part | null, before: ChunkId | null): ChunkId | null {
  if (part === null) return null
  if (part.id !== null) return part.id
  assert(part.entries !== null, 'a part is stored or has entries')
  return putLeaf(store, part.entries, before)
}

/** The same entries, those that one leaf cannot hold stored as an inner node. */
export function settle(store: NodeStore, part: Part): Part {
  if (part.entries === null || part.weight <= nodeWeightMax) return part
  const builder = new TreeBuilder(store)
  part.entries.keys.forEach((key, index) => builder.add(key, part.entries!.values[index]))
  const settled = builder.finish()
  assert(settled !== null, 'entries build a node')
  return settled
}

export function checkEntry(key: number, keyBefore: number, value: Uint8Array | null): void {
  const rises = Number.isInteger(key) && key > keyBefore && key <= treeKeyMax
  assert(rises, `key ${key} does not rise within the tree's keys`)
  assert(value === null || (value.length >= 1 && value.length <= treeValueBytesMax), 'a value is 1 to 4,224 bytes')
}

/** Holds back, for each level, the parts of the one inner node that is still open there. */
export class TreeBuilder {
  readonly #store: NodeStore
  readonly #open: Part[][] = Array.from({ length: levelMax + 1 }, () => [])
  #run: Entries = { keys: [], values: [] }
  #keyLast = -1

  constructor(store: NodeStore) {
    this.#store = store
  }

  add(key: number, value: Uint8Array): void {
    checkEntry(key, this.#keyLast, value)
    if (this.#keyLast >= 0 && !sameNode(key, this.#keyLast, 0)) this.#close(key)
    this.#run.keys.push(key)
    this.#run.values.push(value)
    this.#keyLast = key
  }

  /** The whole tree's node; null where nothing was added. Nothing can be added after it. */
  finish(): Part | null {
    let part = this.#closeRun()
    for (let level = 1; level <= levelMax; level += 1) {
      if (part !== null) this.#open[level].push(part)
      part = assemble(this.#store, level, this.#open[level], null)
    }
    return part
  }

  #close(keyNext: number): void {
    let part = this.#closeRun()
    for (let level = 1; part !== null; level += 1) {
      this.#open[level].push(part)
      if (sameNode(keyNext, this.#keyLast, level)) return
      part = assemble(this.#store, level, this.#open[level], null)
      this.#open[level] = []
    }
  }

  /** Entries of one node of level 0 are collected as they come and cut by slot only if they must. */
  #closeRun(): Part | null {
    const part = entriesPart(this.#run)
    this.#run = { keys: [], values: [] }
    if (part === null || part.entries === null || part.weight <= nodeWeightMax) return part
    return assemble(this.#store, 0, cutBySlot(part.entries, 0), null)
  }
}

function sameNode(a: number, b: number, level: number): boolean {
  const span = slotKeys(level) * nodeFanOut
  return Math.floor(a / span) === Math.floor(b / span)
}
