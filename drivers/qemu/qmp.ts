/**
 * The QEMU Machine Protocol over any stream: one JSON object a line each way, replies matched by id,
 * events in between. Source: docs/interop/qmp-spec.txt of QEMU 7.2.
 */
import type { Duplex } from 'node:stream'
import { Broadcast } from '../broadcast.ts'
import { within } from '../deadline.ts'
import type { CallLimit } from '../deadline.ts'
import { DriverError, messageOf } from '../errors.ts'
import { limits } from '../limits.ts'
import { isObject, objectOf, parseObject, textOf } from './json.ts'
import type { Json, JsonObject } from './json.ts'
import { LineDecoder } from './lines.ts'

export interface QmpEvent {
  readonly name: string
  readonly data: JsonObject
}

interface Pending {
  resolve(value: Json): void
  reject(error: DriverError): void
}

/** The name of the event that stands for events a slow reader lost. */
export const eventsLost = 'HOLDFAST_EVENTS_LOST'

export class QmpClient {
  readonly events = new Broadcast<QmpEvent>((lost) => ({ name: eventsLost, data: { lost } }))
  /** Resolves with the reason once the connection is over, whoever ended it. */
  readonly closed: Promise<DriverError>
  readonly #stream: Duplex
  readonly #decoder = new LineDecoder(limits.messageBytesMax)
  readonly #pending = new Map<number, Pending>()
  readonly #greeting: Promise<JsonObject>
  #greeted: ((greeting: JsonObject) => void) | null = null
  #end!: (reason: DriverError) => void
  #ended: DriverError | null = null
  #idNext = 1

  private constructor(stream: Duplex) {
    this.#stream = stream
    this.closed = new Promise((resolve) => {
      this.#end = resolve
    })
    this.#greeting = new Promise((resolve) => {
      this.#greeted = resolve
    })
    stream.on('data', (bytes: Buffer) => this.#receive(bytes))
    stream.on('error', (error) =>
      this.#finish(
        new DriverError('DISCONNECTED', `The control connection failed: ${error.message}`, { cause: error }),
      ),
    )
    stream.on('close', () => this.#finish(new DriverError('DISCONNECTED', 'The control connection closed.')))
    stream.on('end', () =>
      this.#finish(new DriverError('DISCONNECTED', 'The hypervisor closed the control connection.')),
    )
  }

  /**
   * Waits for the greeting and leaves the negotiation mode. The client owns the stream from here on, also on failure.
   * @throws DriverError DISCONNECTED, PROTOCOL, TIMEOUT, ABORTED, COMMAND_FAILED
   */
  static async open(stream: Duplex, limit: CallLimit = {}): Promise<QmpClient> {
    const client = new QmpClient(stream)
    try {
      const timeoutMs = limit.timeoutMs ?? limits.commandTimeoutMs
      const lost = client.closed.then((reason) => {
        throw reason
      })
      await within(Promise.race([client.#greeting, lost]), timeoutMs, 'The greeting of the hypervisor', limit.signal)
      await client.execute('qmp_capabilities', undefined, limit)
      return client
    } catch (error) {
      client.close()
      throw error
    }
  }

  /**
   * The result of one command. A reply that comes after the deadline is dropped; the command may still take effect.
   * @throws DriverError COMMAND_FAILED with QEMU's class and description, TIMEOUT, ABORTED, BUSY, DISCONNECTED, CLOSED
   */
  execute(command: string, args?: JsonObject, limit: CallLimit = {}): Promise<Json> {
    if (this.#ended) return Promise.reject(this.#ended)
    if (this.#pending.size >= limits.commandsPendingMax) {
      return Promise.reject(new DriverError('BUSY', `${this.#pending.size} commands wait for an answer.`))
    }
    const id = this.#idNext++
    const reply = new Promise<Json>((resolve, reject) => this.#pending.set(id, { resolve, reject }))
    this.#stream.write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`)
    return within(reply, limit.timeoutMs ?? limits.commandTimeoutMs, command, limit.signal)
      .catch((error: unknown) => {
        throw commandError(command, error)
      })
      .finally(() => this.#pending.delete(id))
  }

  /** Ends the connection; what waits is rejected with CLOSED. Idempotent. */
  close(): void {
    this.#finish(new DriverError('CLOSED', 'The control connection is closed.'))
  }

  #receive(bytes: Buffer): void {
    if (this.#ended) return
    try {
      for (const line of this.#decoder.push(bytes)) {
        const message = parseObject(line)
        if (message === null) throw new DriverError('PROTOCOL', 'The hypervisor sent a line that is no JSON object.')
        this.#take(message)
      }
    } catch (error) {
      this.#finish(
        error instanceof DriverError ? error : new DriverError('PROTOCOL', messageOf(error), { cause: error }),
      )
    }
  }

  #take(message: JsonObject): void {
    if (isObject(message['QMP'])) this.#greeted?.(message['QMP'])
    else if (typeof message['event'] === 'string')
      this.events.publish({ name: message['event'], data: objectOf(message['data']) })
    else this.#answer(message)
  }

  #answer(message: JsonObject): void {
    const id = message['id']
    const pending = typeof id === 'number' ? this.#pending.get(id) : undefined
    if (pending === undefined) return
    const error = message['error']
    if (isObject(error))
      pending.reject(new DriverError('COMMAND_FAILED', `${textOf(error['class'])}: ${textOf(error['desc'])}`))
    else if (message['return'] !== undefined) pending.resolve(message['return'])
    else
      pending.reject(
        new DriverError('PROTOCOL', 'The hypervisor sent an answer that is neither a result nor an error.'),
      )
  }

  #finish(reason: DriverError): void {
    if (this.#ended) return
    this.#ended = reason
    this.#stream.destroy()
    for (const pending of this.#pending.values()) pending.reject(reason)
    this.#pending.clear()
    this.events.close()
    this.#end(reason)
  }
}

function commandError(command: string, error: unknown): unknown {
  if (!(error instanceof DriverError) || error.code !== 'COMMAND_FAILED') return error
  return new DriverError('COMMAND_FAILED', `${command}: ${error.message}`, { cause: error })
}
