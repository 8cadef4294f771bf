/**
 * The owning thread's end of a serving worker: sends messages, and wakes the worker through the kernel's queue
 * so that it takes them between two requests. Nothing here waits for the kernel or holds the mount in use.
 */
import { MessageChannel } from 'node:worker_threads'
import type { MessagePort, Worker } from 'node:worker_threads'
import { Waker } from '../../fuse/index.ts'
import { HoldfastError } from '../errors.ts'
import type { KeptConnection } from './keeper.ts'
import type { FromServer, ToServer, WorkerStart } from './messages.ts'
import { Questions } from './questions.ts'
import type { Answer, Question } from './questions.ts'
import { servingThreads } from './serving-threads.ts'

export class WorkerLink {
  readonly #worker: Worker
  readonly #port: MessagePort
  readonly #kept: KeptConnection
  readonly #onMessage: (message: FromServer) => void
  readonly #questions = new Questions((message) => this.send(message))
  readonly #waker: Waker
  /** The kernel has the connection's first exchange behind it, before which a wake would wait for it. */
  #isAttached = false
  #isEnded = false
  readonly ready: Promise<void>
  readonly exited: Promise<void>

  constructor(
    kept: KeptConnection, start: Omit<WorkerStart, 'port' | 'descriptor'>, onMessage: (message: FromServer) => void,
  ) {
    const { port1, port2 } = new MessageChannel()
    this.#port = port1
    this.#kept = kept
    this.#waker = new Waker(kept.descriptor, () => kept.lookUp())
    this.#onMessage = onMessage
    this.#worker = servingThreads.take(start.head.image)
    const { descriptor } = kept
    const transferred = start.source === undefined ? [port2] : [port2, start.source.port]
    this.#worker.postMessage({ ...start, descriptor, port: port2 } satisfies WorkerStart, transferred)
    let isReady: () => void = () => undefined
    let isServing = false
    this.ready = new Promise((resolve, reject) => {
      isReady = resolve
      this.#worker.once('error', (error) => {
        reject(this.#end(error))
        if (isServing) onMessage({ type: 'ended', how: 'crashed' })
      })
    })
    this.exited = new Promise((resolve) => this.#worker.once('exit', () => {
      this.#end(new Error('the serving worker ended'))
      resolve()
    }))
    this.#port.on('message', (message: FromServer) => {
      if (message.type === 'ready') {
        isServing = true
        isReady()
      }
      this.#receive(message)
    })
  }

  /** From now on the worker takes its messages. `isKnown`: the kernel knows the control file. Errors: IO. */
  async attach(isKnown: boolean): Promise<void> {
    if (!isKnown) await this.#kept.lookUp()
    this.#isAttached = true
    this.#waker.wake()
  }

  /** A thread that has not ended after this time is ended. */
  async exitedOr(afterMs: number): Promise<void> {
    const late = setTimeout(() => void this.#worker.terminate(), afterMs)
    await this.exited
    clearTimeout(late)
  }

  send(message: ToServer): void {
    if (this.#isEnded) return
    this.#port.postMessage(message)
    if (this.#isAttached) this.#waker.wake()
  }

  /** Errors: FAILED_STATE when the worker has ended. */
  ask<T extends FromServer['type']>(question: Question): Promise<Answer<T>> {
    return this.#questions.ask<T>(question)
  }

  #receive(message: FromServer): void {
    this.#questions.take(message)
    this.#onMessage(message)
  }

  #end(cause: unknown): HoldfastError {
    const error = new HoldfastError('FAILED_STATE', 'the mount is no longer served: mount the image again', { cause })
    this.#isEnded = true
    this.#questions.end(error)
    this.#port.close()
    return error
  }
}
