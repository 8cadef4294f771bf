/** A daemon with one mounted image, whose serving process is killed again and again. */
import { mkdirSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ControlClient } from '../../src/daemon/client.ts'
import { startDaemon } from '../../src/daemon/launch.ts'
import { controlPaths } from '../../src/daemon/socket-path.ts'
import type { DaemonStatus } from '../../src/daemon/verb.ts'
import { systemEnv } from '../../src/env/system.ts'
import { isCode } from '../../src/errors.ts'
import { initStore } from '../../src/store/identity.ts'

/** A takeover as the daemon's log tells it. */
export interface Takeover {
  /** Requests that the killed process had read and not answered. */
  resent: number
  /** Those of them that it had carried out. */
  repeated: number
}

export class KilledDaemon {
  readonly store: string
  readonly mountPoint: string
  /** When each kill was, in milliseconds since 1970. */
  readonly killsMs: number[] = []
  /** When, after each `kill`, another process was seen to serve. */
  readonly servedMs: number[] = []

  private constructor(directory: string) {
    this.store = join(directory, 'store')
    this.mountPoint = join(directory, 'mnt')
  }

  /** With an empty image, mounted. Everything lies in `directory`. */
  static async start(directory: string): Promise<KilledDaemon> {
    const daemon = await KilledDaemon.over(directory, [])
    await daemon.call('mount', { image: 'image', directory: daemon.mountPoint })
    return daemon
  }

  /** With an image over these files. */
  static async over(directory: string, base: readonly string[]): Promise<KilledDaemon> {
    const daemon = new KilledDaemon(directory)
    mkdirSync(daemon.mountPoint, { recursive: true })
    initStore(systemEnv(), daemon.store)
    await using started = (await startDaemon(daemon.store)).client
    await started.call('create', { image: 'image', base })
    return daemon
  }

  /** Calls made while nobody serves wait; one that was under way is made again. */
  async call(verb: string, args: object): Promise<unknown> {
    for (;;) {
      await using client = await ControlClient.connect(this.store)
      if (client === null) throw new Error('the daemon is gone')
      try {
        return await client.call(verb, args)
      } catch (error) {
        if (!isCode(error, 'DAEMON')) throw error
      }
    }
  }

  async status(): Promise<DaemonStatus> {
    return (await this.call('daemon status', {})) as DaemonStatus
  }

  /** Kills the serving process and waits until the next one serves. */
  async kill(signal: 'SIGKILL' | 'SIGABRT' = 'SIGKILL'): Promise<void> {
    const { servingPid } = await this.status()
    if (servingPid === null) throw new Error('nobody serves')
    this.killsMs.push(Date.now())
    process.kill(servingPid, signal)
    while ((await this.status()).servingPid === servingPid) await sleep(5)
    this.servedMs.push(Date.now())
  }

  /** Kills the daemon with all its processes; its mount fails. */
  async killAll(): Promise<void> {
    const { pid } = await this.status()
    const family = pid === null ? [] : [pid, ...childrenOf(pid)]
    this.killsMs.push(Date.now())
    for (const each of family) killIfThere(each)
    while (!family.every(hasEnded)) await sleep(5)
  }

  /** After `killAll`: the image is mounted again where it was. */
  async restart(): Promise<void> {
    await (await startDaemon(this.store)).client.close()
    await this.call('mount', { image: 'image', directory: this.mountPoint })
  }

  /** Resolves when a process is loaded that will take over: as it is but for the first seconds after a kill. */
  async standsBy(): Promise<void> {
    const count = (): number => readFileSync(controlPaths(this.store).log, 'utf8').split(' stands by').length - 1
    while (count() <= this.killsMs.length) await sleep(20)
  }

  takeovers(): Takeover[] {
    const lines = readFileSync(controlPaths(this.store).log, 'utf8').split('\n')
    return lines.filter((line) => line.includes('"takenOver"')).map((line) => {
      const { resent, repeated } = JSON.parse(line.slice(line.indexOf('{'))) as Takeover
      return { resent, repeated }
    })
  }

  async stop(): Promise<void> {
    const { mounts } = await this.status()
    for (const { directory } of mounts) await this.call('unmount', { directory })
    await using client = await ControlClient.connect(this.store)
    await client?.call('daemon stop', {})
  }

  /** For a test that failed: nothing is left of the daemon, nor of hypervisors that it started; its mount fails. */
  abandon(): void {
    try {
      const pid = Number(readFileSync(controlPaths(this.store).pid, 'utf8'))
      for (const each of [pid, ...childrenOf(pid)]) killIfThere(each)
    } catch (error) {
      if (!isCode(error, 'ENOENT', 'ESRCH')) throw error
    }
  }
}

/** The processes that a daemon's supervisor has started. */
function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').split(' ').filter((word) => word !== '').map(Number)
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if (!isCode(error, 'ESRCH')) throw error
  }
}

/** With all its threads: they share its descriptors, which the last of them closes, maybe long after the first ended. */
function hasEnded(pid: number): boolean {
  try {
    const isZombie = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1)!.startsWith('Z')
    return isZombie && readdirSync(`/proc/${pid}/task`).length === 1
  } catch (error) {
    if (!isCode(error, 'ENOENT', 'ESRCH')) throw error
    return true
  }
}
