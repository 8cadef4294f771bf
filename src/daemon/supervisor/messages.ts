/**
 * What the supervisor and the processes that it starts tell each other, over Node's channel (JSON). A process
 * inherits devices as descriptors; a slot is the number of a device among all that a supervisor ever opened.
 */
import type { Fault } from '../faults.ts'
import type { MountClaim, MountFacts } from '../../mount/keeper.ts'

export interface Slot {
  slot: number
  descriptor: number
}

/** A mount whose server is gone, as the supervisor knows it. */
export interface KeptMount extends MountClaim, MountFacts {
  slot: number
  failure: string | null
}

/** Without an id nothing is answered. */
export type ToSupervisor =
  /** Its code is loaded: it can serve at once. */
  | { type: 'loaded' }
  /** The store is open and its mounts are served. */
  | { type: 'ready' }
  /** The store cannot be opened; the process ends. */
  | { type: 'refused'; fault: Fault }
  | { type: 'claim'; id: number; slot: number; claim: MountClaim }
  | { type: 'served'; id: number; slot: number; facts: MountFacts }
  | { type: 'lookUp' | 'release'; id: number; slot: number }
  | { type: 'failed'; slot: number; reason: string }
  /** Another process shall go on: at once, or when this one has nothing to do. */
  | { type: 'replace'; whenIdle: boolean }
  /** The socket of a client has arrived. */
  | { type: 'took'; client: number }
  /** The store is closed: nobody shall come any more. */
  | { type: 'stopping'; id: number }

export type FromSupervisor =
  | {
    type: 'serve'
    /** Every device that the process inherited. */
    inherited: Slot[]
    /** Those of them for mounts to come. */
    free: number[]
    orphans: KeptMount[]
    /** Where mounts were that nobody can go on serving. */
    lost: string[]
    replacements: number
    startedMs: number
    survivesKills: boolean
  }
  /** A socket comes with it. */
  | { type: 'client'; client: number }
  | { type: 'answer'; id: number; fault: Fault | null }
  /** End when there is nothing to do: another process is ready. */
  | { type: 'retire' }
  /** End as `daemon stop --force` does. */
  | { type: 'stop' }
