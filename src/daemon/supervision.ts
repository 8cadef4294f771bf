/** What a daemon has from the supervisor whose child it is. */
import type { Secret } from '../crypto/secret.ts'
import type { Spawn } from '../machine/spawner.ts'
import type { ConnectionKeeper, OrphanedMount } from '../mount/keeper.ts'
import type { DaemonFront } from './front.ts'

export interface Supervision {
  readonly front: DaemonFront
  readonly keeper: ConnectionKeeper
  /** Starts hypervisors. */
  readonly spawn: Spawn
  /** Mounts that the process before this one served. */
  readonly orphans: readonly OrphanedMount[]
  /** Opens an encrypted store. */
  readonly secret: Secret | undefined
  readonly replacements: number
  readonly startedMs: number
  survivesKills(): boolean
  /** This process has few devices left for mounts to come. */
  isWorn(): boolean
  /** Asks for another process, for which this one retires when it is loaded: if it is idle, or when it is. */
  replace(ifIdle: boolean): void
}
