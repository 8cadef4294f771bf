/**
 * What the supervisor and the processes that it starts tell each other, over Node's channel (JSON). A process
 * inherits devices as descriptors; a slot is the number of a device among all that a supervisor ever opened.
 */
import type { Fault } from '../faults.ts'
import type { ProcessExit, ProcessIdentity, SpawnRequest } from '../../machine/spawner.ts'
import type { ProgramEnd } from '../../mount/held-device.ts'
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
  /** It has got ready for its turn. */
  | { type: 'standsBy' }
  /** The store is open and its mounts are served. */
  | { type: 'ready' }
  /** The store cannot be opened; the process ends. */
  | { type: 'refused'; fault: Fault }
  | { type: 'claim'; id: number; slot: number; claim: MountClaim }
  | { type: 'served'; id: number; slot: number; facts: MountFacts }
  | { type: 'release'; id: number; slot: number }
  /** The control file, or files of the mount. */
  | { type: 'lookUp'; id: number; slot: number; paths?: readonly string[] }
  /** The thread that served it ended by a fault: another process shall go on. */
  | { type: 'crashed'; slot: number }
  /** A program to be run to its end, with the slot's device as descriptor 3 if it is to have it. */
  | { type: 'run'; id: number; slot: number; program: string; parameters: readonly string[]; hasDevice: boolean }
  /** A process to be started. Its channels come first, then the answer, and some time its exit. */
  | { type: 'spawn'; id: number; request: SpawnRequest }
  | { type: 'failed'; slot: number; reason: string }
  /** Another process shall go on: if this one has nothing to do, or when that is done which is under way. */
  | { type: 'replace'; ifIdle: boolean }
  /** It is about to end: clients are the next one's. */
  | { type: 'retiring' }
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
    /** Opens an encrypted store, hexadecimal. */
    root: string | null
    replacements: number
    startedMs: number
    survivesKills: boolean
  }
  /** A socket comes with it. */
  | { type: 'client'; client: number }
  /** A socket comes with it. */
  | { type: 'channel'; id: number }
  /** `result` as the question has it, null where it has none. */
  | { type: 'answer'; id: number; fault: Fault | null; result: ProgramEnd | ProcessIdentity | null }
  /** The process that was started for this question has ended. */
  | { type: 'exited'; id: number; exit: ProcessExit }
  /** Its turn comes later: it may get ready for it. Images that are mounted; told again when they change. */
  | { type: 'standBy'; images: string[]; root: string | null }
  /** Another process is ready: end if there is nothing to do, or wait until what is under way is done. */
  | { type: 'retire'; waits: boolean }
  /** End as `daemon stop --force` does. */
  | { type: 'stop' }
