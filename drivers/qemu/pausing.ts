/**
 * The steps of a checkpoint on one machine: stop, save, go on. All that can be done before the guest stops
 * is done before, and all that can wait until it runs again waits.
 */
import { Readable } from 'node:stream'
import type { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { handled, within } from '../deadline.ts'
import type { CallLimit } from '../deadline.ts'
import type { Quiet, ResumeInfo, StateInfo } from '../driver.ts'
import { DriverError, messageOf } from '../errors.ts'
import type { Host, SocketDirectory, SocketListener } from '../host.ts'
import { limits } from '../limits.ts'
import type { Control } from './control.ts'
import { objectOf, textOf } from './json.ts'
import { runFiles } from './rundir.ts'
import type { RunStateTracker } from './runstate.ts'
import { ignoreShared, isMigrationEnd, takeState } from './save.ts'

/** How a machine comes to this room: running, or paused with its state loaded or saved before. */
export interface InitialPause {
  readonly paused: boolean
  readonly armed: boolean
  readonly spent: boolean
}

class Pause implements Quiet {
  readonly ours: boolean
  readonly timings: Quiet['timings']
  /** The state of this pause, kept since QEMU gives it only once. */
  state: Buffer | null = null
  spent: boolean
  over = false
  intact = true

  constructor(ours: boolean, spent: boolean, timings: Quiet['timings']) {
    this.ours = ours
    this.spent = spent
    this.timings = timings
  }

  /** The guest ran. */
  break(): void {
    this.intact = false
    this.state = null
  }

  end(): void {
    this.over = true
    this.break()
  }
}

export class Pausing {
  readonly #host: Host
  readonly #control: Control
  readonly #tracker: RunStateTracker
  readonly #sockets: SocketDirectory
  readonly #markPath: string
  #current: Pause | null = null
  #listener: SocketListener | null = null
  #armed: boolean
  #saving = false
  #undoing: Promise<void> = Promise.resolve()

  constructor(
    host: Host,
    control: Control,
    tracker: RunStateTracker,
    sockets: SocketDirectory,
    markPath: string,
    initial: InitialPause,
  ) {
    this.#host = host
    this.#control = control
    this.#tracker = tracker
    this.#sockets = sockets
    this.#markPath = markPath
    this.#armed = initial.armed
    if (initial.paused)
      this.#current = new Pause(tracker.state === 'pausedByUs', initial.spent, { armMs: 0, stopMs: 0 })
    control.qmp.events.listen((event) => {
      // Whoever let the guest run: what belongs to the pause is worthless from here on.
      if (event.name === 'RESUME') this.#current?.break()
    })
  }

  async quiesce(limit: CallLimit = {}): Promise<Quiet> {
    if (this.#current?.intact) return this.#current
    const startMs = this.#host.nowMs()
    const before = this.#tracker.state
    if (before === 'exited') throw new DriverError('GONE', 'The hypervisor has ended.')
    if (before !== 'running' && before !== 'pausedByOthers')
      throw new DriverError('WRONG_STATE', `A machine that is ${before} cannot be paused.`)
    const timeoutMs = limit.timeoutMs ?? limits.quiesceTimeoutMs
    await this.#makeReady(timeoutMs, limit.signal)
    const armedMs = this.#host.nowMs()
    if (before === 'running') await this.#stop(Math.max(0, timeoutMs - (armedMs - startMs)), limit.signal)
    const timings = { armMs: armedMs - startMs, stopMs: this.#host.nowMs() - armedMs }
    this.#current = new Pause(before === 'running', false, timings)
    return this.#current
  }

  async save(quiet: Quiet, sink: Writable, limit: CallLimit & { bytesMax?: number } = {}): Promise<StateInfo> {
    const pause = this.#own(quiet)
    if (!pause.intact)
      throw new DriverError('WRONG_STATE', 'The pause is over or the guest ran in between: quiesce again.')
    const repeated = pause.state !== null
    const startMs = this.#host.nowMs()
    const state = pause.state ?? (await this.#take(pause, limit))
    const savedMs = this.#host.nowMs()
    await pipeline(Readable.from([state], { objectMode: false }), sink, { signal: limit.signal })
    return {
      bytes: state.length,
      repeated,
      timings: { saveMs: savedMs - startMs, writeMs: this.#host.nowMs() - savedMs },
    }
  }

  async resume(quiet: Quiet, limit: CallLimit = {}): Promise<ResumeInfo> {
    const pause = this.#own(quiet)
    if (this.#saving) throw new DriverError('WRONG_STATE', 'The state is being saved: abandon the pause instead.')
    // A pause that others broke may have been followed by a new one, which is not to be disturbed.
    if (pause.over || pause !== this.#current) return { resumed: false, timings: { contMs: 0, settleMs: 0 } }
    const startMs = this.#host.nowMs()
    const ours = pause.ours && pause.intact
    // When it fails the pause is as it was, and can be resumed again.
    const runningMs = ours ? await this.#continue(limit) : startMs
    // What others paused stays paused, and what was saved of it stays good.
    if (pause.ours || !pause.intact) pause.end()
    await this.#settle()
    return { resumed: ours, timings: { contMs: runningMs - startMs, settleMs: this.#host.nowMs() - runningMs } }
  }

  async abandon(quiet: Quiet): Promise<void> {
    if (this.#own(quiet).over) return
    if (this.#saving) await this.#cancel()
    await this.resume(quiet)
  }

  close(): void {
    this.#listener?.close()
    this.#listener = null
  }

  #own(quiet: Quiet): Pause {
    if (quiet instanceof Pause) return quiet
    throw new DriverError('INVALID', 'This pause is not one of a QEMU machine.')
  }

  /** Waits for the undoing of a pause that failed: beside it, a new one would be disarmed by the old. */
  async #undone(): Promise<void> {
    await Promise.allSettled([this.#undoing])
  }

  async #arm(): Promise<void> {
    this.#listener ??= await this.#sockets.listen(runFiles.saveSocket)
    if (this.#armed) return
    // Said before it is done: when the answer does not come in time it may be done all the same, and is to be undone.
    this.#armed = true
    await ignoreShared(this.#control, true)
  }

  /** What can be done while the guest still runs. */
  async #makeReady(timeoutMs: number, signal: AbortSignal | undefined): Promise<void> {
    try {
      await within(
        this.#undone().then(() => this.#arm()),
        timeoutMs,
        'Preparing the pause',
        signal,
      )
      if (this.#tracker.state === 'running') await this.#host.write(this.#markPath, '')
    } catch (error) {
      this.#undoing = handled(this.#settle())
      throw error
    }
  }

  async #stop(timeoutMs: number, signal: AbortSignal | undefined): Promise<void> {
    this.#tracker.expectStop()
    try {
      // Only the return counts: the STOP event is sent before disk requests are drained.
      await this.#control.execute('stop', undefined, { timeoutMs, signal })
      this.#tracker.stopReturned(true)
    } catch (error) {
      this.#tracker.stopReturned(false)
      // The command may still be carried out; QEMU takes commands in order, so this one undoes it whenever that is.
      this.#undoing = handled(this.#control.execute('cont').then(() => this.#settle()))
      throw error
    }
  }

  async #take(pause: Pause, limit: CallLimit & { bytesMax?: number }): Promise<Buffer> {
    if (pause.spent)
      throw new DriverError('STATE_SPENT', 'QEMU gives the state of a pause only once: resume and quiesce again.')
    await this.#arm()
    this.#saving = true
    pause.spent = true
    try {
      pause.state = await takeState(this.#control, this.#listener!, {
        bytesMax: limit.bytesMax ?? limits.stateBytesMax,
        timeoutMs: limit.timeoutMs ?? limits.saveTimeoutMs,
        signal: limit.signal,
      })
      if (!pause.intact || pause.state === null)
        throw new DriverError('WRONG_STATE', 'The guest ran while its state was saved.')
      this.#saving = false
      return pause.state
    } catch (error) {
      await this.#fail(pause, error)
      throw error
    }
  }

  /** Goes back to a running guest. A connection of the failed save must not be taken for the next one's. */
  async #fail(pause: Pause, error: unknown): Promise<void> {
    this.close()
    try {
      await this.abandon(pause)
    } catch (second) {
      if (second instanceof DriverError && second.code === 'GONE') throw second
      throw new DriverError(
        'SAVE_FAILED',
        `${messageOf(error)} Nor could the guest be resumed: ${messageOf(second)}`,
        { cause: error },
      )
    }
  }

  async #cancel(): Promise<void> {
    using end = this.#control.event(isMigrationEnd)
    const status = textOf(objectOf(await this.#control.execute('query-migrate'))['status'])
    if (['setup', 'active', 'device', 'cancelling', 'pre-switchover'].includes(status)) {
      await this.#control.execute('migrate_cancel')
      await within(end, limits.cancelTimeoutMs, 'Cancelling the save')
    }
    this.#saving = false
  }

  /**
   * Since when the guest runs. It is said as the processors are let go; the answer to the command may come later, as
   * the guest keeps the main loop from giving it.
   */
  async #continue(limit: CallLimit): Promise<number> {
    const said: number[] = []
    using _listening = this.#control.qmp.events.listen(({ name }) => {
      if (name === 'RESUME') said.push(this.#host.nowMs())
    })
    await this.#control.execute('cont', undefined, limit)
    return said[0] ?? this.#host.nowMs()
  }

  /** What is left to do once the guest runs again. */
  async #settle(): Promise<void> {
    await this.#host.remove(this.#markPath)
    if (!this.#armed) return
    await ignoreShared(this.#control, false)
    this.#armed = false
  }
}
