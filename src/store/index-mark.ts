/**
 * `index.opening`: who opens the store next makes the index anew. It is there while the index is being opened, and from
 * the moment when it is known, or must be feared, to be damaged: LevelDB ends the process over some damage.
 */
import type { Env } from '../env/env.ts'
import { removeTree } from '../env/tree.ts'
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

/**
 * Durably: with a mark that a power loss brought back the next to open would make a sound index anew, which takes long
 * where there are many packs. Errors: IO.
 */
export function unmarkIndex(env: Env, layout: StoreLayout): void {
  if (!env.exists(layout.indexOpening)) return
  removeTree(env, layout.indexOpening)
  env.syncDirectory(layout.directory)
}

/** A failure must not hide what is being told: without the mark the next to open meets the damage itself. */
export function distrustIndex(env: Env, layout: StoreLayout): void {
  try {
    markIndex(env, layout)
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error
  }
}
