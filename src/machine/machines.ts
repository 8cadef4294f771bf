/**
 * The machines of one store: the verbs on them. One object an open store; calls for different images run side by
 * side, for one image one verb at a time (BUSY otherwise), save for checkpoints, which queue.
 *
 * A machine's mount, process and files are in a run directory below `directory` (see journal.ts). `adopt` goes
 * on with the machines of a process that died where their mounts outlived it, and ends the others.
 */
import { HoldfastError } from '../errors.ts'
import type { CallOptions } from '../image/types.ts'
import type { ImageMount, MountEvent } from '../mount/image-mount.ts'
import { servingThreads } from '../mount/serving-threads.ts'
import { adoptAll } from './adopt.ts'
import { type ArrivingEpoch, ArrivingHead, arrivingEpoch, arrivingReads } from './arrival.ts'
import { recordWorkingSet, renew, renewalNotices } from './after-resume.ts'
import type { MachineContext } from './context.ts'
import { ExpectedResume } from './expected.ts'
import { ImageMachine } from './image-machine.ts'
import type { Incarnation } from './incarnation.ts'
import { writeJournal } from './journal.ts'
import { machineContext, type MachinesOptions } from './machines-options.ts'
import { powerDown } from './power-down.ts'
import { findEpoch, firstReads, resumeLife } from './resume.ts'
import type { FirstReads, ResumableEpoch, ResumedLife } from './resume.ts'
import { ForkHead, RolledBackHead } from './resumed-head.ts'
import type { ResumedHead } from './resumed-head.ts'
import { startLife } from './start.ts'
import { Stopwatch } from './stopwatch.ts'
import type { CheckpointResult, MachineSummary, ResumeResult, StartRequest } from './types.ts'

export class Machines implements AsyncDisposable {
  readonly #context: MachineContext
  readonly #machines = new Map<string, ImageMachine>()
  #closed = false
  readonly #expected: ExpectedResume

  constructor(options: MachinesOptions) {
    this.#context = machineContext(options)
    this.#expected = new ExpectedResume(this.#context, () => this.#letGo())
  }

  /** Errors: BUSY, NOT_FOUND, USAGE, UNSUPPORTED, NO_SPACE, MACHINE, MACHINE_TIMEOUT, ABORTED. */
  async start(request: StartRequest, call: CallOptions = {}): Promise<MachineSummary> {
    const machine = this.#machine(request.image)
    return this.#exclusively(machine, 'started', async () => {
      if (machine.life !== null) {
        throw new HoldfastError('BUSY', `image ${request.image} has a machine: stop it, or resume it, instead`)
      }
      machine.begin(await startLife(this.#context, request, call))
      this.#warm()
      return machine.summary()
    })
  }

  /** Returns when the epoch is durable. Errors: as Checkpoints.take. */
  async checkpoint(args: { image: string; note?: string }, call: CallOptions = {}): Promise<CheckpointResult> {
    return this.#known(args.image).checkpoints.take(args.note, call)
  }

  /** Sets a period, or with null ends it. A resume in place keeps it, `stop` ends it. Errors: NOT_FOUND, USAGE. */
  async scheduleCheckpoints(args: { image: string; everyMs: number | null }): Promise<MachineSummary> {
    const machine = this.#known(args.image)
    if (machine.life === null && args.everyMs !== null) throw noMachine(args.image)
    machine.checkpoints.schedule(args.everyMs)
    this.#journal(machine)
    return machine.summary()
  }

  /** For whoever brings an epoch here that is likely to be resumed; null when closed. */
  get expected(): ExpectedResume | null {
    return this.#closed ? null : this.#expected
  }

  /**
   * Resumes an epoch: as its own image (whose machine is killed first, and whose head is sealed unless `discard`),
   * or as a new fork beside it. Errors: NOT_FOUND, EXISTS, MISMATCH, UNSUPPORTED, BUSY, MACHINE, MACHINE_TIMEOUT,
   * MACHINE_GONE, ABORTED.
   */
  async resume(
    args: { target: string; as?: string; discard?: boolean }, call: CallOptions = {},
  ): Promise<ResumeResult> {
    const stopwatch = new Stopwatch(this.#context.env)
    this.#context.pusher.start()
    const epoch = await stopwatch.part('find', findEpoch(this.#context, args.target, args.as))
    const { summary } = await epoch.stored()
    const machine = this.#machine(args.as ?? summary.image)
    return this.#exclusively(machine, 'resumed', async () => {
      const head = args.as !== undefined ? new ForkHead(this.#context, epoch.address, args.as)
        : new RolledBackHead(this.#context, epoch.address, machine, args.discard ?? false)
      const first = this.#expected.with(firstReads(this.#context, epoch), epoch.manifest)
      return this.#resumed(machine, epoch, head, first, stopwatch, call)
    })
  }

  /** Resumes an epoch while it comes. Errors: as `resume`, those of its coming, and `Superseded`. */
  async resumeArriving(arriving: ArrivingEpoch, call: CallOptions = {}): Promise<ResumeResult> {
    const stopwatch = new Stopwatch(this.#context.env)
    this.#context.pusher.start()
    const machine = this.#machine(arriving.image)
    return this.#exclusively(machine, 'resumed', async () => {
      const epoch = await stopwatch.part('find', arrivingEpoch(this.#context, arriving))
      const first = arrivingReads(this.#context, epoch, arriving)
      return this.#resumed(machine, epoch, new ArrivingHead(arriving), first, stopwatch, call)
    })
  }

  async #resumed(
    machine: ImageMachine, epoch: ResumableEpoch, head: ResumedHead, first: FirstReads, stopwatch: Stopwatch,
    call: CallOptions,
  ): Promise<ResumeResult> {
    const { life, ranForMs } = await this.#live(machine, epoch, head, first, stopwatch, call)
    const ran = { resumeMs: stopwatch.totalMs - ranForMs, ranMs: this.#context.env.wallMs() - ranForMs }
    const { summary } = await epoch.stored()
    machine.begin(life)
    this.#journal(machine)
    if (!head.isFork) machine.checkpoints.newest ??= summary
    life.notices.push(...await renewalNotices(life, head.isFork))
    // What starts processes and threads comes after the answer, which would wait for it.
    setImmediate(() => this.#follow(machine, life, epoch))
    return { machine: machine.summary(), epoch: summary, sealed: head.sealed, ...ran, parts: stopwatch.parts }
  }

  /** What need not be waited for once the guest runs. */
  #follow(machine: ImageMachine, life: Incarnation, epoch: ResumableEpoch): void {
    if (life.isEnding) return
    life.flush.start()
    this.#warm()
    void renew(this.#context, life)
    void recordWorkingSet(this.#context, life, epoch, (set) => {
      machine.workingSet = set
    })
  }

  /**
   * Asks the guest to power down; with `force` does not, but ends the hypervisor. The head stays as it is then,
   * unsealed; the mount goes. Errors: NOT_FOUND, BUSY, those of powerDown: then the guest goes on.
   */
  async stop(args: { image: string; force?: boolean }, call: CallOptions = {}): Promise<MachineSummary> {
    const machine = this.#known(args.image)
    return this.#exclusively(machine, 'stopped', async () => {
      const { life } = machine
      const { powerdownTimeoutMs } = this.#context.limits
      if (life !== null && args.force !== true) await powerDown(machine, life, powerdownTimeoutMs, call)
      machine.checkpoints.schedule(null)
      await machine.end()
      return machine.summary()
    })
  }

  summaries(image?: string): MachineSummary[] {
    return [...this.#machines.values()]
      .filter((machine) => machine.isKnown && (image === undefined || machine.image === image))
      .map((machine) => machine.summary())
  }

  /** What a machine's mount says, passed on by whoever opens mounts. */
  noteMount(event: MountEvent): void {
    const machine = this.#machines.get(event.image)
    if (event.type === 'parked' && event.memory) void machine?.holdForSpace()
  }

  /** The mount of an image's machine, or null. */
  mountOf(image: string): ImageMount | null {
    const life = this.#machines.get(image)?.life ?? null
    return life?.isMounted === true ? life.mount : null
  }

  /**
   * Looks after the machines of a daemon or a serving process that died: those whose mount goes on are taken
   * over, the others are ended.
   */
  async adopt(): Promise<void> {
    const { lives, orphans } = await adoptAll(this.#context)
    if (lives.length + orphans.length > 0) this.#warm()
    for (const { life, everyMs } of lives) {
      const machine = this.#machine(life.image)
      machine.begin(life)
      machine.checkpoints.schedule(everyMs)
      life.flush.start()
    }
    for (const { image, traits } of orphans) {
      const remedy = `'holdfast vm resume ${image}' starts it again from its newest checkpoint`
      this.#machine(image).fail(`the daemon died, and the machine with it: ${remedy}`, traits)
    }
  }

  /** Ends all machines with `force`; without, BUSY while one runs. Idempotent. */
  async close({ force = false }: { force?: boolean } = {}): Promise<void> {
    this.#closed = true
    for (const machine of this.#machines.values()) await machine.settled()
    const running = [...this.#machines.values()].filter(({ life }) => life !== null).map(({ image }) => image)
    if (running.length > 0 && !force) {
      this.#closed = false
      throw new HoldfastError('BUSY', `machines run: stop ${running.join(', ')} first`, { info: { images: running } })
    }
    for (const machine of this.#machines.values()) {
      machine.checkpoints.schedule(null)
      await machine.end()
    }
    await this.#context.pusher.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close({ force: true })
  }

  /** What was begun is undone when it fails: a fork goes, a machine in place counts as failed. */
  async #live(
    machine: ImageMachine, epoch: ResumableEpoch, head: ResumedHead, first: FirstReads, stopwatch: Stopwatch,
    call: CallOptions,
  ): Promise<ResumedLife> {
    try {
      const as = { image: machine.image, touchedBefore: machine.workingSet, head, first }
      return await resumeLife(this.#context, epoch, as, stopwatch, call)
    } catch (error) {
      await head.undo(error)
      throw error
    }
  }

  /** Has ready what the next resume would wait for. */
  #warm(): void {
    this.#context.pusher.start()
    servingThreads.warm()
  }

  /** Lets go of the pushing thread's hold on the store with the last machine. */
  async #exclusively<T>(machine: ImageMachine, doing: string, step: () => Promise<T>): Promise<T> {
    if (this.#closed) throw new HoldfastError('FAILED_STATE', 'the machines of this store were closed: open it again')
    try {
      return await machine.exclusively(doing, step)
    } finally {
      if (machine.isIdle && !machine.isKnown) this.#machines.delete(machine.image)
      await this.#letGo()
    }
  }

  async #letGo(): Promise<void> {
    if ([...this.#machines.values()].every(({ isIdle }) => isIdle)) await this.#context.pusher.close()
  }

  /** Keeps the schedule where a later process finds it. */
  #journal({ image, life, checkpoints }: ImageMachine): void {
    if (life === null || !life.hasMachine) return
    const journal = { image, handle: life.machine.handle(), everyMs: checkpoints.everyMs }
    writeJournal(this.#context.env, life.runDirectory, journal)
  }

  #machine(image: string): ImageMachine {
    let machine = this.#machines.get(image)
    if (machine === undefined) this.#machines.set(image, (machine = new ImageMachine(this.#context, image)))
    return machine
  }

  #known(image: string): ImageMachine {
    const machine = this.#machines.get(image)
    if (machine === undefined) throw noMachine(image)
    return machine
  }
}

function noMachine(image: string): HoldfastError {
  return new HoldfastError('NOT_FOUND', `image ${image} has no machine: 'holdfast vm start ${image}'`)
}
