/** Waiting for a batch of the index where no promise can be waited for. */
import type { Env } from '../env/env.ts'
import { HoldfastError, assert } from '../errors.ts'
import { publishTimeoutMs } from '../limits.ts'
import type { IndexOperation, PackIndex } from './pack-index.ts'
import type { PackSet } from './pack-set.ts'

/**
 * Blocks until the batch that ends with `last`, a put, is applied: it runs in a thread of LevelDB's, and its last entry
 * shows that all of it is there. Errors: FAILED_STATE.
 */
export function waitUntilApplied(env: Env, index: PackIndex, last: IndexOperation | undefined, packs: PackSet): void {
  assert(last?.type === 'put', 'there is something to publish')
  const cell = new Int32Array(new SharedArrayBuffer(4))
  const deadlineMs = env.monotonicMs() + publishTimeoutMs
  while (!index.isApplied(last.key, last.value)) {
    Atomics.wait(cell, 0, 0, 1)
    const isLate = env.monotonicMs() > deadlineMs
    if (isLate) packs.fail(new HoldfastError('IO', 'the index takes no more records'))
    packs.requireUsable()
  }
}
