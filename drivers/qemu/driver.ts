import type { CallLimit } from '../deadline.ts'
import type {
  Binding,
  Driver,
  DriverFacts,
  Handle,
  Machine,
  Plan,
  PrepareLimit,
  Prepared,
  ProbeOptions,
} from '../driver.ts'
import type { Host } from '../host.ts'
import type { MachineSpec } from '../spec.ts'
import { linuxHost } from '../linux.ts'
import { adopt, reap } from './adopt.ts'
import { plan } from './plan.ts'
import { prepare } from './prepare.ts'
import { probe } from './probe.ts'
import { start } from './start.ts'

export interface QemuOptions {
  /** Where the probe keeps what it found; a file beside it, `.rom`, is the firmware it boots. */
  readonly cachePath: string
  /** A path or a command name. */
  readonly binary?: string
  readonly host?: Host
}

/** QEMU 7.2 or newer for x86-64. */
export class QemuDriver implements Driver {
  readonly name = 'qemu'
  readonly #host: Host
  readonly #binary: string
  readonly #cachePath: string

  constructor({ cachePath, binary = 'qemu-system-x86_64', host = linuxHost }: QemuOptions) {
    this.#host = host
    this.#binary = binary
    this.#cachePath = cachePath
  }

  probe(options?: ProbeOptions): Promise<DriverFacts> {
    return probe(this.#host, this.#binary, this.#cachePath, options)
  }

  plan(spec: MachineSpec, facts: DriverFacts): Plan {
    return plan(spec, facts)
  }

  start(planned: Plan, binding: Binding, limit?: CallLimit): Promise<Machine> {
    return start(this.#host, planned, binding, limit)
  }

  prepare(planned: Plan, binding: Binding, limit?: PrepareLimit): Promise<Prepared> {
    return prepare(this.#host, planned, binding, limit)
  }

  adopt(handle: Handle, limit?: CallLimit): Promise<Machine> {
    return adopt(this.#host, handle, limit)
  }

  reap(handle: Handle): Promise<void> {
    return reap(this.#host, handle)
  }
}
