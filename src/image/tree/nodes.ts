/**
 * The manifest's nodes, read and written through the chunk store, each decoded once and kept while it is in
 * use. One object belongs to one thread.
 */
import type { Buffer } from 'node:buffer'
import { HoldfastError } from '../../errors.ts'
import { nodeCacheBytes, nodeWeightMax } from '../../limits.ts'
import { decodeNode } from '../../format/node.ts'
import type { Inner, TreeNode } from '../../format/node.ts'
import { heavyWeight } from '../../format/node-partition.ts'
import type { ChunkId, ChunkReader, ChunkStore } from '../../store/chunks.ts'

/** Two ways of a set, found by the id's own bytes, which are random. */
const setCount = nodeCacheBytes / nodeWeightMax / 2

export class NodeReader {
  readonly #chunks: ChunkReader
  readonly #ids = new Array<ChunkId | undefined>(2 * setCount)
  readonly #nodes = new Array<TreeNode | undefined>(2 * setCount)

  constructor(chunks: ChunkReader) {
    this.#chunks = chunks
  }

  /** Errors: NOT_FOUND, DAMAGED, BAD_FORMAT, NEWER_VERSION. */
  read(id: ChunkId): TreeNode {
    const kept = this.#find(id)
    if (kept !== undefined) return kept
    const node = decodeNode(this.#chunks.read(id))
    this.keep(id, node)
    return node
  }

  /**
   * The child, which must lie in its share of the parent and be what the reference says, so that a walk
   * visits keys in order and comes to an end. Errors: as read.
   */
  child(parent: Inner, index: number): TreeNode {
    const node = this.read(parent.idAt(index))
    if (!isChild(parent, index, node)) {
      throw new HoldfastError('DAMAGED', `a manifest node is damaged: child ${index} is not what its parent says`)
    }
    return node
  }

  /** The newest of a set comes first, the older one goes. */
  protected keep(id: ChunkId, node: TreeNode): void {
    const first = firstOfSet(id)
    this.#ids[first + 1] = this.#ids[first]
    this.#nodes[first + 1] = this.#nodes[first]
    this.#ids[first] = id
    this.#nodes[first] = node
  }

  #find(id: ChunkId): TreeNode | undefined {
    const first = firstOfSet(id)
    if (isSame(this.#ids[first], id)) return this.#nodes[first]
    if (isSame(this.#ids[first + 1], id)) return this.#nodes[first + 1]
    return undefined
  }
}

export class NodeStore extends NodeReader {
  readonly #store: ChunkStore

  constructor(store: ChunkStore) {
    super(store)
    this.#store = store
  }

  /**
   * Stores an encoded node, decoding it first: what cannot be read is never written. `before` is the node at
   * the same place of the tree before, the base of a delta; where it is this very node, nothing is put.
   * Errors: as ChunkStore.put.
   */
  put(bytes: Buffer, before: ChunkId | null): ChunkId {
    if (before !== null && this.read(before).bytes.equals(bytes)) return before
    const node = decodeNode(bytes)
    const { id } = this.#store.put(bytes, 'node', before ?? undefined)
    this.keep(id, node)
    return id
  }
}

function firstOfSet(id: ChunkId): number {
  return 2 * (id.readUInt32LE(0) % setCount)
}

function isSame(kept: ChunkId | undefined, id: ChunkId): boolean {
  return kept === id || (kept !== undefined && kept.equals(id))
}

function isChild(parent: Inner, index: number, node: TreeNode): boolean {
  const start = parent.keyStart(index)
  const end = parent.keyEnd(index)
  if (node.leaf) return node.weight === parent.weightAt(index) && node.keyFirst >= start && node.keyLast < end
  return parent.weightAt(index) === heavyWeight && node.level < parent.level && node.base >= start && node.end <= end
}
