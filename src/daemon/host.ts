/**
 * The host: all verbs, mounts and machines included. One object per open store; the daemon holds one and
 * offers it on its control socket, `openStore` holds one in the caller's process. The verb table
 * (`verbs.ts`) is written against this interface alone.
 */
import type { Engine } from '../image/engine.ts'
import type { RecordCopy } from '../image/check/record-copy.ts'
import type { CallOptions, CheckFault, EpochSummary, KeyReport } from '../image/types.ts'
import type { TransportName } from '../mount/transport.ts'
import type { ReplicaStatus } from '../replica/replicator.ts'
import type { CollectOptions, GarbageOutcome, ReplicaCollector } from './garbage-run.ts'
import type { GarbageRules } from './verbs/retention.ts'

export interface MountSummary {
  image: string
  directory: string
  /** Device number as `stat` gives it. */
  device: number
  /** True for mounts made for a machine (in the store's own directory), which only `vm` verbs may unmount. */
  machine: boolean
  transport: TransportName
}

export interface MountRequest {
  image: string
  directory: string
  /** `kernel` without it. */
  transport?: TransportName
}

export interface SealResult {
  epoch: EpochSummary
  /** From the barrier's request to its end: what a writer could have noticed. */
  barrierMs: number
  /** From the barrier's end to durable. */
  commitMs: number
  /** Only where it was waited for. */
  replicas?: ReplicasReached
}

export interface MachineStartRequest {
  image: string
  disks: string[]
  memoryBytes: number
  cpus: number
  accelerator: 'auto' | 'kvm' | 'tcg'
  machineType: string
  cpuModel?: string
  kernel?: string
  initrd?: string
  append?: string
  network: 'none' | 'user'
  hostForwards: string[]
  extraArguments: string[]
}

export interface MachineSummary {
  image: string
  state: 'running' | 'paused' | 'stopped' | 'failed' | 'unknown'
  pid: number | null
  mount: string
  console: string
  accelerator: string
  machineType: string
  memoryBytes: number
  /** Schedule of periodic checkpoints, or null. */
  everyMs: number | null
  /** What the period is stretched to while replicas lag; null while they do not. */
  stretchedMs: number | null
  checkpoints: { requested: number; completed: number; failed: number; aborted: number }
  /** The newest checkpoint, and what the last failed one said. */
  newest: EpochSummary | null
  lastError: string | null
  alarms: string[]
  /** The forks' and resumes' caveats: what could not be renewed here (clock, generation id, network). */
  notices: string[]
}

export interface CheckpointResult {
  epoch: EpochSummary
  pauseMs: number
  /** Parts of the checkpoint in milliseconds: liveFlush, stop, saveState, flush, seal, cont, commit. */
  parts: Record<string, number>
  /** Only where it was waited for. */
  replicas?: ReplicasReached
}

export interface ReplicaSummary {
  name: string
  url: string
  isAuthority: boolean
  bytesPerSecondMax: number | null
}

export interface ResumeResult {
  machine: MachineSummary
  epoch: EpochSummary
  /** From the verb's start to the guest running. */
  resumeMs: number
  /** When the guest ran again: milliseconds since 1970. */
  ranMs: number
  parts: Record<string, number>
}

export interface ReplicaRequest {
  name: string
  url: string
  authority: boolean
  bytesPerSecondMax: number | null
}

/** Whether, and how long, somebody waits until an epoch is on replicas. */
export interface ReplicaWait {
  waitReplicas?: number
  /** Without it a minute. */
  waitTimeMs?: number
}

/** How far an epoch got while somebody waited for it. */
export interface ReplicasReached {
  have: number
  of: number
  wanted: number
}

/** The store's replicas: see replication.ts. */
export interface ReplicaHost extends ReplicaCollector {
  /** Errors: EXISTS, USAGE, BAD_NAME, WRONG_DOMAIN, those of a replica. */
  add(args: ReplicaRequest, options?: CallOptions): Promise<ReplicaSummary>
  list(): ReplicaSummary[]
  status(): Promise<ReplicaStatus[]>
  /** Resolves when they have all that the store has. Errors: NOT_FOUND, those of a replica, ABORTED. */
  sync(args: { name?: string }, options?: CallOptions): Promise<ReplicaStatus[]>
  /** Errors: NOT_FOUND, BUSY (the authority, while there are others). */
  remove(args: { name: string }): Promise<ReplicaSummary>
}

export interface GarbageScheduleState {
  /** Null: there is none. */
  everyMs: number | null
  /** As the verb takes them. */
  rules: GarbageRules | null
  /** When the last one began, or the schedule was set: milliseconds since 1970. */
  lastMs: number | null
  /** Of the last one that this process carried out. */
  removedEpochs: number | null
  freedBytes: number | null
  /** Of the last one; null once one went well. */
  lastError: string | null
}

/** Collections of garbage, at once and by a schedule: see garbage-run.ts, garbage-schedule.ts. */
export interface GarbageHost {
  /** Errors: as the engine's; what fails on replicas is told in the outcome. */
  collect(rules: GarbageRules, dryRun: boolean, options?: CollectOptions): Promise<GarbageOutcome>
  /** Null ends it. Errors: NO_SPACE, IO. */
  schedule(wanted: { everyMs: number; rules: GarbageRules } | null): Promise<GarbageScheduleState>
  state(): GarbageScheduleState
}

export interface RestoreRequest {
  /** Of the replica. */
  url: string
  /** `IMAGE[@N]`. */
  target: string
  /** As a new image, a fork. */
  as?: string
  /** Returns when all of the epoch is here. */
  full: boolean
  /** Replaces an owner that was seen lately. */
  takeover: boolean
  /** Resumes its machine as it comes. */
  resume?: boolean
  /** Of an encrypted replica, for a store that is not of its domain yet: one of these opens it. */
  passphrase?: string
  keyFile?: string
}

export interface RestoreResult {
  epoch: EpochSummary
  /** The generation that this store owns now; null for a fork. */
  generation: number | null
  notices: string[]
  /** Bytes of chunks read so far. */
  fetchedBytes: number
  /** All of the epoch is here; else the rest follows. */
  isWhole: boolean
  restoreMs: number
  parts: Record<string, number>
  /** Only where it was asked for. */
  resumed?: ResumeResult
}

/** What replicas know of epochs. */
export interface RecordFinds {
  /** Of records that cannot be read here: for the repair. */
  readonly copies: RecordCopy[]
  /** Epochs that were lost here with all that tells of them. */
  readonly faults: CheckFault[]
  readonly notes: string[]
}

export interface Host {
  readonly engine: Engine
  readonly replicas: ReplicaHost
  readonly garbage: GarbageHost
  readonly reading: {
    /** What is not here, or bad, is asked of these replicas, too, as long as the host is there. */
    alsoFrom(urls: readonly string[]): Promise<void>
    /** What these replicas, and those that the store reads from, have of epochs that are not to be had here. */
    epochRecords(urls: readonly string[], options?: CallOptions): Promise<RecordFinds>
  }
  mount(args: MountRequest, options?: CallOptions): Promise<MountSummary>
  /** `force`: what waits gets errors, also where the server hangs. */
  unmount(args: { directory: string; lazy?: boolean; force?: boolean }): Promise<void>
  /** Takes away mounts, of any store, that no process serves any more; where they were. */
  cleanMounts(args: { below?: string }): Promise<string[]>
  mounts(): MountSummary[]
  /** Mounted or not. */
  seal(args: { image: string; note?: string } & ReplicaWait, options?: CallOptions): Promise<SealResult>

  /** An image of a replica becomes one of this store. Errors: as restoreImage. */
  restore(request: RestoreRequest, options?: CallOptions): Promise<RestoreResult>

  /** As the engine does; what reads the store beside it goes on with the new keys. Errors: those of the engine. */
  rotateKeys(options?: CallOptions): Promise<KeyReport>

  startMachine(request: MachineStartRequest, options?: CallOptions): Promise<MachineSummary>
  checkpoint(args: { image: string; note?: string } & ReplicaWait, options?: CallOptions): Promise<CheckpointResult>
  /** Sets (or with null clears) the schedule of periodic checkpoints and returns. */
  scheduleCheckpoints(args: { image: string; everyMs: number | null }): Promise<MachineSummary>
  resumeMachine(
    args: { target: string; as?: string; discard?: boolean },
    options?: CallOptions,
  ): Promise<ResumeResult>
  stopMachine(args: { image: string; force?: boolean }, options?: CallOptions): Promise<MachineSummary>
  machines(args?: { image?: string }): Promise<MachineSummary[]>

  /** Ends schedules, stops serving mounts (BUSY when one is in use and not `force`), closes the engine. */
  close(options?: { force?: boolean }): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}
