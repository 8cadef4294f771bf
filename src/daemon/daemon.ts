/**
 * A daemon: one host, its control socket and the calls under way. It serves until it is told to stop.
 * The store's lock (held by the host) is taken before the socket is made, and let go before the last client
 * is answered: whoever sees the answer may open the store.
 */
import { rmSync } from 'node:fs'
import { publishFile } from '../env/publish.ts'
import { systemEnv } from '../env/system.ts'
import { AssertionFailure, HoldfastError, isCode, messageOf } from '../errors.ts'
import type { CallOptions } from '../image/types.ts'
import type { LogLine } from './daemon-log.ts'
import { isDefect } from './faults.ts'
import type { Host } from './host.ts'
import type { OpenHost } from './open-host.ts'
import { ControlServer } from './server.ts'
import type { RunCall } from './session.ts'
import { controlPaths } from './socket-path.ts'
import type { DaemonControl, DaemonStatus, Verb } from './verb.ts'
import { checkedArguments, verbNamed } from './verbs.ts'
import { controlProtocol, version } from './version.ts'

interface RunningCall {
  readonly verb: string
  readonly settled: Promise<unknown>
}

export class Daemon implements DaemonControl {
  readonly #store: string
  readonly #host: Host
  readonly #log: LogLine
  readonly #startedMs = systemEnv().wallMs()
  readonly #calls = new Set<RunningCall>()
  readonly #abort = new AbortController()
  readonly #ended = Promise.withResolvers<void>()
  #server: ControlServer | null = null
  #stopping = false

  /** Opens the store and its control socket. Errors: what opening a host throws (LOCKED, ...), DAEMON. */
  static async start(store: string, openHost: OpenHost, log: LogLine): Promise<Daemon> {
    const host = await openHost(store, { thread: true, onEvent: (event) => log(JSON.stringify(event)) })
    const daemon = new Daemon(store, host, log)
    try {
      await daemon.#serve()
    } catch (error) {
      await host.close({ force: true })
      throw error
    }
    return daemon
  }

  private constructor(store: string, host: Host, log: LogLine) {
    this.#store = store
    this.#host = host
    this.#log = log
  }

  /** Resolves when the daemon has stopped and its clients have their answers. */
  get ended(): Promise<void> {
    return this.#ended.promise
  }

  async status(): Promise<DaemonStatus> {
    const machines = await this.#host.machines()
    return {
      running: true, pid: process.pid, servingPid: process.pid,
      directory: this.#store, version, protocol: controlProtocol,
      startedMs: this.#startedMs, clients: this.#server?.clients ?? 0,
      mounts: this.#host.mounts().map(({ image, directory, machine }) => ({ image, directory, machine })),
      machines: machines.map(({ image, state, pid }) => ({ image, state, pid })),
    }
  }

  async stop(options: { force: boolean }): Promise<DaemonStatus> {
    if (this.#stopping) throw new HoldfastError('BUSY', 'the daemon is stopping already')
    this.#stopping = true
    try {
      const status = await this.status()
      const others = [...this.#calls].filter((call) => call.verb !== 'daemon stop')
      if (!options.force) refuseIfBusy(status, others)
      this.#abort.abort()
      await Promise.allSettled(others.map((call) => call.settled))
      await this.#closeHost(options, status)
      return { ...status, running: false, clients: 0, mounts: [], machines: [] }
    } catch (error) {
      if (isCode(error, 'BUSY')) this.#stopping = false
      throw error
    }
  }

  async #closeHost(options: { force: boolean }, status: DaemonStatus): Promise<void> {
    try {
      await this.#host.close(options)
    } catch (error) {
      if (isCode(error, 'BUSY')) throw busy(messageOf(error), status, error)
      this.#log(`closing failed: ${messageOf(error)}`)
      this.#finish()
      throw error
    }
    this.#finish()
  }

  /** In a later turn of the event loop, so that the answer to `stop` is written first. */
  #finish(): void {
    setImmediate(() => {
      rmSync(controlPaths(this.#store).pid, { force: true })
      void this.#server?.close().then(() => this.#ended.resolve())
    })
  }

  async #serve(): Promise<void> {
    const hello = { protocol: controlProtocol, version, pid: process.pid }
    const run: RunCall = (verb, args, options) => this.#run(verb, args, options)
    this.#server = await ControlServer.listen(this.#store, hello, run)
    publishFile(systemEnv(), controlPaths(this.#store).pid, new TextEncoder().encode(`${process.pid}\n`))
  }

  async #run(name: unknown, given: unknown, options: Required<CallOptions>): Promise<unknown> {
    const verb = verbNamed(name)
    const args = checkedArguments(verb, given)
    if (verb.place === 'create') throw new HoldfastError('EXISTS', `${this.#store} is a store already`)
    if (this.#stopping && verb.place !== 'control') throw new HoldfastError('BUSY', 'the daemon is stopping')
    return this.#track(String(name), this.#perform(verb, args, options))
  }

  async #perform(verb: Verb, args: Record<string, unknown>, options: Required<CallOptions>): Promise<unknown> {
    const signal = AbortSignal.any([options.signal, this.#abort.signal])
    try {
      return await verb.run({ host: this.#host, control: this, signal, progress: options.progress }, args)
    } catch (error) {
      if (isDefect(error)) this.#log(error instanceof Error ? error.stack ?? error.message : String(error))
      // A broken promise of our own code ends the daemon, once its client has been told.
      if (error instanceof AssertionFailure) setImmediate(() => { throw error })
      throw error
    }
  }

  async #track(verb: string, settled: Promise<unknown>): Promise<unknown> {
    const call = { verb, settled }
    this.#calls.add(call)
    try {
      return await settled
    } finally {
      this.#calls.delete(call)
    }
  }
}

function refuseIfBusy(status: DaemonStatus, others: RunningCall[]): void {
  const machines = status.machines.filter(({ state }) => state === 'running' || state === 'paused')
  const reasons = [
    ...machines.map(({ image }) => `the machine of ${image} runs`),
    ...others.map(({ verb }) => `"${verb}" is under way`),
  ]
  if (reasons.length === 0) return
  throw busy(`the daemon cannot stop: ${reasons.join(', ')} (--force stops it all the same)`, status)
}

function busy(message: string, status: DaemonStatus, cause?: unknown): HoldfastError {
  return new HoldfastError('BUSY', message, { cause, info: { mounts: status.mounts, machines: status.machines } })
}
