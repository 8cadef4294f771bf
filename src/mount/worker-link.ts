/**
 * The owning thread's end of a serving worker: sends messages and pokes the worker through the kernel, with a
 * notification that lands in the queue which the worker reads. Nobody waits for it: a thread of this process
 * that waited in the kernel for the worker would keep the process from being reaped when it is killed, and so
 * from being replaced.
 */
import { MessageChannel } from 'node:worker_threads'
import type { MessagePort, Worker } from 'node:worker_threads'
import { poke } from '../../fuse/index.ts'
import { HoldfastError } from '../errors.ts'
import type { KeptConnection } from './keeper.ts'
import type { FromWorker, ToWorker, WorkerStart } from './messages.ts'
import { takeServingThread } from './serving-threads.ts'

type Answer<T extends FromWorker['type']> = Extract<FromWorker, { type: T }>
/** Messages that ask for an answer carry an id, which the link gives. */
type Asking = Extract<ToWorker, { id: number }>
type Question = Asking extends infer One ? One extends Asking ? Omit<One, 'id'> : never : never

export class WorkerLink {
  readonly #worker: Worker
  readonly #port: MessagePort
  readonly #connection: KeptConnection
  readonly #onMessage: (message: FromWorker) => void
  readonly #pending = new Map<number, { resolve: (answer: FromWorker) => void; reject: (error: Error) => void }>()
  #isAttached = false
  #lastId = 0
  #ended: HoldfastError | null = null
  readonly ready: Promise<void>
  readonly exited: Promise<void>

  constructor(
    connection: KeptConnection, start: Omit<WorkerStart, 'port' | 'descriptor'>,
    onMessage: (message: FromWorker) => void,
  ) {
    const { port1, port2 } = new MessageChannel()
    this.#port = port1
    this.#connection = connection
    this.#onMessage = onMessage
    this.#worker = takeServingThread()
    this.#worker.postMessage({ ...start, descriptor: connection.descriptor, port: port2 } satisfies WorkerStart, [port2])
    let isReady: () => void = () => undefined
    this.ready = new Promise((resolve, reject) => {
      isReady = resolve
      this.#worker.once('error', (error) => {
        this.#end(error)
        reject(this.#ended)
      })
    })
    this.exited = new Promise((resolve) => this.#worker.once('exit', () => {
      this.#end(new Error('the serving worker ended'))
      resolve()
    }))
    this.#port.on('message', (message: FromWorker) => {
      if (message.type === 'ready') isReady()
      this.#receive(message)
    })
  }

  /** From now on the worker is poked; the kernel has to know the control file. Errors: IO. */
  async attach(): Promise<void> {
    await this.#connection.hold()
    this.#isAttached = true
    this.#wake()
  }

  /** Lets go of the mount, which would be busy otherwise; messages wait until it is attached again. */
  async detach(): Promise<void> {
    this.#isAttached = false
    await this.#connection.letGo()
  }

  send(message: ToWorker): void {
    this.#port.postMessage(message)
    this.#wake()
  }

  /** Errors: FAILED_STATE when the worker has ended. */
  ask<T extends FromWorker['type']>(question: Question): Promise<Answer<T>> {
    if (this.#ended !== null) return Promise.reject(this.#ended)
    this.#lastId += 1
    const id = this.#lastId
    return new Promise<Answer<T>>((resolve, reject) => {
      this.#pending.set(id, { resolve: (answer) => resolve(answer as Answer<T>), reject })
      this.send({ ...question, id } as ToWorker)
    })
  }

  /** A mount that is gone is noticed by its worker. */
  #wake(): void {
    if (this.#isAttached) poke(this.#connection.descriptor)
  }

  #receive(message: FromWorker): void {
    const pending = 'id' in message ? this.#pending.get(message.id) : undefined
    if (pending !== undefined && 'id' in message) {
      this.#pending.delete(message.id)
      pending.resolve(message)
    }
    this.#onMessage(message)
  }

  #end(cause: unknown): void {
    this.#ended ??= new HoldfastError('FAILED_STATE', 'the mount is no longer served: mount the image again', { cause })
    for (const { reject } of this.#pending.values()) reject(this.#ended)
    this.#pending.clear()
    this.#port.close()
  }
}
