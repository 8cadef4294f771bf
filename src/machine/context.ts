/** What all verbs on machines share. */
import type { Driver } from '../../drivers/index.ts'
import type { Env } from '../env/env.ts'
import type { Engine } from '../image/engine.ts'
import type { EpochSummary } from '../image/types.ts'
import type { Mounting, ReopenMount } from './incarnation.ts'
import type { MachineLimits } from './limits.ts'
import type { PageCachePusher } from './push.ts'

/** On how many of the store's replicas an epoch is known to be. */
export type ReplicasOf = (epoch: EpochSummary) => { have: number; of: number }

export interface MachineContext {
  readonly env: Env
  readonly engine: Engine
  readonly driver: Driver
  /** Of run directories and the probe's cache, mode 0700. */
  readonly directory: string
  readonly mounting: Mounting
  readonly reopenMount: ReopenMount
  readonly limits: MachineLimits
  readonly replicasOf: ReplicasOf
  readonly pusher: PageCachePusher
  readonly onEvent: (event: MachineNotice) => void
}

/** What machines have to say by themselves: for the daemon's log. */
export interface MachineNotice {
  type: 'machine'
  image: string
  message: string
}
