/**
 * The machine of one image through all its incarnations: what it does now, what it said, and that one verb at a
 * time changes it.
 */
import type { Machine, MachineEvent, ProcessExit } from '../../drivers/index.ts'
import { HoldfastError, messageOf } from '../errors.ts'
import type { FileChunks } from '../image/machine-state.ts'
import { Checkpoints } from './checkpoints.ts'
import type { MachineContext } from './context.ts'
import type { Incarnation } from './incarnation.ts'
import { sentencesMax } from './limits.ts'
import { lastWords } from './last-words.ts'
import { holdWhileParked } from './space.ts'
import type { MachinePhase, MachineSummary } from './types.ts'

/** What a summary says of a machine that may have no process. */
export interface MachineTraits {
  accelerator: string
  machineType: string
  memoryBytes: number
}

export class ImageMachine {
  readonly image: string
  readonly checkpoints: Checkpoints
  /** What the guest touched first after its last resume: the next will touch much the same. */
  workingSet: readonly FileChunks[] = []
  readonly #context: MachineContext
  readonly #alarms: string[] = []
  #life: Incarnation | null = null
  #phase: 'stopped' | 'running' | 'failed' = 'stopped'
  #failure: string | null = null
  #traits: MachineTraits = { accelerator: '', machineType: '', memoryBytes: 0 }
  #doing: string | null = null
  #done: Promise<unknown> = Promise.resolve()
  #isKnown = false
  #isHeld = false
  /** The guest asked for its own end. */
  #isShutDown = false
  #ending: Promise<void> | null = null

  constructor(context: MachineContext, image: string) {
    this.#context = context
    this.image = image
    this.checkpoints = new Checkpoints(context, image, () => this.#running())
  }

  get life(): Incarnation | null {
    return this.#life
  }

  /** Nothing of it is there now. */
  get isIdle(): boolean {
    return this.#life === null && this.#doing === null
  }

  /** There was a machine, or still is. */
  get isKnown(): boolean {
    return this.#isKnown
  }

  /** Errors: BUSY when another verb changes this machine now, else those of `step`. */
  async exclusively<T>(doing: string, step: () => Promise<T>): Promise<T> {
    if (this.#doing !== null) {
      throw new HoldfastError('BUSY', `the machine of ${this.image} is being ${this.#doing}: wait until that is done`)
    }
    this.#doing = doing
    const result = (this.#ending ?? Promise.resolve()).then(step).finally(() => {
      this.#doing = null
    })
    this.#done = result.catch(() => undefined)
    return result
  }

  /** Waits until no verb changes this machine. */
  async settled(): Promise<void> {
    await this.#done
    await this.#ending
  }

  /** A machine that runs from now on. */
  begin(life: Incarnation): void {
    this.#life = life
    this.#phase = 'running'
    this.#isKnown = true
    this.#failure = null
    this.#isShutDown = false
    this.#alarms.length = 0
    this.#traits = traitsOf(life.machine)
    void this.#listen(life)
    void life.machine.exited.then((exit) => {
      if (!life.isEnding) this.#ending = this.#died(life, exit)
    })
  }

  /** A machine of an earlier daemon, or one whose resume did not come about. */
  fail(failure: string, traits: MachineTraits = this.#traits): void {
    this.#phase = 'failed'
    this.#isKnown = true
    this.#failure = failure
    this.#traits = traits
  }

  /** Ends captures and the hypervisor by force; the mount stays until `end`. */
  async kill(): Promise<void> {
    const life = this.#life
    if (life === null) return
    life.isEnding = true
    this.#phase = 'stopped'
    await this.checkpoints.halt()
    await life.endMachine()
  }

  /** Ends captures, the hypervisor (by force unless it has ended) and the mount. */
  async end(): Promise<void> {
    const life = this.#life
    if (life !== null) {
      life.isEnding = true
      await this.checkpoints.halt()
      await life.close()
    }
    this.#life = null
    this.#phase = 'stopped'
  }

  /**
   * The mount holds back the guest's memory for want of space. The guest is paused before it freezes in the middle
   * of a store, and goes on once nothing waits.
   */
  async holdForSpace(): Promise<void> {
    const life = this.#life
    if (life === null || this.#isHeld) return
    this.#isHeld = true
    this.#alarm('the store is full: the guest is paused until there is space for its memory')
    try {
      await holdWhileParked(life, this.#context)
    } catch (error) {
      if (!life.isEnding) this.#alarm(`the guest could not be paused for want of space: ${messageOf(error)}`)
    } finally {
      this.#isHeld = false
    }
  }

  summary(): MachineSummary {
    const { checkpoints } = this
    const life = this.#life
    const mountFailure = life?.isMounted === true ? life.mount.failure : null
    const alarms = [...this.#alarms, ...mountFailure === null ? [] : [`the mount has failed: ${mountFailure}`]]
    return {
      image: this.image,
      state: this.#state(),
      pid: life !== null && this.#phase === 'running' ? life.machine.process.pid : null,
      mount: life?.isMounted === true ? life.root : '',
      console: life !== null && this.#phase === 'running' ? life.machine.consoleSocketPath : '',
      ...this.#traits,
      everyMs: checkpoints.everyMs,
      stretchedMs: checkpoints.stretchedMs,
      checkpoints: { ...checkpoints.counts },
      newest: checkpoints.newest,
      lastError: this.#failure ?? checkpoints.lastError,
      alarms: checkpoints.alarm === null ? alarms : [...alarms, checkpoints.alarm],
      notices: [...life?.notices ?? []],
    }
  }

  /** Errors: BUSY, MACHINE_GONE, NO_SPACE, NOT_FOUND. */
  #running(): Incarnation {
    if (this.#doing !== null) {
      const doing = `the machine of ${this.image} is being ${this.#doing}`
      throw new HoldfastError('BUSY', `${doing}: no checkpoint is taken now`)
    }
    if (this.#phase === 'failed') {
      throw new HoldfastError('MACHINE_GONE', `the machine of ${this.image} does not run: ${this.#failure}`)
    }
    if (this.#isHeld) {
      const full = `the store is full and the guest of ${this.image} paused`
      throw new HoldfastError('NO_SPACE', `${full}: free some space first`)
    }
    if (this.#life === null || this.#phase === 'stopped') {
      const remedy = `'holdfast vm start ${this.image}'`
      throw new HoldfastError('NOT_FOUND', `image ${this.image} has no running machine: ${remedy}`)
    }
    return this.#life
  }

  #state(): MachinePhase {
    if (this.#phase !== 'running' || this.#life === null) return this.#phase
    const states: Record<string, MachinePhase> = {
      running: 'running', pausedByUs: 'paused', pausedByOthers: 'paused', pausedByError: 'paused', exited: 'failed',
    }
    return states[this.#life.machine.state()] ?? 'unknown'
  }

  async #listen(life: Incarnation): Promise<void> {
    for await (const event of life.machine.events) this.#note(event)
  }

  #note(event: MachineEvent): void {
    if (event.kind === 'shutdown') this.#isShutDown = event.byGuest
    if (event.kind === 'panic') this.#alarm('the guest panicked: its console says why')
    if (event.kind === 'ioError') this.#alarm(`a request of disk ${event.device} failed: ${event.reason}`)
    if (event.kind === 'nicDisconnected') this.#alarm(`the network of ${event.port} went away`)
  }

  #alarm(message: string): void {
    if (this.#alarms.length < sentencesMax) this.#alarms.push(message)
    this.#context.onEvent({ type: 'machine', image: this.image, message })
  }

  /**
   * A guest that shut itself down is a machine stopped; any other end is a failure. Its mount goes at once, so that
   * a resume need not wait for that; what the hypervisor said stays in the run directory.
   */
  async #died(life: Incarnation, exit: ProcessExit): Promise<void> {
    const { onEvent, env } = this.#context
    if (this.#isShutDown && exit.exitCode === 0) {
      this.checkpoints.schedule(null)
      await this.end().catch((error: unknown) => this.fail(`its mount could not be taken down: ${messageOf(error)}`))
      return onEvent({ type: 'machine', image: this.image, message: 'the guest shut down' })
    }
    const how = exit.signal ?? (exit.exitCode === null ? 'an unseen cause' : `exit code ${exit.exitCode}`)
    const words = lastWords(env, life.runDirectory)
    const remedy = `'holdfast vm resume ${this.image}' starts it again from its newest checkpoint`
    this.fail(`the hypervisor has ended by ${how}${words === '' ? '' : ` (${words})`}: ${remedy}`)
    onEvent({ type: 'machine', image: this.image, message: this.#failure! })
    await this.#detach(life)
  }

  /** Not as an end: captures that are under way, and those that were asked for, fail by themselves. */
  async #detach(life: Incarnation): Promise<void> {
    await life.flush.close()
    await commitHead(life)
    await life.detach().catch((error: unknown) => this.#alarm(`its mount could not be taken down: ${messageOf(error)}`))
  }
}

/** Commits what the dead guest's pages brought. */
async function commitHead(life: Incarnation): Promise<void> {
  if (life.mount.failure !== null) return
  const cut = await life.mount.barrier().catch(() => null)
  cut?.abandon()
}

function traitsOf({ plan }: Machine): MachineTraits {
  const { accelerator, machineType, spec } = plan
  return { accelerator, machineType, memoryBytes: spec.memoryBytes }
}
