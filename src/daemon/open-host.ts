/** How a store is opened in this process. The host's code is loaded only when it is wanted. */
import type { Host } from './host.ts'

export interface HostOptions {
  /** Commit in a thread of its own, so that the caller's event loop is never held up (the daemon's way). */
  thread: boolean
  /** Make the store; EXISTS when there is one. */
  create?: boolean
  /** What mounts and machines have to say by themselves: for the daemon's log. */
  onEvent?: (event: object) => void
}

export type OpenHost = (store: string, options: HostOptions) => Promise<Host>

export const openLocalHost: OpenHost = async (store, { create, thread, onEvent }) => {
  if (create === true) await makeStore(store)
  const { openHost } = await import('./local-host.ts')
  return openHost(store, { thread, onEvent })
}

async function makeStore(store: string): Promise<void> {
  const { initStore } = await import('../store/identity.ts')
  const { systemEnv } = await import('../env/system.ts')
  initStore(systemEnv(), store)
}
