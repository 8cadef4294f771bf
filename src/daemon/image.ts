/** An image as the library shows it. Epochs are named by their number. */
import { resolve } from 'node:path'
import { assert } from '../errors.ts'
import type { CallOptions, EpochDetail, EpochSummary } from '../image/types.ts'
import type { TransportName } from '../mount/transport.ts'
import type { VerbCaller } from './caller.ts'
import type {
  CheckpointResult, MachineSummary, MountSummary, ReplicaWait, ResumeResult, SealResult,
} from './host.ts'
import type { ResultOf } from './verbs.ts'

/** How to start a machine. Paths of disks are in the image, of kernel and initrd on this machine. */
export interface MachineOptions {
  disks?: string[]
  /** 512 MiB without it. */
  memoryBytes?: number
  /** 1 without it. */
  cpus?: number
  accelerator?: 'auto' | 'kvm' | 'tcg'
  /** `q35` without it. */
  machineType?: string
  cpuModel?: string
  kernel?: string
  initrd?: string
  append?: string
  network?: 'none' | 'user'
  hostForwards?: string[]
  extraArguments?: string[]
}

export class Image {
  readonly name: string
  readonly #caller: VerbCaller

  constructor(name: string, caller: VerbCaller) {
    this.name = name
    this.#caller = caller
  }

  /** Oldest first. */
  log(): Promise<EpochSummary[]> {
    return this.#caller.call('log', { image: this.name })
  }

  /** Errors: NOT_FOUND, as all methods that name an epoch. */
  show(epoch: number): Promise<EpochDetail> {
    return this.#caller.call('show', { epoch: this.#address(epoch) })
  }

  /**
   * Seals the head as the next epoch; durable on return, and with `waitReplicas` on so many replicas, unless the
   * result's `replicas` says that they did not get it in time. Mounted or not.
   */
  seal(options: { note?: string } & ReplicaWait & CallOptions = {}): Promise<SealResult> {
    const { note, waitReplicas, waitTimeMs } = options
    return this.#caller.call('seal', { image: this.name, note, waitReplicas, waitTime: waitTimeMs }, options)
  }

  pin(epoch: number): Promise<EpochSummary> {
    return this.#caller.call('pin', { epoch: this.#address(epoch) })
  }

  unpin(epoch: number): Promise<EpochSummary> {
    return this.#caller.call('unpin', { epoch: this.#address(epoch) })
  }

  /** Removes one epoch, or without a number the image with all of them (PINNED, BUSY). */
  remove(epoch?: number): Promise<{ removedEpochs: number }> {
    return this.#caller.call('rm', { target: epoch === undefined ? this.name : this.#address(epoch) })
  }

  /** A new image that begins at an epoch of this one (EXISTS). */
  async fork(epoch: number, name: string): Promise<Image> {
    await this.#caller.call('fork', { epoch: this.#address(epoch), image: name })
    return new Image(name, this.#caller)
  }

  /** Sets the head to an epoch; what it held is sealed first unless `discard` (BUSY while it is mounted). */
  rollback(epoch: number, options: { discard?: boolean } = {}): Promise<ResultOf<'rollback'>> {
    return this.#caller.call('rollback', { epoch: this.#address(epoch), discard: options.discard })
  }

  /** Writes a file of an epoch to `file`, sparse. */
  export(
    epoch: number, path: string, file: string, options: { format?: 'raw' | 'qcow2' } & CallOptions = {},
  ): Promise<{ bytes: number; dataBytes: number }> {
    const given = { source: `${this.#address(epoch)}:${path}`, file: resolve(file), format: options.format }
    return this.#caller.call('export', given, options)
  }

  /**
   * Mounts the head on an empty directory (BUSY when it is mounted or a machine runs on it). The native
   * transport is for ordinary files, without root (UNSUPPORTED where what it needs is missing).
   */
  mount(directory: string, options: { transport?: TransportName } & CallOptions = {}): Promise<MountSummary> {
    const { transport } = options
    return this.#caller.call('mount', { image: this.name, directory: resolve(directory), transport }, options)
  }

  startMachine(machine: MachineOptions = {}, options: CallOptions = {}): Promise<MachineSummary> {
    return this.#caller.call('vm start', {
      image: this.name, disk: machine.disks, memory: machine.memoryBytes, cpus: machine.cpus,
      accel: machine.accelerator, machine: machine.machineType, cpu: machine.cpuModel,
      kernel: optionalPath(machine.kernel), initrd: optionalPath(machine.initrd), append: machine.append,
      network: machine.network, forward: machine.hostForwards, extra: machine.extraArguments,
    }, options)
  }

  /** Seals disks, memory and device state as one epoch; the guest is paused for `pauseMs` of it. */
  async checkpoint(options: { note?: string } & ReplicaWait & CallOptions = {}): Promise<CheckpointResult> {
    const { note, waitReplicas, waitTimeMs } = options
    const args = { image: this.name, note, waitReplicas, waitTime: waitTimeMs }
    const result = await this.#caller.call('vm checkpoint', args, options)
    assert(result.kind === 'taken', 'without a period one checkpoint is taken')
    return result
  }

  /** Checkpoints again and again, `everyMs` apart; null ends that. Lasts as long as the daemon, or this process. */
  async scheduleCheckpoints(everyMs: number | null): Promise<void> {
    await this.#caller.call('vm checkpoint', { image: this.name, every: everyMs ?? 0 })
  }

  /**
   * Resumes the machine from an epoch, without a number from the newest that has machine state; with `as` as
   * a new fork beside the original. What the head held is sealed first unless `discard`.
   * Errors: NOT_FOUND, MISMATCH (this host lacks what the epoch needs), MACHINE, MACHINE_TIMEOUT.
   */
  resumeMachine(
    options: { epoch?: number; as?: string; discard?: boolean } & CallOptions = {},
  ): Promise<ResumeResult> {
    const { epoch, as, discard } = options
    const target = epoch === undefined ? this.name : this.#address(epoch)
    return this.#caller.call('vm resume', { target, as, discard }, options)
  }

  /**
   * Asks the guest to power down; with `force` ends it.
   * Errors: NOT_FOUND; MACHINE (it is paused) and MACHINE_TIMEOUT (it did not): then the guest goes on.
   */
  stopMachine(options: { force?: boolean } & CallOptions = {}): Promise<MachineSummary> {
    return this.#caller.call('vm stop', { image: this.name, force: options.force }, options)
  }

  /** The image's machine, null when it has none. */
  async machine(): Promise<MachineSummary | null> {
    return (await this.#caller.call('vm status', { image: this.name })).at(0) ?? null
  }

  #address(epoch: number): string {
    return `${this.name}@${epoch}`
  }
}

function optionalPath(path: string | undefined): string | undefined {
  return path === undefined ? undefined : resolve(path)
}
