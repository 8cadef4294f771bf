/**
 * A daemon that was killed: its serving process ends a moment after it, and holds the store until then. Who comes in
 * between is not told that the store is locked.
 */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { systemEnv } from '../env/system.ts'
import { isCode } from '../errors.ts'
import { deathTimeMsMax, deathPollMs } from './limits.ts'
import { controlPaths } from './socket-path.ts'

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

function daemonHasDied(store: string): boolean {
  try {
    const pid = Number(readFileSync(controlPaths(store).pid, 'latin1'))
    if (!Number.isSafeInteger(pid) || pid <= 1) return false
    process.kill(pid, 0)
    return false
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH'
  }
}
