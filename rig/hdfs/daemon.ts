/** One Java process of a cluster. It dies with the process that started it, however that ends. */
import { spawn, spawnSync } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { RigError } from '../errors.ts'

const OPTIONS = [
  '-Xmx128m', '-Xss512k', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-XX:+ExitOnOutOfMemoryError',
  '-Djava.net.preferIPv4Stack=true', '--add-opens', 'java.base/java.lang=ALL-UNNAMED',
]

export interface DaemonPlan {
  readonly name: string
  readonly mainClass: string
  readonly classPath: string
  readonly logPath: string
  readonly user: string
  readonly temporaryDirectory: string
}

export class Daemon {
  readonly plan: DaemonPlan
  #child: ChildProcess | undefined

  constructor(plan: DaemonPlan) {
    this.plan = plan
  }

  get isRunning(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** The process, while there is one. */
  get pid(): number | undefined {
    return this.isRunning ? this.#child?.pid : undefined
  }

  /** Starts it unless it runs; it is not ready yet on return. `words` follow the main class. */
  start(...words: string[]): void {
    if (this.isRunning) return
    const { plan } = this
    const log = openSync(plan.logPath, 'a')
    const [command, ...before] = dyingWithParent()
    const java = [...OPTIONS, `-Djava.io.tmpdir=${plan.temporaryDirectory}`, '-cp', plan.classPath, plan.mainClass]
    this.#child = spawn(command, [...before, ...java, ...words], {
      stdio: ['ignore', log, log], env: { ...process.env, HADOOP_USER_NAME: plan.user },
    })
    closeSync(log)
  }

  /** Runs it to its end. @throws RigError CLUSTER_FAILED. */
  async run(...words: string[]): Promise<void> {
    this.start(...words)
    const [code] = (await once(this.#child!, 'exit')) as [number | null]
    const { name, logPath } = this.plan
    if (code !== 0) throw new RigError('CLUSTER_FAILED', `${name} ended with ${code}: see ${logPath}`)
  }

  /** Stops it in its tracks: its sockets stay open and nobody answers. */
  pause(): void {
    this.#child?.kill('SIGSTOP')
  }

  resume(): void {
    this.#child?.kill('SIGCONT')
  }

  /** SIGKILL, and waits until it is gone. Idempotent. */
  async kill(): Promise<void> {
    if (!this.isRunning) return
    const exited = once(this.#child!, 'exit')
    this.#child!.kill('SIGKILL')
    await exited
  }
}

/** `setpriv` of util-linux where it is: then no daemon outlives a test that crashed. */
function dyingWithParent(): string[] {
  deathCommand ??= spawnSync('setpriv', ['--pdeathsig', 'KILL', 'true']).status === 0
    ? ['setpriv', '--pdeathsig', 'KILL', 'java'] : ['java']
  return deathCommand
}

let deathCommand: string[] | undefined
