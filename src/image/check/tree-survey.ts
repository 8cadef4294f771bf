/**
 * A walk that does not stop at damage: what cannot be read is told of by its range of keys, and the rest is visited.
 * A subtree in which all was good is not visited again, whichever epoch refers to it; one with damage is, so that
 * each epoch that has it is told of. Walks are generators, which let others work between their steps.
 */
import type { Buffer } from 'node:buffer'
import { HoldfastError } from '../../errors.ts'
import type { TreeNode } from '../../format/node.ts'
import { treeKeyMax } from '../../limits.ts'
import type { ChunkId } from '../../store/chunks.ts'
import type { SurveyRun } from './survey-run.ts'

/** Ends with whether all was good. */
export type SurveySteps = Generator<void, boolean, undefined>

export interface TreeVisitor {
  /** Trees of one role have values of one kind. */
  readonly role: string
  /** Whether the entry, and all that it leads to, is good. */
  entry(key: number, value: Buffer): SurveySteps | boolean
  /** The keys from `start` to before `end` are lost. */
  lost(start: number, end: number, error: HoldfastError): void
}

export function surveyTree(run: SurveyRun, root: ChunkId | null, visitor: TreeVisitor): SurveySteps {
  return root === null ? nothing() : subtree(run, visitor, root, [0, treeKeyMax + 1], () => run.nodes.read(root))
}

function* subtree(
  run: SurveyRun, visitor: TreeVisitor, id: ChunkId, [start, end]: [number, number], read: () => TreeNode,
): SurveySteps {
  if (run.isSound(visitor.role, id)) return true
  const node = orLost(visitor, start, end, () => run.reading(id, read))
  if (node === null) return false
  let isSound = true
  for (let index = 0; index < node.count; index++) {
    const isGood = node.leaf
      ? yield* entryOf(visitor, node.keyAt(index), node.valueAt(index))
      : yield* subtree(run, visitor, node.idAt(index), [node.keyStart(index), node.keyEnd(index)],
        () => run.nodes.child(node, index))
    isSound &&= isGood
  }
  yield
  if (isSound) run.setSound(visitor.role, id)
  return isSound
}

function* entryOf(visitor: TreeVisitor, key: number, value: Buffer): SurveySteps {
  const steps = orLost(visitor, key, key + 1, () => visitor.entry(key, value))
  return steps === null ? false : typeof steps === 'boolean' ? steps : yield* steps
}

function orLost<T>(visitor: TreeVisitor, start: number, end: number, read: () => T): T | null {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error
    visitor.lost(start, end, error)
    return null
  }
}

function* nothing(): SurveySteps {
  return true
}
