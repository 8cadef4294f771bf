/** What a daemon has from the supervisor whose child it is. */
import type { OrphanedMount } from '../mount/image-mount.ts'
import type { ConnectionKeeper } from '../mount/keeper.ts'
import type { DaemonFront } from './front.ts'

export interface Supervision {
  readonly front: DaemonFront
  readonly keeper: ConnectionKeeper
  /** Mounts that the process before this one served. */
  readonly orphans: readonly OrphanedMount[]
  readonly replacements: number
  readonly startedMs: number
  survivesKills(): boolean
  /** Asks for the replacement of this process: it is killed as soon as the next one is loaded. */
  replace(): void
}
