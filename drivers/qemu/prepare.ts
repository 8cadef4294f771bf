/** A hypervisor that waits for device state: started, memory mapped, stopped until it is told to go on. */
import { Readable } from 'node:stream'
import type { Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { within } from '../deadline.ts'
import type { CallLimit } from '../deadline.ts'
import type { Binding, Handle, Machine, Plan, PrepareLimit, Prepared } from '../driver.ts'
import { DriverError, isDriverError, messageOf } from '../errors.ts'
import type { Host, ProcessIdentity } from '../host.ts'
import { limits } from '../limits.ts'
import { channels } from './commandline.ts'
import { Control } from './control.ts'
import { objectOf, textOf } from './json.ts'
import { lastWords, launch } from './launch.ts'
import type { Launched } from './launch.ts'
import { QemuMachine } from './machine.ts'
import { runPath } from './rundir.ts'
import { ignoreShared, isMigrationEnd, prepareSaves } from './save.ts'

/** How long the end of a process that failed to load is waited for, to learn which way it went. */
const postmortemMs = 500

/** See `Driver.prepare`. */
export async function prepare(host: Host, plan: Plan, binding: Binding, limit?: PrepareLimit): Promise<Prepared> {
  const launched = await launch(host, plan, binding, 'prepare', limit)
  const prepared = new QemuPrepared(host, plan, binding, launched)
  try {
    await prepared.arm()
    return prepared
  } catch (error) {
    await prepared.discard()
    throw error
  }
}

class QemuPrepared implements Prepared {
  readonly process: ProcessIdentity
  readonly #host: Host
  readonly #plan: Plan
  readonly #binding: Binding
  readonly #launched: Launched
  readonly #control: Control
  #state: 'waiting' | 'loading' | 'loaded' | 'ended' = 'waiting'
  #armMs = 0

  constructor(host: Host, plan: Plan, binding: Binding, launched: Launched) {
    this.process = launched.process.identity
    this.#host = host
    this.#plan = plan
    this.#binding = binding
    this.#launched = launched
    this.#control = new Control(launched.process, launched.qmp)
  }

  async arm(): Promise<void> {
    const startMs = this.#host.nowMs()
    await Promise.all([prepareSaves(this.#control), ignoreShared(this.#control, true)])
    this.#armMs = this.#host.nowMs() - startMs
  }

  handle(): Handle {
    return { driver: 'qemu', process: this.process, plan: this.#plan, binding: this.#binding }
  }

  async load(state: Readable | Uint8Array, limit: CallLimit = {}): Promise<Machine> {
    if (this.#state !== 'waiting')
      throw new DriverError('WRONG_STATE', `Device state is loaded once, and this machine is ${this.#state}.`)
    this.#state = 'loading'
    const startMs = this.#host.nowMs()
    try {
      await within(
        this.#feed(state),
        limit.timeoutMs ?? limits.loadTimeoutMs,
        'Loading the device state',
        limit.signal,
      )
      const machine = await this.#machine(startMs)
      this.#state = 'loaded'
      return machine
    } catch (error) {
      const reason = await this.#postmortem(error)
      this.#state = 'waiting'
      await this.discard()
      throw reason
    }
  }

  async discard(): Promise<void> {
    if (this.#state !== 'waiting') return
    this.#state = 'ended'
    this.#launched.process.kill('SIGKILL')
    await this.#launched.process.exited
    this.#launched.incoming?.destroy()
    this.#launched.qmp.close()
    this.#launched.sockets.close()
    this.#launched.process.release()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.discard()
  }

  async #feed(state: Readable | Uint8Array): Promise<void> {
    using end = this.#control.event(isMigrationEnd)
    await this.#control.execute('migrate-incoming', { uri: `fd:${channels.incoming}` })
    const source = state instanceof Uint8Array ? Readable.from([state], { objectMode: false }) : state
    const fed = pipeline(source, this.#launched.incoming as Duplex)
    const [event] = await this.#control.alive(Promise.all([end, fed]))
    this.#launched.incoming?.destroy()
    if (event.data['status'] !== 'completed')
      throw new DriverError('LOAD_FAILED', `The load is ${textOf(event.data['status'])}.`)
  }

  async #machine(startMs: number): Promise<QemuMachine> {
    const status = textOf(objectOf(await this.#control.execute('query-status'))['status'])
    if (status !== 'paused')
      throw new DriverError('LOAD_FAILED', `The machine is ${status} after the load, not paused.`)
    await this.#host.write(runPath(this.#binding.runDirectory, 'pauseMark'), '')
    const { sockets, timings, warnings } = this.#launched
    const machine = new QemuMachine({
      host: this.#host,
      control: this.#control,
      sockets,
      plan: this.#plan,
      binding: this.#binding,
      warnings,
      loaded: true,
      state: 'pausedByUs',
      pause: { paused: true, armed: true, spent: false },
      timings: { ...timings, armMs: this.#armMs, loadMs: this.#host.nowMs() - startMs },
    })
    // The state carries the link as it was when it was saved, whatever it is plugged into now.
    for (const port of machine.ports) await port.setLink(port.attachment !== null)
    return machine
  }

  /** A hypervisor that does not like the state says so in its log and ends by itself; a killed one is simply gone. */
  async #postmortem(error: unknown): Promise<unknown> {
    if (isDriverError(error, 'TIMEOUT', 'ABORTED')) return error
    const exit = await within(this.#launched.process.exited, postmortemMs, 'The end of the hypervisor').catch(
      () => null,
    )
    if (exit !== null && exit.exitCode === null)
      return new DriverError('GONE', `The hypervisor has ended by ${exit.signal ?? 'an unseen cause'}.`, {
        cause: error,
      })
    return new DriverError(
      'LOAD_FAILED',
      `The device state was not loaded: ${messageOf(error)} ${await lastWords(this.#host, this.#binding.runDirectory)}`,
      { cause: error },
    )
  }
}
