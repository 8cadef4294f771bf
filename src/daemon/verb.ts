/**
 * What one verb is. The table of all verbs is `verbs.ts`; the command line, the daemon and the library all
 * read it, so a verb's name, arguments, help and action stand once.
 */
import type { CallOptions } from '../image/types.ts'
import type { GarbageScheduleState, Host } from './host.ts'
import type { Parameters, Values } from './parameters.ts'

/**
 * Where a verb runs. `anywhere`: in the daemon if there is one, else in the caller's process. `daemon`: only
 * in a daemon, which is started if there is none. `create`: in the caller's process, making the store.
 * `control`: in a running daemon's own process, about that process. `daemon of a new store`: as `daemon`, and the
 * store is made if there is none. `aside`: in the caller's process, without any store. `alone`: in the caller's
 * process; LOCKED where a daemon runs.
 */
export type VerbPlace = 'anywhere' | 'daemon' | 'create' | 'control' | 'daemon of a new store' | 'aside' | 'alone'

export interface DaemonStatus {
  running: boolean
  /** The process that holds the control socket; null when no daemon runs. */
  pid: number | null
  /** The process that serves the mounts and holds the store. */
  servingPid: number | null
  directory: string
  version: string | null
  protocol: number | null
  startedMs: number | null
  clients: number
  /** How often the serving process was replaced since the daemon started. */
  replacements: number
  /** Mounts go on when the serving process is killed; false where this kernel cannot do that, or nobody supervises. */
  survivesKills: boolean
  mounts: { image: string; directory: string; machine: boolean }[]
  machines: { image: string; state: string; pid: number | null }[]
  replicas: { name: string; state: string; epochsBehind: number; alarm: string | null }[]
  /** Null: none is set. */
  garbage: GarbageScheduleState | null
}

/** The daemon's view of itself, given to verbs of place `control`. */
export interface DaemonControl {
  status(): Promise<DaemonStatus>
  /** BUSY while mounts are in use or machines run, unless `force`. */
  stop(options: { force: boolean }): Promise<DaemonStatus>
  /** Answers when the calls under way are done; the process that answered is replaced right then. UNSUPPORTED. */
  restart(): Promise<DaemonStatus>
}

export interface VerbContext extends CallOptions {
  readonly host: Host
  /** Absent outside the daemon. */
  readonly control?: DaemonControl
}

export interface Verb<P extends Parameters = Parameters, R = unknown> {
  readonly help: string
  readonly place: VerbPlace
  readonly parameters: P
  /** What no single value can tell: combinations that make no sense (USAGE). */
  checkTogether?(args: Values<P>): void
  /** `args` has passed all checks. The result is plain JSON. */
  run(context: VerbContext, args: Values<P>): Promise<R>
}

/** Names the types of a verb from its parameters and its action. */
export function verb<P extends Parameters, R>(description: Verb<P, R>): Verb<P, R> {
  return description
}
