/**
 * Chooses where a verb runs: in the store's daemon if there is one, else where the verb says. What a command
 * does not need it does not load: everything but the client is imported on demand.
 */
import { isCode } from '../errors.ts'
import type { VerbCaller } from './caller.ts'
import { ControlClient } from './client.ts'
import { DaemonCaller } from './daemon-caller.ts'
import { makeStoreIfMissing, openLocalHost, type OpenHost } from './open-host.ts'
import { noSecret, secretFor, type SecretSource } from './secrets.ts'
import type { VerbPlace } from './verb.ts'

export interface Access {
  openHost: OpenHost
  /** Of an encrypted store that is opened, or of one that is made. */
  secret?: SecretSource
  /** Entry of the daemon's process; undefined for the usual one. */
  daemonEntry?: URL
}

export const localAccess: Access = { openHost: openLocalHost }

/** Errors: NOT_FOUND (no store), LOCKED (another process holds it and is no daemon), KEY_NEEDED, KEY_WRONG, DAEMON. */
export async function openCaller(store: string, place: VerbPlace, access: Access = localAccess): Promise<VerbCaller> {
  if (place === 'aside') return new (await import('./aside-caller.ts')).AsideCaller()
  if (place === 'alone') return openInProcess(store, access, false)
  if (place === 'create') return openInProcess(store, access, true)
  const client = await ControlClient.connect(store)
  if (client !== null) return new DaemonCaller(store, client)
  if (place === 'daemon of a new store') await makeStoreIfMissing(store)
  if (place.startsWith('daemon')) return openDaemon(store, access)
  if (place === 'control') return absentDaemon(store)
  try {
    return await openInProcess(store, access, false)
  } catch (error) {
    if (!isCode(error, 'LOCKED')) throw error
    const started = await daemonBeingStarted(store)
    if (started === null) throw error
    return new DaemonCaller(store, started)
  }
}

/** Errors: NOT_FOUND, LOCKED, and with `create` EXISTS. */
export async function openInProcess(store: string, access: Access, create: boolean): Promise<VerbCaller> {
  const { HostCaller } = await import('./host-caller.ts')
  const { removeControlFiles } = await import('./control-files.ts')
  const { openAfterDeath } = await import('./dying-daemon.ts')
  const source = access.secret ?? noSecret
  const secret = create ? await source() : await secretFor(store, source)
  const host = await openAfterDeath(store, () => access.openHost(store, { thread: false, create, secret }))
  // We hold the store's lock, so no daemon lives: what one that died left behind would mislead the next client.
  removeControlFiles(store)
  return new HostCaller(host)
}

async function openDaemon(store: string, access: Access): Promise<VerbCaller> {
  const { startDaemon } = await import('./launch.ts')
  return new DaemonCaller(store, (await startDaemon(store, access.daemonEntry, access.secret)).client)
}

async function absentDaemon(store: string): Promise<VerbCaller> {
  const { AbsentDaemonCaller } = await import('./absent-daemon.ts')
  return new AbsentDaemonCaller(store)
}

/** Whoever holds the store may be a daemon that is not ready yet: waits for it, null when there is none. */
async function daemonBeingStarted(store: string): Promise<ControlClient | null> {
  const { StartLock } = await import('./start-lock.ts')
  using _lock = await StartLock.take(store)
  return await ControlClient.connect(store)
}
