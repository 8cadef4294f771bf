/**
 * The owning thread's end of a serving worker: sends messages, and wakes the worker through the kernel's queue
 * so that it takes them between two requests. Nothing here waits for the kernel or holds the mount in use.
 */
import { MessageChannel } from 'node:worker_threads'
import type { MessagePort, Worker } from 'node:worker_threads'
import { Waker } from '../../fuse/index.ts'
import { HoldfastError, wrapIo } from '../errors.ts'
import type { FromWorker, ToWorker, WorkerStart } from './messages.ts'
import { takeServingThread } from './serving-threads.ts'

type Answer<T extends FromWorker['type']> = Extract<FromWorker, { type: T }>
/** Messages that ask for an answer carry an id, which the link gives. */
type Asking = Extract<ToWorker, { id: number }>
type Question = Asking extends infer One ? One extends Asking ? Omit<One, 'id'> : never : never

export class WorkerLink {
  readonly #worker: Worker
  readonly #port: MessagePort
  readonly #start: Omit<WorkerStart, 'port'>
  readonly #onMessage: (message: FromWorker) => void
  readonly #pending = new Map<number, { resolve: (answer: FromWorker) => void; reject: (error: Error) => void }>()
  #waker: Waker | null = null
  #lastId = 0
  #ended: HoldfastError | null = null
  readonly ready: Promise<void>
  readonly exited: Promise<void>

  constructor(start: Omit<WorkerStart, 'port'>, onMessage: (message: FromWorker) => void) {
    const { port1, port2 } = new MessageChannel()
    this.#port = port1
    this.#start = start
    this.#onMessage = onMessage
    this.#worker = takeServingThread()
    this.#worker.postMessage({ ...start, port: port2 } satisfies WorkerStart, [port2])
    let isReady: () => void = () => undefined
    let isServing = false
    this.ready = new Promise((resolve, reject) => {
      isReady = resolve
      this.#worker.once('error', (error) => {
        this.#end(error)
        reject(this.#ended)
        if (isServing) onMessage({ type: 'ended', how: 'crashed' })
      })
    })
    this.exited = new Promise((resolve) => this.#worker.once('exit', () => {
      this.#end(new Error('the serving worker ended'))
      resolve()
    }))
    this.#port.on('message', (message: FromWorker) => {
      if (message.type === 'ready') {
        isServing = true
        isReady()
      }
      this.#receive(message)
    })
  }

  /** From now on the worker takes its messages; `directory` is where it is mounted. Errors: IO. */
  async attach(directory: string): Promise<void> {
    try {
      this.#waker = await Waker.open(this.#start.descriptor, directory, this.#start.controlName)
    } catch (error) {
      throw wrapIo(error, `looking up the control file of ${directory}`)
    }
    this.#waker.wake()
  }

  send(message: ToWorker): void {
    if (this.#ended !== null) return
    this.#port.postMessage(message)
    this.#waker?.wake()
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
