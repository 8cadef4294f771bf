/** What the demo reads of the JSON that the command line prints. */

export interface Epoch {
  readonly image: string
  readonly number: number
  readonly writtenBytes: number
  readonly storedBytes: number | null
  readonly pauseMs: number | null
  /** Whether it can be resumed. */
  readonly machine: boolean
  readonly note: string
}

export interface Machine {
  readonly image: string
  readonly state: string
  readonly pid: number | null
  /** The unix socket of the serial console; `console.log` beside it has all that the guest said. */
  readonly console: string
  readonly accelerator: string
  readonly machineType: string
  readonly lastError: string | null
  readonly alarms: readonly string[]
  readonly notices: readonly string[]
}

export interface Resumed {
  readonly machine: Machine
  readonly epoch: Epoch
  readonly resumeMs: number
}

export interface Checkpointed {
  readonly epoch: Epoch
  readonly replicas?: { readonly have: number; readonly of: number }
}

export interface ReplicaImage {
  readonly image: string
  readonly epochs: number
}

export interface Restored {
  readonly epoch: Epoch
  readonly fetchedBytes: number
  readonly notices: readonly string[]
}

export interface Daemon {
  readonly running: boolean
  readonly pid?: number
  readonly servingPid?: number
}
