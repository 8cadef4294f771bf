import type { Writable } from 'node:stream'
import { Broadcast } from '../broadcast.ts'
import { within } from '../deadline.ts'
import type { CallLimit } from '../deadline.ts'
import type {
  Binding,
  Handle,
  Identity,
  Machine,
  MachineEvent,
  MemoryPlan,
  Plan,
  Quiet,
  ResumeInfo,
  RunState,
  StateInfo,
  StopOptions,
  StopResult,
} from '../driver.ts'
import { isDriverError } from '../errors.ts'
import type { Host, ProcessExit, ProcessIdentity, SocketDirectory } from '../host.ts'
import { limits } from '../limits.ts'
import type { Control } from './control.ts'
import { attachmentOf, hasGenerationId } from './devices.ts'
import { machineEvent } from './events.ts'
import { QemuIdentity } from './identity.ts'
import { Pausing } from './pausing.ts'
import type { InitialPause } from './pausing.ts'
import { QemuPort } from './ports.ts'
import { queueAddresses } from './rings.ts'
import { runPath } from './rundir.ts'
import { RunStateTracker } from './runstate.ts'

export interface MachineParts {
  readonly host: Host
  readonly control: Control
  readonly sockets: SocketDirectory
  readonly plan: Plan
  readonly binding: Binding
  readonly state: RunState
  readonly pause: InitialPause
  readonly loaded: boolean
  readonly timings: Readonly<Record<string, number>>
  readonly warnings: readonly string[]
}

export class QemuMachine implements Machine {
  readonly process: ProcessIdentity
  readonly plan: Plan
  readonly exited: Promise<ProcessExit>
  readonly timings: Readonly<Record<string, number>>
  readonly warnings: readonly string[]
  readonly memory: MemoryPlan
  readonly ports: readonly QemuPort[]
  readonly identity: Identity
  readonly consoleSocketPath: string
  readonly consoleLogPath: string
  readonly events = new Broadcast<MachineEvent>((lost) => ({ kind: 'lost', lost }))
  readonly #control: Control
  readonly #sockets: SocketDirectory
  readonly #binding: Binding
  readonly #tracker: RunStateTracker
  readonly #pausing: Pausing
  #closed = false

  constructor({ host, control, sockets, plan, binding, ...parts }: MachineParts) {
    this.process = control.process.identity
    this.plan = plan
    this.exited = control.process.exited
    this.timings = parts.timings
    this.warnings = parts.warnings
    this.memory = plan.memory
    this.ports =
      plan.spec.network === null ? [] : [new QemuPort(control, plan.spec.network.mac, attachmentOf(plan, binding))]
    this.consoleSocketPath = runPath(binding.runDirectory, 'consoleSocket')
    this.consoleLogPath = runPath(binding.runDirectory, 'consoleLog')
    this.#control = control
    this.#sockets = sockets
    this.#binding = binding
    this.#tracker = new RunStateTracker(parts.state)
    this.identity = new QemuIdentity(host, control, sockets, {
      generationRenewed: parts.loaded && hasGenerationId(plan.spec, plan.machineType),
      guestAgent: plan.spec.guestAgent,
      network: this.ports.length > 0,
    })
    this.#watch()
    this.#pausing = new Pausing(
      host,
      control,
      this.#tracker,
      sockets,
      runPath(binding.runDirectory, 'pauseMark'),
      parts.pause,
    )
  }

  handle(): Handle {
    const attachment = this.ports[0]?.attachment
    return {
      driver: 'qemu',
      process: this.process,
      plan: this.plan,
      binding: attachment === undefined ? this.#binding : { ...this.#binding, attachment },
    }
  }

  state(): RunState {
    return this.#tracker.state
  }

  deviceMemory(): Promise<readonly number[]> {
    return queueAddresses(this.#control)
  }

  quiesce(limit?: CallLimit): Promise<Quiet> {
    return this.#pausing.quiesce(limit)
  }

  saveState(quiet: Quiet, sink: Writable, limit?: CallLimit & { bytesMax?: number }): Promise<StateInfo> {
    return this.#pausing.save(quiet, sink, limit)
  }

  resume(quiet: Quiet, limit?: CallLimit): Promise<ResumeInfo> {
    return this.#pausing.resume(quiet, limit)
  }

  abandon(quiet: Quiet): Promise<void> {
    return this.#pausing.abandon(quiet)
  }

  async powerDown({ timeoutMs = limits.powerdownTimeoutMs, signal }: CallLimit = {}): Promise<ProcessExit | null> {
    return this.state() === 'running' ? this.#endBy('system_powerdown', timeoutMs, signal) : null
  }

  async stop(options: StopOptions = {}): Promise<StopResult> {
    const powerdownMs = options.powerdownTimeoutMs ?? limits.powerdownTimeoutMs
    if (powerdownMs > 0) {
      const exit = await this.powerDown({ timeoutMs: powerdownMs, signal: options.signal })
      if (exit) return { how: 'guest', exit }
    }
    const exit = await this.#endBy('quit', options.quitTimeoutMs ?? limits.quitTimeoutMs, options.signal)
    return exit ? { how: 'quit', exit } : { how: 'kill', exit: await this.kill() }
  }

  async kill(): Promise<ProcessExit> {
    this.#control.process.kill('SIGKILL')
    return within(this.exited, limits.killTimeoutMs, 'The end of the killed hypervisor')
  }

  close(): Promise<void> {
    if (!this.#closed) {
      this.#closed = true
      this.#pausing.close()
      this.#control.qmp.close()
      this.#sockets.close()
      this.#control.process.release()
      this.events.close()
    }
    return Promise.resolve()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** The tracker comes first, so that whoever sees an event also sees the state it led to. */
  #watch(): void {
    this.#control.qmp.events.listen((event) => {
      this.#tracker.observe(event)
      const told = machineEvent(event, this.#tracker.state)
      if (told !== null) this.events.publish(told)
    })
    void this.exited.then((exit) => {
      this.#tracker.exited()
      this.events.publish({ kind: 'exited', exit })
      this.events.close()
    })
  }

  /** The end of the process after a command, or null when it did not come in time. */
  async #endBy(command: string, timeoutMs: number, signal?: AbortSignal): Promise<ProcessExit | null> {
    const end = async (): Promise<ProcessExit> => {
      await this.#control.execute(command, undefined, { timeoutMs }).catch((error: unknown) => {
        // Its connection closes while it ends: then the end itself is what to wait for.
        if (!isDriverError(error, 'GONE', 'DISCONNECTED')) throw error
      })
      return this.exited
    }
    try {
      return await within(end(), timeoutMs, command, signal)
    } catch (error) {
      if (isDriverError(error, 'TIMEOUT', 'COMMAND_FAILED', 'CLOSED')) return null
      throw error
    }
  }
}
