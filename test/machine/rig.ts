/** A store with machines, in a directory that ends with the test; processes and mounts go first, also after a failure. */
import { cacheDirectory } from '../drivers/rig.ts'
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { QemuDriver } from '../../drivers/index.ts'
import type { Driver, Handle } from '../../drivers/index.ts'
import { linuxHost } from '../../drivers/linux.ts'
import { readMounts, unmount } from '../../fuse/index.ts'
import { Console } from '../../rig/guest/console.ts'
import type { Counter } from '../../rig/guest/console.ts'
import { guest } from '../../rig/guest/index.ts'
import type { AppendOptions } from '../../rig/guest/index.ts'
import { systemEnv } from '../../src/env/system.ts'
import type { Engine } from '../../src/image/engine.ts'
import { MIB } from '../../src/limits.ts'
import { Machines } from '../../src/machine/machines.ts'
import type { MachinesOptions } from '../../src/machine/machines-options.ts'
import type { MachineSummary, StartRequest } from '../../src/machine/types.ts'
import { ImageMount } from '../../src/mount/image-mount.ts'
import { initStore, openLocalEngine } from '../image/variant.ts'
import { secret } from '../store/variant.ts'

export class MachineRig implements AsyncDisposable {
  readonly directory: string
  readonly events: object[] = []
  engine!: Engine
  machines!: Machines
  /** For a test process that ends in the middle: machines are made to outlive it. */
  readonly #endAll = (): void => {
    this.killProcesses()
    for (const directory of this.#mounted()) spawnSync('umount', ['--internal-only', '--lazy', directory])
    rmSync(this.directory, { recursive: true, force: true })
  }
  readonly #exit = (): void => process.exit(143)

  private constructor() {
    this.directory = mkdtempSync(join(tmpdir(), 'holdfast-machine-'))
    process.once('exit', this.#endAll)
    process.once('SIGTERM', this.#exit)
  }

  static async open(options: Partial<MachinesOptions> = {}): Promise<MachineRig> {
    const rig = new MachineRig()
    initStore(systemEnv(), rig.store)
    rig.engine = await openLocalEngine(rig.store)
    mkdirSync(rig.runs, { mode: 0o700 })
    rig.machines = rig.open(options)
    return rig
  }

  get store(): string {
    return join(this.directory, 'store')
  }

  get runs(): string {
    return join(this.store, 'machines')
  }

  /** A further object over the same store, as a later daemon has it. */
  open(options: Partial<MachinesOptions> = {}): Machines {
    return new Machines({
      engine: this.engine,
      directory: this.runs,
      secret,
      driver: testDriver(),
      mounting: {
        mount: (image, directory, readBytesMax) => ImageMount.ahead({ image, directory, readBytesMax }),
        serve: (image, mounted) => ImageMount.open({
          engine: this.engine, image, directory: mounted.directory, mounted,
          onEvent: (event) => this.events.push(event),
        }),
      },
      onEvent: (event) => this.events.push(event),
      ...options,
    })
  }

  /** What is journalled below the store now. */
  handles(): Handle[] {
    return readdirSync(this.runs, { withFileTypes: true }).filter((entry) => entry.isDirectory()).flatMap(({ name }) => {
      try {
        return [(JSON.parse(readFileSync(join(this.runs, name, 'journal.json'), 'utf8')) as { handle: Handle }).handle]
      } catch {
        return []
      }
    })
  }

  killProcesses(): void {
    for (const { process: identity } of this.handles()) linuxHost.find(identity)?.kill('SIGKILL')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.machines.close({ force: true })
    } finally {
      this.killProcesses()
      for (const directory of this.#mounted()) await unmount(directory, { lazy: true, force: true })
      await this.engine.close().catch(() => undefined)
      rmSync(this.directory, { recursive: true, force: true })
      process.off('exit', this.#endAll)
      process.off('SIGTERM', this.#exit)
    }
  }

  #mounted(): string[] {
    return readMounts().map(({ mountPoint }) => mountPoint).filter((path) => path.startsWith(`${this.directory}/`))
  }
}

/** Shared by test files, so that the accelerators are proven once for each boot of the host. */
export function testDriver(): Driver {
  return new QemuDriver({ cachePath: join(cacheDirectory(), 'facts.json') })
}

/** The Debian guest of the rig, booted from its kernel. */
export async function debianRequest(image: string, options: AppendOptions & { q35?: boolean } = {}): Promise<StartRequest> {
  const { kernel, initrd, append } = await guest()
  return {
    image, disks: [], memoryBytes: 512 * MIB, cpus: 1, accelerator: 'tcg', machineType: options.q35 ? 'q35' : 'microvm',
    kernel, initrd, append: append(options), network: 'none', hostForwards: [], extraArguments: [],
  }
}

export async function consoleOf(summary: MachineSummary): Promise<Console> {
  return Console.connect(summary.console)
}

/** Two numbers that the guest says one after the other, also where they come at once. */
export async function twoCounters(line: Console): Promise<[Counter, Counter]> {
  const counters = line.counters()
  return [(await counters.next()).value, (await counters.next()).value]
}

/** Waits for what must come; it is the test's own time limit that ends a wait in vain. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(5)
}
