/** The same guest on a qcow2 disk in a plain QEMU, saved with `savevm` and brought back with `loadvm`. */
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { createConnection } from 'node:net'
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { QmpClient } from '../../drivers/qemu/qmp.ts'
import { guest } from '../../rig/guest/index.ts'
import type { Guest } from '../../rig/guest/index.ts'
import type { BenchRun } from './bench.ts'
import { CounterWatch } from './counter-watch.ts'
import { timed } from './figures.ts'
import { plainShape } from './machine.ts'
import type { GuestShape } from './machine.ts'
import { runToEnd, runUntilEnd } from './programs.ts'
import { allocatedBytes } from './qcow2.ts'

const commandTimeoutMs = 120_000

interface Launched {
  readonly directory: string
  readonly qmp: QmpClient
  end(): Promise<void>
}

interface RunningQemu {
  readonly qmp: QmpClient
  readonly counters: CounterWatch
  end(): Promise<void>
}

export class SavevmGuest implements AsyncDisposable {
  readonly #run: BenchRun
  readonly #guest: Guest
  readonly #disk: string
  readonly #shape: GuestShape
  #running: RunningQemu | null = null
  #startCount = 0

  private constructor(run: BenchRun, guest: Guest, disk: string, shape: GuestShape) {
    this.#run = run
    this.#guest = guest
    this.#disk = disk
    this.#shape = shape
  }

  /** Boots it; the workload counts on return. */
  static async start(run: BenchRun, shape: GuestShape = plainShape): Promise<SavevmGuest> {
    run.note('booting the baseline for savevm')
    const built = await guest()
    const disk = run.scratch.path(`savevm-${shape.name}.qcow2`)
    runToEnd('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', built.disk, disk])
    const made = new SavevmGuest(run, built, disk, shape)
    await made.#attach(await made.#launch([]))
    return made
  }

  get counters(): CounterWatch {
    return this.#now.counters
  }

  get diskBytes(): number {
    return allocatedBytes(this.#disk)
  }

  /** The guest stands still for all of it, in milliseconds. */
  async save(name: string): Promise<number> {
    return (await timed(() => this.#command(`savevm ${name}`))).ms
  }

  /** Ends the process without any goodbye and starts another from a snapshot: milliseconds until the guest runs. */
  async killAndLoad(name: string): Promise<number> {
    await this.#end()
    const { ms, result } = await timed(() => this.#launch(['-loadvm', name]))
    await this.#attach(result)
    return ms
  }

  async close(): Promise<void> {
    if (this.#running !== null) await this.#end()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  get #now(): RunningQemu {
    if (this.#running === null) throw new Error('the baseline does not run')
    return this.#running
  }

  async #command(line: string): Promise<void> {
    const args = { 'command-line': line }
    const said = await this.#now.qmp.execute('human-monitor-command', args, { timeoutMs: commandTimeoutMs })
    if (said !== '') throw new Error(`${line}: ${String(said)}`)
  }

  async #end(): Promise<void> {
    const { qmp, counters, end } = this.#now
    this.#running = null
    qmp.close()
    counters.close()
    await end()
  }

  /** Returns when QEMU says that the guest runs. */
  async #launch(extra: string[]): Promise<Launched> {
    this.#startCount += 1
    const directory = this.#run.scratch.path(`savevm-${this.#shape.name}-${this.#startCount}`)
    mkdirSync(directory)
    const words = [...this.#arguments(directory), ...extra]
    const { end } = runUntilEnd(this.#run.scratch, 'qemu-system-x86_64', words, 'SIGKILL')
    const qmp = await connectQmp(`${directory}/qmp`)
    await untilRunning(qmp)
    return { directory, qmp, end }
  }

  async #attach({ directory, qmp, end }: Launched): Promise<void> {
    this.#running = { qmp, end, counters: await CounterWatch.open(`${directory}/serial`) }
  }

  #arguments(directory: string): string[] {
    const { kernel, initrd, append } = this.#guest
    const { memoryMebibytes, payloadBytes, intervalMs } = this.#shape
    return [
      '-M', 'microvm', '-accel', 'tcg', '-m', `${memoryMebibytes}M`, '-no-user-config', '-nodefaults',
      '-display', 'none', '-no-reboot', '-kernel', kernel, '-initrd', initrd,
      '-append', append({ workload: 'sqlite', payloadBytes, intervalMs }),
      '-drive', `if=none,id=disk,format=qcow2,file=${this.#disk}`, '-device', 'virtio-blk-device,drive=disk',
      '-serial', `unix:${directory}/serial,server=on,wait=off`, '-qmp', `unix:${directory}/qmp,server=on,wait=off`,
    ]
  }
}

/** The socket is there a moment before QEMU listens on it. */
async function connectQmp(path: string): Promise<QmpClient> {
  const deadlineMs = performance.now() + commandTimeoutMs
  for (;;) {
    try {
      return await QmpClient.open(await connected(path), { timeoutMs: commandTimeoutMs })
    } catch (error) {
      if (performance.now() > deadlineMs) throw error
      await sleep(1)
    }
  }
}

async function connected(path: string): Promise<Socket> {
  const socket = createConnection(path)
  await once(socket, 'connect')
  return socket
}

async function untilRunning(qmp: QmpClient): Promise<void> {
  for (;;) {
    const status = await qmp.execute('query-status', undefined, { timeoutMs: commandTimeoutMs })
    if (typeof status === 'object' && status !== null && 'running' in status && status.running === true) return
    await sleep(1)
  }
}
