import type { Buffer } from 'node:buffer'
import { treeKeyMax } from '../../limits.ts'
import type { TreeNode } from '../../format/node.ts'
import type { ChunkId } from '../../store/chunks.ts'
import type { NodeReader } from './nodes.ts'

/** A value is a view that is not to be changed. */
export type Entry = readonly [key: number, value: Buffer]

/** The entries with from <= key < to, keys rising; only nodes that hold such are read. */
export function* entries(
  nodes: NodeReader,
  root: ChunkId | null,
  from = 0,
  to = treeKeyMax + 1,
): Generator<Entry, void, undefined> {
  if (root !== null) yield* entriesOf(nodes, nodes.read(root), from, to)
}

function* entriesOf(nodes: NodeReader, node: TreeNode, from: number, to: number): Generator<Entry, void, undefined> {
  let index = node.indexFrom(from)
  if (node.leaf) {
    for (; index < node.count && node.keyAt(index) < to; index += 1) yield [node.keyAt(index), node.valueAt(index)]
    return
  }
  for (; index < node.count && node.keyStart(index) < to; index += 1) {
    yield* entriesOf(nodes, nodes.child(node, index), from, to)
  }
}
