/**
 * The owning thread's end of a serving worker: sends messages and pokes the worker through the kernel, with
 * a read of the mount's control file, which the worker answers after it has taken its messages.
 */
import { MessageChannel } from 'node:worker_threads'
import type { MessagePort, Worker } from 'node:worker_threads'
import { ControlFile } from '../../fuse/index.ts'
import { HoldfastError, wrapIo } from '../errors.ts'
import type { FromServer, ToServer, WorkerStart } from './messages.ts'
import { Questions } from './questions.ts'
import type { Answer, Question } from './questions.ts'
import { takeServingThread } from './serving-threads.ts'

export class WorkerLink {
  readonly #worker: Worker
  readonly #port: MessagePort
  readonly #controlName: string
  readonly #onMessage: (message: FromServer) => void
  readonly #questions = new Questions((message) => this.send(message))
  #control: ControlFile | null = null
  readonly ready: Promise<void>
  readonly exited: Promise<void>

  constructor(start: Omit<WorkerStart, 'port'>, onMessage: (message: FromServer) => void) {
    const { port1, port2 } = new MessageChannel()
    this.#port = port1
    this.#controlName = start.controlName
    this.#onMessage = onMessage
    this.#worker = takeServingThread()
    this.#worker.postMessage({ ...start, port: port2 } satisfies WorkerStart, [port2])
    let isReady: () => void = () => undefined
    this.ready = new Promise((resolve, reject) => {
      isReady = resolve
      this.#worker.once('error', (error) => {
        reject(this.#end(error))
      })
    })
    this.exited = new Promise((resolve) => this.#worker.once('exit', () => {
      this.#end(new Error('the serving worker ended'))
      resolve()
    }))
    this.#port.on('message', (message: FromServer) => {
      if (message.type === 'ready') isReady()
      this.#receive(message)
    })
  }

  /** Opens the control file of the mounted directory. Errors: IO. */
  async attach(directory: string): Promise<void> {
    try {
      this.#control = await ControlFile.open(directory, this.#controlName)
    } catch (error) {
      throw wrapIo(error, `opening the control file of ${directory}`)
    }
    this.#wake()
  }

  /** Lets go of the mount, which would be busy otherwise; messages wait until it is attached again. */
  async detach(): Promise<void> {
    const control = this.#control
    this.#control = null
    await control?.close()
  }

  send(message: ToServer): void {
    this.#port.postMessage(message)
    this.#wake()
  }

  /** Errors: FAILED_STATE when the worker has ended. */
  ask<T extends FromServer['type']>(question: Question): Promise<Answer<T>> {
    return this.#questions.ask<T>(question)
  }

  /** The answer says nothing; a mount that is gone is noticed by its worker. */
  #wake(): void {
    this.#control?.poke().catch(() => undefined)
  }

  #receive(message: FromServer): void {
    this.#questions.take(message)
    this.#onMessage(message)
  }

  #end(cause: unknown): HoldfastError {
    const error = new HoldfastError('FAILED_STATE', 'the mount is no longer served: mount the image again', { cause })
    this.#questions.end(error)
    this.#port.close()
    return error
  }
}
