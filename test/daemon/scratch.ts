/** Directories and daemons that tests make, and what ends them, also after a failure. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'

/** A directory of this test's own, removed when it ends; daemons whose pid file lies in it are killed. */
export function scratchDirectory(t: ExecutionContext<unknown>): string {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-test-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

/** A directory that the fake host takes for a store, with its control directory. */
export function fakeStore(t: ExecutionContext<unknown>, name = 'store'): string {
  const store = join(scratchDirectory(t), name)
  mkdirSync(join(store, 'daemon'), { recursive: true, mode: 0o700 })
  writeFileSync(join(store, 'store.json'), '{}')
  t.teardown(() => endDaemonOf(store))
  return store
}

/** The pid in a store's pid file; null when there is none. */
export function daemonPid(store: string): number | null {
  try {
    return Number(readFileSync(join(store, 'daemon', 'pid'), 'utf8'))
  } catch {
    return null
  }
}

/** False for a process that is gone or only waits to be reaped. */
export function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

function endDaemonOf(store: string): void {
  const pid = daemonPid(store)
  if (pid !== null && pid !== process.pid && isAlive(pid)) process.kill(pid, 'SIGKILL')
}
