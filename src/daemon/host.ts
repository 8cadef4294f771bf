/**
 * The host: all verbs, mounts and machines included. One object per open store; the daemon holds one and
 * offers it on its control socket, `openStore` holds one in the caller's process. The verb table
 * (`verbs.ts`) is written against this interface alone.
 */
import type { Engine } from '../image/engine.ts'
import type { CallOptions, EpochSummary } from '../image/types.ts'
import type { TransportName } from '../mount/transport.ts'

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

export interface Host {
  readonly engine: Engine
  mount(args: MountRequest, options?: CallOptions): Promise<MountSummary>
  unmount(args: { directory: string; lazy?: boolean }): Promise<void>
  mounts(): MountSummary[]
  /** Mounted or not. */
  seal(args: { image: string; note?: string }, options?: CallOptions): Promise<SealResult>

  startMachine(request: MachineStartRequest, options?: CallOptions): Promise<MachineSummary>
  checkpoint(args: { image: string; note?: string }, options?: CallOptions): Promise<CheckpointResult>
  /** Sets (or with null clears) the schedule of periodic checkpoints and returns. */
  scheduleCheckpoints(args: { image: string; everyMs: number | null }): Promise<MachineSummary>
  resumeMachine(
    args: { target: string; as?: string; discard?: boolean },
    options?: CallOptions,
  ): Promise<ResumeResult>
  stopMachine(args: { image: string; force?: boolean }): Promise<MachineSummary>
  machines(args?: { image?: string }): Promise<MachineSummary[]>

  /** Ends schedules, stops serving mounts (BUSY when one is in use and not `force`), closes the engine. */
  close(options?: { force?: boolean }): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}
