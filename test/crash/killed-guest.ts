/**
 * A Debian guest that inserts rows, each in a synced transaction, and says so on its serial line: whoever reads the
 * hypervisor's log of that line knows from outside what the guest was told to be on the disk.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { KilledDaemon } from '../../bench/rig/killed-daemon.ts'
import { ConsoleLog } from '../../rig/demo/console-log.ts'
import type { LogMark } from '../../rig/demo/console-log.ts'
import { guest } from '../../rig/guest/index.ts'
import type { ControlClient } from '../../src/daemon/client.ts'
import type { MachineSummary } from '../../src/daemon/host.ts'
import { startDaemon } from '../../src/daemon/launch.ts'
import { controlPaths } from '../../src/daemon/socket-path.ts'
import { messageOf } from '../../src/errors.ts'
import type { EpochSummary } from '../../src/image/types.ts'
import type { ResumeResult } from '../../src/machine/types.ts'

/** A guest under TCG on a busy machine boots in minutes, and one that hangs is to be told of. */
const countTimeoutMs = 300_000
const memoryBytes = 256 * 2 ** 20

export class KilledGuest {
  readonly daemon: KilledDaemon
  readonly #everyMs: number
  #machine: MachineSummary
  #log: ConsoleLog
  #mark: LogMark | undefined
  #client: ControlClient | null = null

  private constructor(daemon: KilledDaemon, machine: MachineSummary, everyMs: number) {
    this.#everyMs = everyMs
    this.daemon = daemon
    this.#machine = machine
    this.#log = new ConsoleLog(machine)
  }

  /** Boots it and takes its first checkpoint; from then on one is taken so often. Everything lies in `directory`. */
  static async start(directory: string, everyMs: number, abandoned: (done: () => void) => void): Promise<KilledGuest> {
    const { disk, kernel, initrd, append } = await guest()
    const daemon = await KilledDaemon.over(directory, [disk])
    abandoned(() => daemon.abandon())
    const machine = (await daemon.call('vm start', {
      image: 'image', accel: 'tcg', memory: memoryBytes, machine: 'microvm', kernel, initrd,
      append: append({ intervalMs: 20, payloadBytes: 3000 }),
    })) as MachineSummary
    const started = new KilledGuest(daemon, machine, everyMs)
    abandoned(() => started.end())
    await started.counted(1)
    await daemon.call('vm checkpoint', { image: 'image' })
    await daemon.call('vm checkpoint', { image: 'image', every: everyMs })
    return started
  }

  /** Until it has said so many numbers since it was started or resumed. */
  async counted(count: number): Promise<void> {
    await this.#log.waitForCounters(count, -1, countTimeoutMs, AbortSignal.timeout(countTimeoutMs))
  }

  /** The last number that it said to be on the disk. */
  get acknowledged(): number {
    return this.#log.counters().at(-1)!
  }

  get counters(): number[] {
    return this.#log.counters()
  }

  get hasBooted(): boolean {
    return this.#log.bootMessages().length > 0
  }

  get console(): string {
    return this.#machine.console
  }

  /** By whoever serves now. */
  async state(): Promise<string> {
    const machines = (await this.daemon.call('vm status', {})) as MachineSummary[]
    return machines.find(({ image }) => image === 'image')!.state
  }

  async killHypervisor(): Promise<void> {
    // Without a machine the daemon has nothing to do, and ends when nobody is connected.
    this.#client = (await startDaemon(this.daemon.store)).client
    this.end()
    while (await this.state() !== 'failed') await sleep(20)
    this.#mark = this.#log.mark()
  }

  /** The daemon with all its processes, the hypervisor among them. */
  async killAll(): Promise<void> {
    await this.daemon.killAll()
    this.end()
    this.#mark = this.#log.mark()
  }

  /**
   * From its newest checkpoint; what its disk held when it was killed is sealed as an epoch, which is returned: that
   * checkpoint itself, where nothing was written since, as when it was killed in the middle of one.
   */
  async resume(): Promise<EpochSummary> {
    await using client = this.#client ?? (await startDaemon(this.daemon.store)).client
    this.#client = null
    const { machine, epoch, sealed } = await this.#told(client.call('vm resume', { target: 'image' })) as ResumeResult
    this.#machine = machine
    this.#log = new ConsoleLog(machine, this.#mark)
    await client.call('vm checkpoint', { image: 'image', every: this.#everyMs })
    return sealed ?? epoch
  }

  /** What the daemon says beside an error, which goes with its directory. */
  async #told(answer: Promise<unknown>): Promise<unknown> {
    try {
      return await answer
    } catch (error) {
      const lines = readFileSync(controlPaths(this.daemon.store).log, 'utf8').split('\n').slice(-20)
      throw new Error(`${messageOf(error)}; the daemon's log ends in\n${lines.join('\n')}`, { cause: error })
    }
  }

  /** Writes the disk of an epoch to a file of this name. */
  async exportDisk(epoch: EpochSummary, name: string): Promise<string> {
    const file = join(this.daemon.store, '..', name)
    await this.daemon.call('export', { source: `image@${epoch.number}:/disk.raw`, file })
    return file
  }

  /** Ends the hypervisor, if it is there. */
  end(): void {
    try {
      if (this.#machine.pid !== null) process.kill(this.#machine.pid, 'SIGKILL')
    } catch {
      // It has ended.
    }
  }
}
