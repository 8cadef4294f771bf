/**
 * The contract between machines and hypervisors. A driver starts, stops and saves one machine; what a
 * checkpoint is, in which order memory is flushed and what is durable when, is composed above it.
 *
 * Ownership: a Machine holds connections and watches a process, and closing it lets go of both without
 * touching the guest, which goes on. The process belongs to whoever holds its `handle()`.
 * Calls on one machine are made one after another, but `kill`, `close` and `state` may come at any time.
 * Every call that waits has a deadline, and rejects with code GONE as soon as the process has ended,
 * at whatever step. Slowness is never taken for death.
 */
import type { Readable, Writable } from 'node:stream'
import type { CallLimit } from './deadline.ts'
import type { Fingerprint } from './fingerprint.ts'
import type { ProcessExit, ProcessIdentity } from './host.ts'
import type { Accelerator, Attachment, MachineSpec } from './spec.ts'

export interface Driver {
  readonly name: string
  /**
   * What this host has. Costs a boot with a time limit at the first call after a host boot;
   * then it is read from the cache.
   */
  probe(options?: ProbeOptions): Promise<DriverFacts>
  /** Pure. A plan kept in an epoch is never started: take its spec, plan again here, and compare the fingerprints. */
  plan(spec: MachineSpec, facts: DriverFacts): Plan
  /** A machine that runs. @throws REFUSED, START_FAILED, TIMEOUT */
  start(plan: Plan, binding: Binding, limit?: CallLimit): Promise<Machine>
  /** A hypervisor with its memory mapped and nothing loaded, that can never run by itself. @throws as `start` */
  prepare(plan: Plan, binding: Binding, limit?: PrepareLimit): Promise<Prepared>
  /**
   * Finds a machine again after its daemon was replaced, with its run state and whether the pause is ours.
   * A save that was under way is cancelled. @throws GONE; WRONG_STATE for one that was prepared and not loaded
   */
  adopt(handle: Handle, limit?: CallLimit): Promise<Machine>
  /** Kills the process of a handle if it is still that process, and waits for its end. */
  reap(handle: Handle): Promise<void>
}

export interface PrepareLimit extends CallLimit {
  /**
   * No file of the binding is read before this has come, however long it takes: the time limit counts from there. What
   * it rejects with, the call does.
   */
  readonly after?: Promise<unknown>
}

export interface ProbeOptions {
  /** CPU models to expand besides the accelerators' best. */
  readonly cpuModels?: readonly string[]
  /** Measure again what the cache knows. */
  readonly refresh?: boolean
}

/** Whether an accelerator ran a guest here, and if not, why. */
export interface AcceleratorProof {
  readonly proven: boolean
  readonly tookMs: number
  readonly reason: string
}

export interface DriverFacts {
  readonly driver: string
  readonly binary: { readonly path: string; readonly version: string; readonly digest: string }
  readonly accelerators: Readonly<Record<Accelerator, AcceleratorProof>>
  readonly machineTypes: readonly { readonly name: string; readonly alias: string | null }[]
  readonly capabilities: readonly string[]
  /** For `accelerator:model`, the properties the guest sees: `name` for true, `name=value` for the rest, sorted. */
  readonly cpuModels: Readonly<Record<string, readonly string[]>>
}

/** A sentence that says what cannot be done and what to do instead. */
export interface Refusal {
  readonly reason: string
}

/** Everything decided about a machine. JSON; the paths that change with each incarnation are not in it. */
export interface Plan {
  readonly driver: string
  readonly spec: MachineSpec
  readonly binaryPath: string
  readonly machineType: string
  readonly accelerator: Accelerator
  readonly cpuModel: string
  readonly fingerprint: Fingerprint
  /** A plan with refusals is not started. */
  readonly refusals: readonly Refusal[]
  readonly memory: MemoryPlan
}

export interface MemoryPlan {
  /** `file` is as in the spec: see MachineFile. */
  readonly regions: readonly MemoryRegion[]
  readonly capture: CaptureMode
}

/** How guest memory reaches the image: pages arrive as writes in every mode. */
export type CaptureMode = 'writeback' | 'dirty-log' | 'snapshot-file' | 'stream'

/** Where a range of guest-physical memory lives; all numbers are bytes. */
export interface MemoryRegion {
  readonly id: string
  /** Null where only the running guest decides it. */
  readonly gpa: number | null
  readonly size: number
  readonly file: string | null
  readonly offset: number
  readonly shared: boolean
}

/** What is new with each incarnation of a machine. */
export interface Binding {
  /** Where the image is mounted for this incarnation: the root of relative file names. */
  readonly root: string
  /** Where kernel, initrd and firmware are to be read instead, by their relative names: nothing there is kept. */
  readonly bootFiles?: Readonly<Record<string, string>>
  /** An existing directory, mode 0700, of this incarnation alone: sockets and logs. Any length of path. */
  readonly runDirectory: string
  /** In place of the spec's attachment; null starts with the cable unplugged, as a fork beside its original must. */
  readonly attachment?: Attachment | null
  /** The generation id shown to the guest, a UUID; left out, the hypervisor draws a new one. */
  readonly generationId?: string
  /** -1000 to 1000, see proc_pid_oom_score_adj(5). Set as well as we may; `Machine.warnings` says when not. */
  readonly oomScoreAdjust?: number
}

/** JSON to be journalled before the machine is relied on. */
export interface Handle {
  readonly driver: string
  readonly process: ProcessIdentity
  readonly plan: Plan
  readonly binding: Binding
}

export interface Prepared extends AsyncDisposable {
  readonly process: ProcessIdentity
  handle(): Handle
  /**
   * Loads device state; the machine ends paused by us, and `resume` runs it. Once only: a failed load ends the process.
   * @throws LOAD_FAILED, TIMEOUT, ABORTED, GONE; the process has ended then
   */
  load(state: Readable | Uint8Array, limit?: CallLimit): Promise<Machine>
  /** Ends the process. Idempotent; does nothing once loaded. */
  discard(): Promise<void>
}

export type RunState =
  'running' | 'pausedByUs' | 'pausedByOthers' | 'pausedByError' | 'shutdown' | 'exited' | 'unknown'

export type MachineEvent =
  | { readonly kind: 'stop' | 'resume'; readonly state: RunState }
  | { readonly kind: 'reset' | 'shutdown'; readonly byGuest: boolean; readonly reason: string }
  | { readonly kind: 'panic'; readonly action: string }
  | { readonly kind: 'ioError'; readonly device: string; readonly action: string; readonly reason: string }
  | { readonly kind: 'nicDisconnected'; readonly port: string }
  | { readonly kind: 'deviceChanged'; readonly device: string }
  | { readonly kind: 'exited'; readonly exit: ProcessExit }
  /** The reader was too slow for this many events: look at `state()` again. */
  | { readonly kind: 'lost'; readonly lost: number }

/** A pause. Valid until it is resumed, abandoned or broken. */
export interface Quiet {
  /** False where the machine was already paused by others: then `resume` leaves it so. */
  readonly ours: boolean
  /** Turns false when the guest ran again, by whomever: what was saved or flushed after that is worthless. */
  readonly intact: boolean
  readonly timings: { readonly armMs: number; readonly stopMs: number }
}

export interface StateInfo {
  readonly bytes: number
  /** True when this pause was saved before and the kept bytes were given again. */
  readonly repeated: boolean
  readonly timings: { readonly saveMs: number; readonly writeMs: number }
}

export interface ResumeInfo {
  /** False where there was nothing of ours to undo. */
  readonly resumed: boolean
  /** The guest runs after `contMs`; then the hypervisor answers, and the rest is tidying up beside it. */
  readonly timings: { readonly contMs: number; readonly settleMs: number }
}

export interface StopOptions {
  /** 0 does not ask the guest. */
  readonly powerdownTimeoutMs?: number
  readonly quitTimeoutMs?: number
  readonly signal?: AbortSignal
}

export interface StopResult {
  readonly how: 'guest' | 'quit' | 'kill'
  readonly exit: ProcessExit
}

export interface Machine extends AsyncDisposable {
  readonly process: ProcessIdentity
  readonly plan: Plan
  /** Settles with the end of the process; never rejects. */
  readonly exited: Promise<ProcessExit>
  /** What each part of getting here took, in milliseconds. */
  readonly timings: Readonly<Record<string, number>>
  /** Sentences about what could not be had, such as an OOM score. */
  readonly warnings: readonly string[]
  readonly memory: MemoryPlan
  readonly ports: readonly NetPort[]
  readonly identity: Identity
  /** A unix socket that is the guest's serial console, both ways; its output is also in `consoleLogPath`. */
  readonly consoleSocketPath: string
  readonly consoleLogPath: string
  /** Each iteration begins with the next event; ends after `exited` or `close`. */
  readonly events: AsyncIterable<MachineEvent>
  handle(): Handle
  state(): RunState
  /**
   * Guest-physical addresses that the hypervisor reads when device state is loaded, as far as it says. A hint, for
   * whoever wants that memory at hand then; to be asked while the guest runs. @throws TIMEOUT, GONE
   */
  deviceMemory(): Promise<readonly number[]>
  /**
   * On return no virtual CPU runs, no disk request is in flight and nothing more will leave any port.
   * A pause of ours that is still intact is returned as it is.
   * @throws WRONG_STATE unless running or paused by us or others; TIMEOUT, ABORTED, and then the guest goes on
   */
  quiesce(limit?: CallLimit): Promise<Quiet>
  /**
   * Writes the device state to `sink` and ends it; the sink gets the whole state or nothing. Within one pause
   * the state is taken once and then repeated from memory. On failure the pause is abandoned.
   * @throws TOO_LARGE, SAVE_FAILED, STATE_SPENT, TIMEOUT, ABORTED, GONE; WRONG_STATE when the pause is broken
   */
  saveState(quiet: Quiet, sink: Writable, limit?: CallLimit & { bytesMax?: number }): Promise<StateInfo>
  /**
   * Undoes our own pause, and nothing else. Idempotent; after a failure it may be tried again.
   * @throws TIMEOUT, COMMAND_FAILED, GONE
   */
  resume(quiet: Quiet, limit?: CallLimit): Promise<ResumeInfo>
  /** Cancels a save under way and goes back to the state before `quiesce`. Idempotent. */
  abandon(quiet: Quiet): Promise<void>
  /**
   * Asks the guest to power down; null when it has not in time, or does not run and so hears nothing: it may still
   * do so later.
   */
  powerDown(limit?: CallLimit): Promise<ProcessExit | null>
  /** Asks the guest to power down, then ends the hypervisor, then kills it. */
  stop(options?: StopOptions): Promise<StopResult>
  /** Kills the process and waits until it has ended. */
  kill(): Promise<ProcessExit>
  /** Lets go of the machine; the guest goes on. Idempotent. */
  close(): Promise<void>
}

/** A network card and its cable. */
export interface NetPort {
  readonly id: string
  readonly mac: string
  readonly attachment: Attachment | null
  /** Whether everything the guest sent has left the hypervisor when `quiesce` returns. */
  readonly exactOutputBoundary: boolean
  /**
   * Plugs the cable into something else, or again into the same after it went away; the guest runs on.
   * What it sends after the return arrives. A new handle is to be journalled then.
   * @throws TIMEOUT when nobody accepts: then it is in that socket, and may be plugged again; COMMAND_FAILED, GONE
   */
  plug(attachment: Attachment): Promise<void>
  /** Pulls the cable: the guest sees its link go down. */
  unplug(): Promise<void>
}

/** Telling a guest that it is not where, or not when, it was. Each says false where the machine has no way to. */
export interface Identity {
  /** Whether the guest now sees a generation id that no other incarnation had. */
  newGenerationId(): Promise<boolean>
  setWallClock(unixMs: number): Promise<boolean>
  /** Lets the network know where the machine is now; `on` false does nothing and says false. */
  announce(on: boolean): Promise<boolean>
}
