/**
 * A daemon that was killed: its serving process ends a moment after it, and holds the store until then. Who comes in
 * between is not told that the store is locked.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { systemEnv } from '../env/system.ts'
import { isCode } from '../errors.ts'
import { daemonHasDied } from './control-files.ts'
import { deathPollMs, deathTimeMsMax } from './limits.ts'

/** Errors: those of `open`; LOCKED at once unless the daemon whose files are there is dead. */
export async function openAfterDeath<T>(store: string, open: () => Promise<T>): Promise<T> {
  const env = systemEnv()
  const endMs = env.monotonicMs() + deathTimeMsMax
  for (;;) {
    try {
      return await open()
    } catch (error) {
      if (!isCode(error, 'LOCKED') || !daemonHasDied(store) || env.monotonicMs() >= endMs) throw error
    }
    await sleep(deathPollMs)
  }
}
