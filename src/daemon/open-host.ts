/** How a store is opened in this process. The host's code is loaded only when it is wanted. */
import { HoldfastError } from '../errors.ts'
import type { Host } from './host.ts'

export interface HostOptions {
  /** Commit in a thread of its own, so that the caller's event loop is never held up (the daemon's way). */
  thread: boolean
  /** Make the store; EXISTS when there is one. */
  create?: boolean
}

export type OpenHost = (store: string, options: HostOptions) => Promise<Host>

export const openLocalHost: OpenHost = async (store, { create }) => {
  if (create === true) await makeStore(store)
  throw new HoldfastError('UNSUPPORTED', `${store}: this build has no host`)
}

async function makeStore(store: string): Promise<void> {
  const { initStore } = await import('../store/identity.ts')
  const { systemEnv } = await import('../env/system.ts')
  initStore(systemEnv(), store)
}
