/**
 * Outlives the process that serves a store: holds the kernel's connections and the control socket, starts the
 * serving process, and when that dies another one, which goes on with the same mounts. Their users see a pause.
 * One more process is kept loaded and waiting, so that the pause is as long as opening the store takes.
 */
import type { Socket } from 'node:net'
import { systemEnv } from '../../env/system.ts'
import { HoldfastError } from '../../errors.ts'
import { distrustIndex } from '../../store/index-mark.ts'
import { StoreLayout } from '../../store/layout.ts'
import type { LogLine } from '../daemon-log.ts'
import { errorOf, faultOf } from '../faults.ts'
import { ListeningFront } from '../front.ts'
import { clientsMax, earlyDeathMs, earlyDeathsMax, restartDelayMs, restartDelayMsMax, slotsFree } from '../limits.ts'
import { encodeLine } from '../protocol.ts'
import { controlProtocol, version } from '../version.ts'
import { Child } from './child.ts'
import { spawnFor } from './launcher.ts'
import type { FromSupervisor, ToSupervisor } from './messages.ts'
import { Slots } from './slots.ts'

type Result = Extract<FromSupervisor, { type: 'answer' }>['result']

/** How a process ends by a fault of its own: LevelDB does over some damage of the index, again and again. */
const ownFaults = ['SIGABRT', 'SIGSEGV', 'SIGBUS']

export interface SupervisorOptions {
  store: string
  /** Opens an encrypted store, hexadecimal; handed on to each process that serves. */
  root: string | null
  /** Entry of the processes that serve. */
  entry: URL
  log: LogLine
  /** False: as on a kernel that cannot send requests again. */
  canResend: boolean
  /** Keep a process ready to take over. */
  hasStandby: boolean
}

export class Supervisor {
  readonly #options: SupervisorOptions
  readonly #slots: Slots
  readonly #front: ListeningFront
  readonly #startedMs = Math.round(systemEnv().wallMs())
  readonly #started = Promise.withResolvers<void>()
  readonly #ended = Promise.withResolvers<void>()
  #serving: Child | null = null
  #standby: Child | null = null
  /** Clients that came while nobody served. */
  #waiting: Socket[] = []
  #hasStarted = false
  #isStopping = false
  #earlyDeaths = 0
  #replacements = 0
  /** When the last process ended. */
  #endedMs: number | null = null

  constructor(options: SupervisorOptions) {
    this.#options = options
    this.#slots = new Slots(options.canResend)
    this.#front = new ListeningFront(options.store)
  }

  /** Resolves when the first process serves. Errors: what opening the store throws, DAEMON. */
  async start(): Promise<void> {
    void this.#serve(this.#launch())
    await this.#started.promise
    this.#hasStarted = true
    await this.#front.open((socket) => this.#accept(socket))
    this.#prepareStandby()
  }

  /** Resolves when the daemon was stopped. */
  get ended(): Promise<void> {
    return this.#ended.promise
  }

  /** As `daemon stop --force`; a second call does not wait for anything. */
  stop(): void {
    if (this.#isStopping || this.#serving?.isReady !== true) return void this.#finish()
    this.#isStopping = true
    this.#serving.send({ type: 'stop' })
  }

  #launch(): Child {
    const { entry, store } = this.#options
    const child: Child = new Child(entry, store, this.#slots.fill(), (message) => this.#receive(child, message))
    return child
  }

  /** Has a process serve, and waits for its end. */
  async #serve(child: Child): Promise<void> {
    this.#serving = child
    const { log } = this.#options
    if (await child.loaded) {
      const { orphans, lost } = await this.#slots.orphans()
      for (const directory of lost) log(`the mount on ${directory} ended with the process that served it`)
      const inherited = [...child.inherited]
      const free = this.#slots.free().filter((slot) => inherited.some((each) => each.slot === slot))
      child.send({
        type: 'serve', inherited, free, orphans, lost, root: this.#options.root,
        replacements: this.#replacements, startedMs: this.#startedMs, survivesKills: this.#options.canResend,
      })
    }
    const begin = systemEnv().monotonicMs()
    const how = await child.ended
    this.#endedMs = systemEnv().monotonicMs()
    this.#serving = null
    this.#waiting.push(...child.takeBack())
    await this.#replaceDead(child, how, systemEnv().monotonicMs() - begin)
  }

  async #replaceDead(child: Child, how: string, servedMs: number): Promise<void> {
    const { log } = this.#options
    if (this.#isStopping) return this.#finish()
    if (!this.#hasStarted) {
      return this.#started.reject(new HoldfastError('DAEMON', `the serving process died at its start (${how})`))
    }
    this.#earlyDeaths = child.isReady && servedMs > earlyDeathMs ? 0 : this.#earlyDeaths + 1
    log(`the serving process ${child.pid} ended (${how}) with ${this.#slots.mountCount} mounts: another goes on`)
    if (ownFaults.includes(how)) distrustIndex(systemEnv(), new StoreLayout(this.#options.store))
    if (this.#earlyDeaths > 1) await this.#backOff()
    this.#replacements += 1
    const next = this.#standby ?? this.#launch()
    this.#standby = null
    void this.#serve(next)
  }

  async #backOff(): Promise<void> {
    const delayMs = Math.min(restartDelayMs * 2 ** (this.#earlyDeaths - 2), restartDelayMsMax)
    this.#options.log(`serving processes died early ${this.#earlyDeaths} times in a row: waiting ${delayMs} ms`)
    if (this.#isFailing) for (const socket of this.#waiting.splice(0)) this.#refuse(socket)
    await new Promise((resolve) => setTimeout(resolve, delayMs))
  }

  /** Clients are told so instead of being kept waiting. */
  get #isFailing(): boolean {
    return this.#earlyDeaths >= earlyDeathsMax
  }

  #receive(child: Child, message: ToSupervisor): void {
    switch (message.type) {
      case 'loaded':
      case 'standsBy':
      case 'took':
        return
      case 'ready':
        return this.#ready(child)
      case 'refused':
        this.#options.log(`cannot serve: ${message.fault.message}`)
        return this.#started.reject(errorOf(message.fault))
      case 'failed':
        return this.#slots.failed(message.slot, message.reason)
      case 'crashed':
        this.#slots.crashed(message.slot)
        return child.kill()
      case 'replace':
        return void this.#replace(child, message.ifIdle)
      case 'retiring':
        child.isRetiring = true
        return
      default:
        void this.#answer(child, message)
    }
  }

  async #answer(child: Child, message: Extract<ToSupervisor, { id: number }>): Promise<void> {
    try {
      const result = await this.#perform(child, message)
      child.send({ type: 'answer', id: message.id, fault: null, result: result ?? null })
    } catch (error) {
      child.send({ type: 'answer', id: message.id, fault: faultOf(error), result: null })
    }
  }

  async #perform(child: Child, message: Extract<ToSupervisor, { id: number }>): Promise<Result | void> {
    switch (message.type) {
      case 'run':
        return this.#slots.run(message.slot, message.program, message.parameters, message.hasDevice)
      case 'spawn':
        return spawnFor(child, message.id, message.request)
      case 'claim':
        return this.#slots.claim(message.slot, message.claim)
      case 'served':
        if (!this.#slots.survives(message.facts)) {
          const { directory } = message.facts
          this.#options.log(`the mount on ${directory} will not outlive its serving process: this kernel cannot resend`)
        }
        await this.#slots.served(message.slot, message.facts)
        return this.#tellStandby()
      case 'lookUp':
        return this.#slots.lookUp(message.slot, message.paths)
      case 'release':
        await this.#slots.release(message.slot)
        return this.#tellStandby()
      case 'stopping':
        this.#isStopping = true
        return this.#front.close()
    }
  }

  #ready(child: Child): void {
    child.isReady = true
    if (this.#endedMs !== null) {
      const gapMs = Math.round(systemEnv().monotonicMs() - this.#endedMs)
      this.#options.log(`process ${child.pid} serves, ${gapMs} ms after the end of the one before`)
    }
    this.#started.resolve()
    for (const socket of this.#waiting.splice(0)) child.give(socket)
    if (this.#replacements > 0) this.#prepareStandby()
  }

  #accept(socket: Socket): void {
    if (this.#serving?.isReady === true && !this.#serving.isRetiring) return this.#serving.give(socket)
    if (this.#isFailing || this.#waiting.length >= clientsMax) return this.#refuse(socket)
    this.#waiting.push(socket)
  }

  #refuse(socket: Socket): void {
    const reason = `the serving process cannot be kept alive (${this.#earlyDeaths} early deaths): the log says why; ` +
      `kill -TERM ${process.pid} ends the daemon and its mounts`
    socket.write(encodeLine({ hello: { protocol: controlProtocol, version, pid: process.pid } }))
    socket.end(encodeLine({ error: faultOf(new HoldfastError('DAEMON', reason)) }))
    socket.resume()
  }

  #prepareStandby(): void {
    if (!this.#options.hasStandby || this.#standby !== null || this.#isStopping) return
    this.#keepStandby(this.#launch())
  }

  #keepStandby(child: Child): void {
    this.#standby = child
    void child.loaded.then((isLoaded) => {
      if (isLoaded && this.#standby === child) this.#tellStandby()
    })
    void child.standsBy.then((standsBy) => {
      if (standsBy && this.#standby === child) this.#options.log(`process ${child.pid} stands by`)
    })
    void child.ended.then(() => {
      if (this.#standby === child) this.#standby = null
    })
  }

  /** What it is to be ready for; one that is not loaded yet is told then. */
  #tellStandby(): void {
    if (this.#standby?.isLoaded !== true) return
    this.#standby.send({ type: 'standBy', images: this.#slots.images(), root: this.#options.root })
  }

  /** A planned replacement: by a process of the code as it is now, with devices for mounts to come. */
  async #replace(serving: Child, ifIdle: boolean): Promise<void> {
    const next = ifIdle && this.#hasFreshStandby ? this.#standby! : this.#renewStandby()
    if (!await next.standsBy || this.#standby !== next || this.#serving !== serving) return
    serving.send({ type: 'retire', waits: !ifIdle })
  }

  get #hasFreshStandby(): boolean {
    const free = new Set(this.#slots.free())
    const usable = this.#standby?.inherited.filter(({ slot }) => free.has(slot)).length ?? 0
    return usable >= slotsFree / 2
  }

  #renewStandby(): Child {
    this.#standby?.kill()
    const child = this.#launch()
    this.#keepStandby(child)
    return child
  }

  async #finish(): Promise<void> {
    this.#isStopping = true
    await this.#front.close()
    this.#standby?.kill()
    this.#serving?.kill()
    this.#ended.resolve()
  }
}

