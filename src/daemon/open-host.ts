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

export const openLocalHost: OpenHost = (store) =>
  Promise.reject(new HoldfastError('UNSUPPORTED', `${store}: this build has no store engine`))
