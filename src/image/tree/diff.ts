/**
 * What differs between two trees, without a visit to what they share. Each side is a cursor whose head is
 * either a subtree not yet read, with the range of keys it lies in, or an entry. Two heads with one id are
 * passed over together; else the wider range is opened, so that a subtree meets its equal even where the
 * nodes above have another shape.
 */
import type { Buffer } from 'node:buffer'
import { treeKeyMax } from '../../limits.ts'
import type { TreeNode } from '../../format/node.ts'
import type { ChunkId } from '../../store/chunks.ts'
import type { NodeReader } from './nodes.ts'

export interface Difference {
  key: number
  /** Views that are not to be changed; null where the key is absent. */
  before: Buffer | null
  after: Buffer | null
}

/** A subtree (id set) or an entry (value set) in the keys start to end (exclusive). */
interface Head {
  start: number
  end: number
  id: ChunkId | null
  value: Buffer | null
  read: (() => TreeNode) | null
}

/** Keys rise. Errors: NOT_FOUND, DAMAGED, BAD_FORMAT, NEWER_VERSION. */
export function* diff(
  nodes: NodeReader,
  before: ChunkId | null,
  after: ChunkId | null,
): Generator<Difference, void, undefined> {
  const left = stackOf(nodes, before)
  const right = stackOf(nodes, after)
  for (;;) {
    const a = left.at(-1)
    const b = right.at(-1)
    if (a === undefined && b === undefined) return
    if (a !== undefined && b !== undefined && a.id !== null && b.id !== null && a.id.equals(b.id)) {
      left.pop()
      right.pop()
    } else if (a !== undefined && a.id !== null && (b === undefined || opensFirst(a, b))) open(nodes, left)
    else if (b !== undefined && b.id !== null && (a === undefined || opensFirst(b, a))) open(nodes, right)
    else yield* takeEntries(left, right, a, b)
  }
}

/** True where a subtree is to be opened before the other side's head is looked at. */
function opensFirst(head: Head, other: Head): boolean {
  if (head.end <= other.start) return true
  if (head.start >= other.end) return false
  return other.id === null || head.end - head.start >= other.end - other.start
}

/** At least one head is an entry, and none is a subtree that begins at or below it. */
function* takeEntries(
  left: Head[],
  right: Head[],
  a: Head | undefined,
  b: Head | undefined,
): Generator<Difference, void, undefined> {
  if (a !== undefined && a.value !== null && (b === undefined || a.start < b.start)) {
    left.pop()
    yield { key: a.start, before: a.value, after: null }
  } else if (b !== undefined && b.value !== null && (a === undefined || b.start < a.start)) {
    right.pop()
    yield { key: b.start, before: null, after: b.value }
  } else {
    left.pop()
    right.pop()
    if (!a!.value!.equals(b!.value!)) yield { key: a!.start, before: a!.value, after: b!.value }
  }
}

function stackOf(nodes: NodeReader, root: ChunkId | null): Head[] {
  if (root === null) return []
  return [{ start: 0, end: treeKeyMax + 1, id: root, value: null, read: () => nodes.read(root) }]
}

/** Replaces the head by what it holds, the first on top. */
function open(nodes: NodeReader, stack: Head[]): void {
  const node = stack.pop()!.read!()
  for (let index = node.count - 1; index >= 0; index -= 1) stack.push(headOf(nodes, node, index))
}

function headOf(nodes: NodeReader, node: TreeNode, index: number): Head {
  if (node.leaf) {
    const key = node.keyAt(index)
    return { start: key, end: key + 1, id: null, value: node.valueAt(index), read: null }
  }
  const read = (): TreeNode => nodes.child(node, index)
  return { start: node.keyStart(index), end: node.keyEnd(index), id: node.idAt(index), value: null, read }
}
