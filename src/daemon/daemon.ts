/**
 * A daemon: one host, its control socket and the calls under way. It serves until it is told to stop.
 * The store's lock (held by the host) is taken before the socket is made, and let go before the last client
 * is answered: whoever sees the answer may open the store.
 */
import { systemEnv } from '../env/system.ts'
import { AssertionFailure, HoldfastError, isCode, messageOf } from '../errors.ts'
import type { CallOptions } from '../image/types.ts'
import { Clients } from './clients.ts'
import type { LogLine } from './daemon-log.ts'
import { openAfterDeath } from './dying-daemon.ts'
import { isDefect } from './faults.ts'
import { ListeningFront, type DaemonFront } from './front.ts'
import type { Host } from './host.ts'
import { tellingOfDamage } from './lost-chunk.ts'
import type { OpenHost } from './open-host.ts'
import type { RunCall } from './session.ts'
import type { Supervision } from './supervision.ts'
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
  readonly #supervision: Supervision | null
  readonly #front: DaemonFront
  readonly #clients: Clients
  readonly #startedMs = systemEnv().wallMs()
  readonly #calls = new Set<RunningCall>()
  readonly #abort = new AbortController()
  readonly #ended = Promise.withResolvers<void>()
  #stopping = false

  /** Opens the store and its control socket. Errors: what opening a host throws (LOCKED, ...), DAEMON. */
  static async start(
    store: string, openHost: OpenHost, log: LogLine, supervision: Supervision | null = null,
  ): Promise<Daemon> {
    const onEvent = (event: object): void => log(JSON.stringify(event))
    const { secret, keeper, spawn, orphans } = supervision ?? {}
    const options = { thread: true, secret, onEvent, keeper, spawn, orphans }
    const host = await openAfterDeath(store, () => openHost(store, options))
    const daemon = new Daemon(store, host, log, supervision)
    try {
      await daemon.#front.open((socket) => daemon.#clients.add(socket))
    } catch (error) {
      await host.close({ force: true })
      throw error
    }
    return daemon
  }

  private constructor(store: string, host: Host, log: LogLine, supervision: Supervision | null) {
    this.#store = store
    this.#host = host
    this.#log = log
    this.#supervision = supervision
    this.#front = supervision?.front ?? new ListeningFront(store)
    const run: RunCall = (verb, args, options) => this.#run(verb, args, options)
    this.#clients = new Clients({ protocol: controlProtocol, version, pid: this.#front.pid }, run)
  }

  /** Whether nothing is under way. */
  get isIdle(): boolean {
    return this.#calls.size === 0 && !this.#stopping
  }

  /** Begins no more calls, has those under way answered, and sends the clients to another process. */
  async retire(): Promise<void> {
    await this.#clients.move()
    while (this.#calls.size > 0) await Promise.allSettled([...this.#calls].map(({ settled }) => settled))
  }

  #idle(): void {
    setImmediate(() => {
      if (this.isIdle && this.#supervision?.isWorn() === true) this.#supervision.replace(true)
    })
  }

  /** Resolves when the daemon has stopped and its clients have their answers. */
  get ended(): Promise<void> {
    return this.#ended.promise
  }

  async status(): Promise<DaemonStatus> {
    const [machines, replicas] = await Promise.all([this.#host.machines(), this.#host.replicas.status()])
    return {
      running: true, pid: this.#front.pid, servingPid: process.pid,
      directory: this.#store, version, protocol: controlProtocol,
      startedMs: this.#supervision?.startedMs ?? this.#startedMs, clients: this.#clients.count,
      replacements: this.#supervision?.replacements ?? 0, survivesKills: this.#supervision?.survivesKills() ?? false,
      mounts: this.#host.mounts().map(({ image, directory, machine }) => ({ image, directory, machine })),
      machines: machines.map(({ image, state, pid }) => ({ image, state, pid })),
      replicas: replicas.map(({ name, state, epochsBehind, alarm }) => ({ name, state, epochsBehind, alarm })),
      garbage: this.#garbage(),
    }
  }

  #garbage(): DaemonStatus['garbage'] {
    const state = this.#host.garbage.state()
    return state.everyMs === null && state.lastError === null ? null : state
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
      return { ...status, running: false, clients: 0, mounts: [], machines: [], replicas: [], garbage: null }
    } catch (error) {
      if (isCode(error, 'BUSY')) this.#stopping = false
      throw error
    }
  }

  async restart(): Promise<DaemonStatus> {
    if (this.#supervision === null) throw new HoldfastError('UNSUPPORTED', 'this daemon has no supervisor')
    const others = [...this.#calls].filter((call) => call.verb !== 'daemon restart')
    await Promise.allSettled(others.map((call) => call.settled))
    const status = await this.status()
    const { replace } = this.#supervision
    setImmediate(() => replace(false))
    return status
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
      void this.#front.close().then(() => this.#clients.close()).then(() => this.#ended.resolve())
    })
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
      const context = { host: this.#host, control: this, signal, progress: options.progress }
      return await tellingOfDamage(() => verb.run(context, args))
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
      this.#idle()
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
