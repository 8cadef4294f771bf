/** A Debian guest that runs from a Holdfast image, with the load of the demo: a row a time, each synced. */
import { truncateSync } from 'node:fs'
import { join } from 'node:path'
import { demoLoad } from '../../rig/demo/load.ts'
import { guest } from '../../rig/guest/index.ts'
import type { Image, MachineSummary, Store } from '../../src/index.ts'
import type { BenchRun } from './bench.ts'
import { CounterWatch } from './counter-watch.ts'
import { BenchStore } from './holdfast.ts'

export interface GuestShape {
  readonly name: string
  readonly memoryMebibytes: number
  /** The disk is made this large, sparse; null leaves it as it is. */
  readonly diskGibibytes: number | null
  /** Bytes without a pattern in each row that the workload inserts. */
  readonly payloadBytes: number
  /** The workload sleeps so long between two rows. */
  readonly intervalMs: number
}

export const plainShape: GuestShape = { name: 'plain', memoryMebibytes: 512, diskGibibytes: null, ...demoLoad }

const imageName = 'machine'
const diskName = 'disk.raw'

export class BenchMachine implements AsyncDisposable {
  readonly store: BenchStore
  readonly connection: Store
  readonly image: Image
  readonly #watches: CounterWatch[] = []

  private constructor(store: BenchStore, connection: Store) {
    this.store = store
    this.connection = connection
    this.image = connection.image(imageName)
  }

  /** Boots it; the workload counts on return. */
  static async start(run: BenchRun, shape: GuestShape = plainShape): Promise<BenchMachine> {
    const { disk, kernel, initrd, append } = await guest()
    run.note(`booting a guest with ${shape.memoryMebibytes} MiB of memory`)
    const store = await BenchStore.make(run.scratch, `store-${shape.name}`)
    await store.create(imageName, [disk])
    const made = new BenchMachine(store, await store.connect())
    if (shape.diskGibibytes !== null) await made.#enlargeDisk(shape.diskGibibytes * 2 ** 30)
    const machine = await made.image.startMachine({
      disks: [`/${diskName}`], memoryBytes: shape.memoryMebibytes * 2 ** 20, machineType: 'microvm', accelerator: 'tcg',
      kernel, initrd, append: append({ workload: 'sqlite', payloadBytes: shape.payloadBytes, intervalMs: shape.intervalMs }),
    })
    await made.watch(machine)
    return made
  }

  async summary(): Promise<MachineSummary> {
    const machine = await this.image.machine()
    if (machine === null) throw new Error('the machine is gone')
    return machine
  }

  /** Connects to the console of the machine as it is now. */
  async watch(machine: MachineSummary): Promise<CounterWatch> {
    this.#watches.pop()?.close()
    const watch = await CounterWatch.open(machine.console)
    this.#watches.push(watch)
    return watch
  }

  get counters(): CounterWatch {
    return this.#watches.at(-1)!
  }

  /** Ends the machine and the daemon. */
  async close(): Promise<void> {
    this.#watches.pop()?.close()
    await this.connection.close()
    await this.store.stopDaemon()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #enlargeDisk(bytes: number): Promise<void> {
    const directory = await this.store.mount(this.image)
    truncateSync(join(directory, diskName), bytes)
    await this.connection.unmount(directory)
  }
}
