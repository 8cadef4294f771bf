/**
 * The owner's end of the fetching thread. The thread starts with this object, and serves every client that was given a
 * port: also while the owner's own thread is blocked, as it needs nothing of it.
 */
import { MessageChannel } from 'node:worker_threads'
import type { MessagePort, Worker } from 'node:worker_threads'
import { messageOf } from '../../errors.ts'
import { fetchThreads } from './fetch-threads.ts'
import type { FetcherPort, FetcherStart, FromFetcher, RecordParcel, ToFetcher } from './messages.ts'

export interface FetcherEvents {
  /** Records that somebody was given and does not keep: worth putting into the store. */
  gathered(parcel: RecordParcel): void
  /** A sentence for the log. */
  event(message: string): void
}

export class Fetcher implements AsyncDisposable {
  readonly #worker: Worker
  readonly #port: MessagePort
  readonly #exited: Promise<void>
  #isEnded = false

  constructor(start: Omit<FetcherStart, 'port'>, events: FetcherEvents) {
    const { port1, port2 } = new MessageChannel()
    this.#worker = fetchThreads.take()
    this.#worker.postMessage({ ...start, port: port2 } satisfies FetcherStart, [port2])
    this.#worker.unref()
    this.#port = port1
    port1.on('message', (message: FromFetcher) => {
      if (message.type === 'gathered') events.gathered(message.parcel)
      if (message.type === 'event') events.event(message.message)
    })
    port1.unref()
    this.#worker.on('error', (error) => events.event(`nothing is read from replicas any more: ${messageOf(error)}`))
    this.#exited = new Promise((resolve) => this.#worker.once('exit', () => {
      this.#isEnded = true
      resolve()
    }))
  }

  /** For one client, in whichever thread. `keeps`: it puts what it is given into the store itself. */
  connect(keeps: boolean): FetcherPort {
    const { port1, port2 } = new MessageChannel()
    const signal = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)
    const message: ToFetcher = { type: 'connect', port: port2, signal, keeps }
    this.#port.postMessage(message, [port2])
    return { port: port1, signal }
  }

  /** From now on these are read from. */
  use(urls: readonly string[]): void {
    this.#port.postMessage({ type: 'use', urls } satisfies ToFetcher)
  }

  /** Ends what is under way. Idempotent. */
  async close(): Promise<void> {
    this.#worker.ref()
    if (!this.#isEnded) this.#port.postMessage({ type: 'close' } satisfies ToFetcher)
    await this.#exited
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
