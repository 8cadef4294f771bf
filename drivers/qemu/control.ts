/** Commands to a live hypervisor, which fail with GONE as soon as its process has ended. */
import { handled, within } from '../deadline.ts'
import type { CallLimit } from '../deadline.ts'
import { DriverError, isDriverError } from '../errors.ts'
import type { HostProcess, ProcessExit } from '../host.ts'
import { limits } from '../limits.ts'
import type { Json, JsonObject } from './json.ts'
import type { QmpClient, QmpEvent } from './qmp.ts'

export class Control {
  readonly process: HostProcess
  readonly qmp: QmpClient
  readonly #gone: Promise<never>
  #exit: ProcessExit | null = null

  constructor(process: HostProcess, qmp: QmpClient) {
    this.process = process
    this.qmp = qmp
    this.#gone = handled(
      process.exited.then((exit) => {
        this.#exit = exit
        throw goneError(exit)
      }),
    )
  }

  /** @throws DriverError GONE, COMMAND_FAILED, TIMEOUT, ABORTED, DISCONNECTED, CLOSED */
  async execute(command: string, args?: JsonObject, limit?: CallLimit): Promise<Json> {
    if (this.#exit) throw goneError(this.#exit)
    try {
      return await this.alive(this.qmp.execute(command, args, limit))
    } catch (error) {
      throw await this.explain(error)
    }
  }

  /** The result of `work`, or GONE if the process ends first. */
  alive<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.#gone])
  }

  /** The first event that `match` takes, from the call on. @throws DriverError GONE, DISCONNECTED, CLOSED */
  event(match: (event: QmpEvent) => boolean): Promise<QmpEvent> & Disposable {
    let stop: Disposable
    const found = new Promise<QmpEvent>((resolve, reject) => {
      stop = this.qmp.events.listen((event) => {
        if (match(event)) resolve(event)
      })
      void this.qmp.closed.then(async (reason) => reject(await this.explain(reason)))
    })
    return Object.assign(handled(this.alive(found)), { [Symbol.dispose]: () => stop[Symbol.dispose]() })
  }

  /** A closed connection is mostly the first sign of a process's end: then it is told as such. */
  async explain(error: unknown): Promise<unknown> {
    if (!isDriverError(error, 'DISCONNECTED')) return error
    const exit = await within(this.process.exited, limits.exitLagMs, 'The end of the hypervisor').catch(() => null)
    return exit === null ? error : goneError(exit)
  }
}

function goneError(exit: ProcessExit): DriverError {
  const how =
    exit.signal !== null ? `by ${exit.signal}` : exit.exitCode !== null ? `with status ${exit.exitCode}` : 'unseen'
  return new DriverError('GONE', `The hypervisor has ended ${how}.`)
}
