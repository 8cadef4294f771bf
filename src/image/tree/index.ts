/**
 * The manifest's tree: canonical, content-addressed, from integer keys to small values. A root is a node's id,
 * null for the empty tree. Old roots stay as they were; a change makes a new root.
 */
export { build } from './build.ts'
export { diff } from './diff.ts'
export { entries } from './entries.ts'
export { get, nextGap, nextKey } from './get.ts'
export { removeFrom, removeRange, update } from './update.ts'
export { NodeReader, NodeStore } from './nodes.ts'
export { nodes, walk } from './walk.ts'
export type { Difference } from './diff.ts'
export type { Entry } from './entries.ts'
export type { Change } from './update.ts'
export type { Visitor } from './walk.ts'
