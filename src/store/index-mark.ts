/**
 * `index.opening`: who opens the store next makes the index anew. It is there while the index is being opened, and from
 * the moment when it is known, or must be feared, to be damaged: LevelDB ends the process over some damage.
 */
import type { Env } from '../env/env.ts'
import { HoldfastError, isCode } from '../errors.ts'
import type { StoreLayout } from './layout.ts'

/** On a full disk it is done without. Errors: IO. */
export function markIndex(env: Env, layout: StoreLayout): void {
  try {
    env.open(layout.indexOpening, 'create').close()
  } catch (error) {
    if (!isCode(error, 'NO_SPACE')) throw error
  }
}

/** A failure must not hide what is being told: without the mark the next to open meets the damage itself. */
export function distrustIndex(env: Env, layout: StoreLayout): void {
  try {
    markIndex(env, layout)
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error
  }
}
