/**
 * The owning thread's end of a serving worker: sends messages, and wakes the worker through the kernel's queue
 * so that it takes them between two requests. Nothing here waits for the kernel or holds the mount in use.
 */
import { MessageChannel } from 'node:worker_threads'
import type { MessagePort, Worker } from 'node:worker_threads'
import { Waker } from '../../fuse/index.ts'
import { HoldfastError, wrapIo } from '../errors.ts'
import type { FromServer, ToServer, WorkerStart } from './messages.ts'
import { Questions } from './questions.ts'
import type { Answer, Question } from './questions.ts'
import { takeServingThread } from './serving-threads.ts'

export class WorkerLink {
  readonly #worker: Worker
  readonly #port: MessagePort
  readonly #start: Omit<WorkerStart, 'port'>
  readonly #onMessage: (message: FromServer) => void
  readonly #questions = new Questions((message) => this.send(message))
  #waker: Waker | null = null
  #isEnded = false
  readonly ready: Promise<void>
  readonly exited: Promise<void>

  constructor(start: Omit<WorkerStart, 'port'>, onMessage: (message: FromServer) => void) {
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

  /** From now on the worker takes its messages; `directory` is where it is mounted. Errors: IO. */
  async attach(directory: string): Promise<void> {
    try {
      this.#waker = await Waker.open(this.#start.descriptor, directory, this.#start.controlName)
    } catch (error) {
      throw wrapIo(error, `looking up the control file of ${directory}`)
    }
    this.#waker.wake()
  }

  send(message: ToServer): void {
    if (this.#isEnded) return
    this.#port.postMessage(message)
    this.#waker?.wake()
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
