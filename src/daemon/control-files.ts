/** Files of the control directory that a daemon makes, and what is left of them when it dies. */
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { hasEnded } from '../env/process-state.ts'
import { HoldfastError } from '../errors.ts'
import { StoreLayout } from '../store/layout.ts'
import { controlPaths } from './socket-path.ts'

/** Makes the control directory; it is the owner's alone, also if it was made otherwise. */
export function makeControlDirectory(store: string): void {
  const { directory } = controlPaths(store)
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  chmodSync(directory, 0o700)
}

/** Only for who holds the store's lock: then no daemon uses them. */
export function removeControlFiles(store: string): void {
  const { socket, pid } = controlPaths(store)
  rmSync(socket, { force: true })
  rmSync(pid, { force: true })
}

/** NOT_FOUND unless the directory holds a store's identity: nothing is made in directories that are no store. */
export function requireStore(store: string): void {
  if (existsSync(new StoreLayout(store).identity)) return
  throw new HoldfastError('NOT_FOUND', `there is no store at ${store}: "holdfast init" makes one`, { info: { store } })
}

/** The daemon that made the files that are there is no more. */
export function daemonHasDied(store: string): boolean {
  const { pid: path } = controlPaths(store)
  let pid: number
  try {
    pid = Number(readFileSync(path, 'latin1'))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
  return Number.isSafeInteger(pid) && pid > 1 && hasEnded(pid)
}
