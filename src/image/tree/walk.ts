import type { Buffer } from 'node:buffer'
import { nodeWeightMax } from '../../limits.ts'
import type { TreeNode } from '../../format/node.ts'
import type { ChunkId } from '../../store/chunks.ts'
import type { NodeReader } from './nodes.ts'

export interface Visitor {
  /** Called for each node before what it holds; false leaves out the node and all below it. */
  node(id: ChunkId): boolean
  /** Called for each entry of the leaves not left out. Without it no leaf is read. */
  entry?(key: number, value: Buffer): void
}

/** Every node id that the root reaches, parents first; no leaf below the root is read. */
export function* nodes(reader: NodeReader, root: ChunkId | null): Generator<ChunkId, void, undefined> {
  if (root === null) return
  yield root
  yield* idsBelow(reader, reader.read(root))
}

/** One walk for a mark phase: what was seen before can be left out, whole subtrees at a time. */
export function walk(nodes: NodeReader, root: ChunkId | null, visitor: Visitor): void {
  if (root === null || !visitor.node(root)) return
  visit(nodes, nodes.read(root), visitor)
}

function visit(nodes: NodeReader, node: TreeNode, visitor: Visitor): void {
  for (let index = 0; index < node.count; index += 1) {
    if (node.leaf) visitor.entry?.(node.keyAt(index), node.valueAt(index))
    else if (visitor.node(node.idAt(index)) && (visitor.entry !== undefined || node.weightAt(index) > nodeWeightMax)) {
      visit(nodes, nodes.child(node, index), visitor)
    }
  }
}

function* idsBelow(nodes: NodeReader, node: TreeNode): Generator<ChunkId, void, undefined> {
  if (node.leaf) return
  for (let index = 0; index < node.count; index += 1) {
    yield node.idAt(index)
    if (node.weightAt(index) > nodeWeightMax) yield* idsBelow(nodes, nodes.child(node, index))
  }
}
