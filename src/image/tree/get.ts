import type { Buffer } from 'node:buffer'
import type { Leaf, TreeNode } from '../../format/node.ts'
import type { ChunkId } from '../../store/chunks.ts'
import type { NodeReader } from './nodes.ts'

/**
 * The value of a key, a view that is not to be changed, or null where the key is absent. On the path of every
 * read of the mount: at most nine cached nodes are looked at and nothing but the view is made.
 * Errors: NOT_FOUND, DAMAGED, BAD_FORMAT, NEWER_VERSION, as for everything that reads a tree.
 */
export function get(nodes: NodeReader, root: ChunkId | null, key: number): Buffer | null {
  const leaf = leafOf(nodes, root, key)
  return leaf === null ? null : leaf.valueOf(key)
}

/** The smallest key at or above `from`, or null. */
export function nextKey(nodes: NodeReader, root: ChunkId | null, from: number): number | null {
  return root === null ? null : nextKeyOf(nodes, nodes.read(root), from)
}

/** The smallest key at or above `from` that is absent; runs of keys are passed over a leaf at a time. */
export function nextGap(nodes: NodeReader, root: ChunkId | null, from: number): number {
  let key = from
  for (let leaf = leafOf(nodes, root, key); leaf !== null; leaf = leafOf(nodes, root, key)) {
    const gap = gapIn(leaf, key)
    if (gap <= leaf.keyLast || gap === key) return gap
    key = gap
  }
  return key
}

/** The smallest key at or above `key` that is not in the leaf. */
function gapIn(leaf: Leaf, key: number): number {
  let index = leaf.indexFrom(key)
  if (leaf.keyLast - key === leaf.count - 1 - index) return leaf.keyLast + 1
  let gap = key
  for (; index < leaf.count && leaf.keyAt(index) === gap; index += 1) gap += 1
  return gap
}

/** The leaf that alone may hold the key; null where none does. */
function leafOf(nodes: NodeReader, root: ChunkId | null, key: number): Leaf | null {
  if (root === null) return null
  let node = nodes.read(root)
  while (!node.leaf) {
    const index = node.indexOf(key)
    if (index < 0) return null
    node = nodes.child(node, index)
  }
  return node
}

function nextKeyOf(nodes: NodeReader, node: TreeNode, from: number): number | null {
  const index = node.indexFrom(from)
  if (node.leaf) return index < node.count ? node.keyAt(index) : null
  for (let child = index; child < node.count; child += 1) {
    const key = nextKeyOf(nodes, nodes.child(node, child), from)
    if (key !== null) return key
  }
  return null
}
