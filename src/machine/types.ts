/** What the verbs on machines take and give: plain JSON. Times are milliseconds. */
import type { EpochSummary } from '../image/types.ts'

export interface StartRequest {
  image: string
  /** Paths in the image; none: the only regular file in its root. */
  disks: string[]
  memoryBytes: number
  cpus: number
  accelerator: 'auto' | 'kvm' | 'tcg'
  machineType: string
  cpuModel?: string
  /** Absolute paths of this host. They are copied into the image: an epoch needs nothing else to resume. */
  kernel?: string
  initrd?: string
  append?: string
  firmware?: string
  network: 'none' | 'user'
  /** As QEMU has them: `tcp:127.0.0.1:2222-:22`. */
  hostForwards: string[]
  extraArguments: string[]
}

export type MachinePhase = 'running' | 'paused' | 'stopped' | 'failed' | 'unknown'

export interface CheckpointCounts {
  requested: number
  completed: number
  failed: number
  aborted: number
}

export interface MachineSummary {
  image: string
  state: MachinePhase
  pid: number | null
  mount: string
  console: string
  accelerator: string
  machineType: string
  memoryBytes: number
  everyMs: number | null
  checkpoints: CheckpointCounts
  newest: EpochSummary | null
  lastError: string | null
  alarms: string[]
  notices: string[]
}

export interface CheckpointResult {
  epoch: EpochSummary
  /** From the stop command to the guest running again. */
  pauseMs: number
  /** liveFlush, arm, stop, saveState, flush, barrier, cont, commit; saveState and flush run side by side. */
  parts: Record<string, number>
}

export interface ResumeResult {
  machine: MachineSummary
  epoch: EpochSummary
  /** What the head held before, sealed; null when nothing was, or with `discard`. */
  sealed: EpochSummary | null
  resumeMs: number
  /** When the guest ran again: milliseconds since 1970. */
  ranMs: number
  parts: Record<string, number>
}
