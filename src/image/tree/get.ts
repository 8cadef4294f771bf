import type { Buffer } from 'node:buffer'
import type { TreeNode } from '../../format/node.ts'
import type { ChunkId } from '../../store/chunks.ts'
import type { NodeReader } from './nodes.ts'

/**
 * The value of a key, a view that is not to be changed, or null where the key is absent. On the path of every
 * read of the mount: at most nine cached nodes are looked at and nothing but the view is made.
 * Errors: NOT_FOUND, DAMAGED, BAD_FORMAT, NEWER_VERSION, as for everything that reads a tree.
 */
export function get(nodes: NodeReader, root: ChunkId | null, key: number): Buffer | null {
  if (root === null) return null
  let node = nodes.read(root)
  while (!node.leaf) {
    const index = node.indexOf(key)
    if (index < 0) return null
    node = nodes.child(node, index)
  }
  return node.valueOf(key)
}

/** The smallest key at or above `from`, or null. */
export function nextKey(nodes: NodeReader, root: ChunkId | null, from: number): number | null {
  return root === null ? null : nextKeyOf(nodes, nodes.read(root), from)
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
