/**
 * How much of a file is data: what st_blocks tells, so that sparse files look sparse to `du` and `cp`. A leaf
 * of a file's tree holds ids alone, so its weight tells their number and no leaf need be read but at the edges
 * of a range.
 */
import { digestBytes, nodeWeightMax, treeKeyMax } from '../limits.ts'
import type { TreeNode } from '../format/node.ts'
import type { ChunkId } from '../store/chunks.ts'
import type { Head } from './head.ts'
import type { InodeState } from './inode-state.ts'
import { hasData } from './head-data.ts'
import { get } from './tree/get.ts'
import type { NodeReader } from './tree/nodes.ts'

/** Of more touched chunks than these each counts as new data: an estimate until their commit. */
const touchedExactMax = 1024

/** Chunks with data, exact but for estimates while much is not committed; at most those of the size. */
export function allocatedChunks(head: Head, state: InodeState): number {
  const sizeChunks = state.sizeChunk + (state.sizeWithin > 0 ? 1 : 0)
  const { extents } = state
  if (sizeChunks <= 1) return sizeChunks === 1 && hasData(head, state, 0) ? 1 : 0
  const committed = committedChunks(head.nodes, state)
  if (extents.isEmpty) return Math.min(committed, sizeChunks)
  return Math.max(0, Math.min(committed + addedChunks(head, state), sizeChunks))
}

/** Keys of the tree with from <= key < to. */
export function countKeys(nodes: NodeReader, root: ChunkId | null, from: number, to: number): number {
  return root === null || from >= to ? 0 : countIn(nodes, nodes.read(root), from, to)
}

/** Committed chunks that no cut and no large zeroed range hides; small ones are among the touched. */
function committedChunks(nodes: NodeReader, state: InodeState): number {
  const { extents, dataRoot } = state
  const cut = extents.lowestCut()
  const end = cut === null ? treeKeyMax + 1 : cut.chunk + (cut.within > 0 ? 1 : 0)
  let count = countKeys(nodes, dataRoot, 0, end)
  for (const range of extents.zeroRanges()) count -= countKeys(nodes, dataRoot, range.first, Math.min(range.end, end))
  return count
}

function addedChunks(head: Head, state: InodeState): number {
  const { extents, dataRoot } = state
  if (extents.touchedCount > touchedExactMax) return extents.touchedCount
  const cut = extents.lowestCut()
  let added = 0
  for (const chunk of extents.touched()) {
    const isCut = cut !== null && (cut.within > 0 ? chunk > cut.chunk : chunk >= cut.chunk)
    const isHidden = isCut || extents.zeroRanges().some((range) => chunk >= range.first && chunk < range.end)
    const wasCounted = !isHidden && get(head.nodes, dataRoot, chunk) !== null
    added += Number(hasData(head, state, chunk)) - Number(wasCounted)
  }
  return added
}

function countIn(nodes: NodeReader, node: TreeNode, from: number, to: number): number {
  if (node.leaf) return Math.max(0, node.indexFrom(to) - node.indexFrom(from))
  let count = 0
  for (let index = node.indexFrom(from); index < node.count && node.keyStart(index) < to; index += 1) {
    const isWhole = node.keyStart(index) >= from && node.keyEnd(index) <= to
    const weight = node.weightAt(index)
    count += isWhole && weight <= nodeWeightMax
      ? weight / digestBytes
      : countIn(nodes, nodes.child(node, index), from, to)
  }
  return count
}
