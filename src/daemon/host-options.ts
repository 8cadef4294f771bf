/** How a host is opened in this process, and what it tells by itself. */
import type { Secret } from '../crypto/secret.ts'
import type { CallOptions } from '../image/types.ts'
import type { Spawn } from '../machine/spawner.ts'
import type { MountEvent } from '../mount/image-mount.ts'
import type { ConnectionKeeper, OrphanedMount } from '../mount/keeper.ts'

export type HostEvent =
  | MountEvent
  | { type: 'machine'; image: string; message: string }
  | { type: 'replica' | 'gc'; message: string }
  /** A mount that a daemon before left, unserved, was taken away. */
  | { type: 'stale'; directory: string }

export interface LocalHostOptions extends CallOptions {
  /** The engine gets a thread of its own, so that this one's event loop is never held up. */
  thread: boolean
  /** Opens an encrypted store. */
  secret?: Secret
  onEvent?: (event: HostEvent) => void
  /** Who keeps the mounts' connections; this process unless another is named. */
  keeper?: ConnectionKeeper
  /** Who starts hypervisors; this process unless another is named. */
  spawn?: Spawn
  /** Mounts whose server was killed, to be served on. */
  orphans?: readonly OrphanedMount[]
}
