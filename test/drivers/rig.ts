/** Machines for tests: each in directories of its own, ended by process and removed, also after a failure. */
import type { ExecutionContext } from 'ava'
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  closeSync,
  readFileSync,
  readSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Writable } from 'node:stream'
import { QemuDriver, machineSpec } from '../../drivers/index.ts'
import type { Binding, DriverFacts, Handle, Host, Machine, MachineSpec, Plan, Prepared } from '../../drivers/index.ts'
import { linuxHost } from '../../drivers/linux.ts'
import { counterOffset, writeCountingFirmware } from './guests.ts'

export const memoryBytes = 16 * 1024 * 1024

/** A directory in memory that ends with the test, and everything started in it. */
export class Rig implements AsyncDisposable {
  readonly directory: string
  readonly driver: QemuDriver
  readonly firmware: string
  readonly #handles: Handle[] = []
  readonly #machines: AsyncDisposable[] = []
  /** For a test process that ends in the middle: machines are made to outlive it. */
  readonly #killAll = (): void => {
    for (const handle of this.#handles) linuxHost.find(handle.process)?.kill('SIGKILL')
    rmSync(this.directory, { recursive: true, force: true })
  }
  readonly #endAll = (): void => process.exit(143)
  #incarnations = 0

  constructor(host: Host = linuxHost) {
    this.directory = mkdtempSync(join('/dev/shm', 'holdfast-drivers-'))
    this.firmware = join(this.directory, 'count.rom')
    writeCountingFirmware(this.firmware)
    this.driver = new QemuDriver({ cachePath: join(cacheDirectory(), 'facts.json'), host })
    process.once('exit', this.#killAll)
    process.once('SIGTERM', this.#endAll)
  }

  async plan(options: Partial<MachineSpec> = {}): Promise<Plan> {
    return this.driver.plan(this.spec(options), await this.facts())
  }

  facts(): Promise<DriverFacts> {
    return this.driver.probe()
  }

  spec(options: Partial<MachineSpec> = {}): MachineSpec {
    return machineSpec({
      name: 'test',
      memoryBytes,
      memoryFile: 'memory',
      machineType: 'microvm',
      accelerator: 'tcg',
      firmware: this.firmware,
      ...options,
    })
  }

  /** A fresh incarnation, with empty memory or a copy of another's. */
  bind(from?: Binding, options: Partial<Binding> = {}): Binding {
    const root = join(this.directory, String(this.#incarnations++))
    mkdirSync(root, { mode: 0o700 })
    const memory = join(root, 'memory')
    if (from) copyFileSync(join(from.root, 'memory'), memory)
    else {
      writeFileSync(memory, '')
      truncateSync(memory, memoryBytes)
    }
    return { root, runDirectory: root, ...options }
  }

  async start(plan: Plan, binding: Binding): Promise<Machine> {
    return this.keep(await this.driver.start(plan, binding))
  }

  async prepare(plan: Plan, binding: Binding): Promise<Prepared> {
    const prepared = await this.driver.prepare(plan, binding)
    this.#handles.push(prepared.handle())
    return prepared
  }

  async load(plan: Plan, binding: Binding, state: Buffer): Promise<Machine> {
    return this.keep(await (await this.prepare(plan, binding)).load(state))
  }

  keep(machine: Machine): Machine {
    this.#handles.push(machine.handle())
    this.#machines.push(machine)
    return machine
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const handle of this.#handles) await this.driver.reap(handle)
    for (const machine of this.#machines) await machine[Symbol.asyncDispose]()
    process.off('exit', this.#killAll)
    process.off('SIGTERM', this.#endAll)
    rmSync(this.directory, { recursive: true, force: true })
  }
}

/** The guest's counter, as its memory file has it. */
export function counter(binding: Binding): number {
  const file = openSync(join(binding.root, 'memory'), 'r')
  try {
    const bytes = Buffer.alloc(4)
    readSync(file, bytes, 0, 4, counterOffset)
    return bytes.readUInt32LE()
  } finally {
    closeSync(file)
  }
}

export function consoleText(machine: Machine): string {
  return readFileSync(machine.consoleLogPath, 'latin1')
}

/** Waits for what must come; it is the test's own time limit that ends a wait in vain. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(2)
}

/** Waits until the guest has counted on. */
export async function counting(binding: Binding): Promise<void> {
  const before = counter(binding)
  await until(() => counter(binding) !== before)
}

export class Collected extends Writable {
  readonly #pieces: Buffer[] = []

  override _write(piece: Buffer, _encoding: string, done: () => void): void {
    this.#pieces.push(piece)
    done()
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#pieces)
  }
}

export interface Taken {
  readonly state: Buffer
  readonly memory: Binding
  readonly console: string
}

/** A checkpoint: the state, and a copy of the memory as it is in the pause. */
export async function checkpoint(rig: Rig, machine: Machine, binding: Binding): Promise<Taken> {
  const quiet = await machine.quiesce()
  const sink = new Collected()
  await machine.saveState(quiet, sink)
  const memory = rig.bind(binding)
  const text = consoleText(machine)
  await machine.resume(quiet)
  return { state: sink.bytes, memory, console: text }
}

/** The code of the error that `work` rejects with. */
export async function codeOf(t: ExecutionContext, work: Promise<unknown>): Promise<string> {
  const error = (await t.throwsAsync(work)) as (Error & { code?: string }) | undefined
  return error?.code ?? String(error)
}

/** Shared by test files, so that the accelerators are proven once for each boot of the host. */
export function cacheDirectory(): string {
  const directory = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'holdfast', 'drivers-test')
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  return directory
}
