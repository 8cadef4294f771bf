/** How a store is opened in this process. The host's code is loaded only when it is wanted. */
import { flushCompileCache } from 'node:module'
import { resolve } from 'node:path'
import type { Secret } from '../crypto/secret.ts'
import type { Spawn } from '../machine/spawner.ts'
import type { ConnectionKeeper, OrphanedMount } from '../mount/keeper.ts'
import { freeGarbage } from '../env/free-garbage.ts'
import { isCode } from '../errors.ts'
import type { Host } from './host.ts'

export interface HostOptions {
  /** Commit in a thread of its own, so that the caller's event loop is never held up (the daemon's way). */
  thread: boolean
  /** Make the store; EXISTS when there is one. */
  create?: boolean
  /** Opens an encrypted store; of one that is made, encrypts it. */
  secret?: Secret
  /** What mounts and machines have to say by themselves: for the daemon's log. */
  onEvent?: (event: object) => void
  /** Who keeps the mounts' connections; this process unless another is named. */
  keeper?: ConnectionKeeper
  /** Who starts hypervisors; this process unless another is named. */
  spawn?: Spawn
  /** Mounts whose server was killed, to be served on. */
  orphans?: readonly OrphanedMount[]
}

export type OpenHost = (store: string, options: HostOptions) => Promise<Host>

export const openLocalHost: OpenHost = async (store, { create, ...options }) => {
  if (create === true) await makeStore(store, options.secret)
  const { openHost } = await import('./local-host.ts')
  return openHost(store, options)
}

/** Loads what a daemon's host will run, and starts its threads, so that it can open at once. */
export async function prepareLocalHost(): Promise<void> {
  await import('./local-host.ts')
  await import('../mount/image-mount.ts')
  await import('../mount/kernel-transport.ts')
  // A guest whose hypervisor goes on waits for what is said to it with the disk's first sync.
  await import('../machine/machines.ts')
  await import('../mount/stale.ts')
  const { servingThreads } = await import('../mount/serving-threads.ts')
  const { engineThreads } = await import('./engine-threads.ts')
  servingThreads.warm()
  engineThreads.warm()
}

/** Its threads read the logs of these images, which another process serves, as far as they are written. */
export async function followMounts(store: string, images: readonly string[], secret?: Secret): Promise<void> {
  const { servingThreads } = await import('../mount/serving-threads.ts')
  const directory = resolve(store)
  await servingThreads.expect(images.map((image) => ({ directory, image, secret })))
}

/** Its threads do once what they will do in a takeover, which is faster the second time. */
export async function practiseLocalHost(): Promise<void> {
  const { servingThreads } = await import('../mount/serving-threads.ts')
  const { engineThreads } = await import('./engine-threads.ts')
  flushCompileCache()
  // The users of a mount wait for the one that replays its log longest.
  await servingThreads.practise()
  await engineThreads.practise()
  freeGarbage()
}

/** One that is there is left alone. */
export async function makeStoreIfMissing(store: string): Promise<void> {
  try {
    await makeStore(store, undefined)
  } catch (error) {
    if (!isCode(error, 'EXISTS')) throw error
  }
}

async function makeStore(store: string, secret: Secret | undefined): Promise<void> {
  const { initStore } = await import('../store/identity.ts')
  const { systemEnv } = await import('../env/system.ts')
  initStore(systemEnv(), store, { secret })
}
