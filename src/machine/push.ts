/**
 * The daemon's end of the pushing thread, which is kept from the first machine to the last: a resume does not
 * pay for its start. Pushing is a help: what fails is told as a sentence and read on demand instead.
 */
import { MessageChannel } from 'node:worker_threads'
import type { MessagePort, Worker } from 'node:worker_threads'
import type { Secret } from '../crypto/secret.ts'
import { messageOf } from '../errors.ts'
import type { FetcherPort, RecordParcel } from '../image/remote/messages.ts'
import type { FindRequest, PushAnswer, PushRequest, PushStart, ToPusher } from './push-messages.ts'
import { pushingThreads } from './pushing-threads.ts'

export interface Pushed {
  bytes: number
  /** As `PushAnswer`. */
  held: (string | null)[]
  /** Why it went wrong, or null. */
  failure: string | null
}

interface PushingThread {
  readonly worker: Worker
  readonly port: MessagePort
}

export class PageCachePusher {
  readonly #start: Omit<PushStart, 'port'>
  readonly #connect: () => FetcherPort | undefined
  #hasSource = false
  readonly #pending = new Map<number, (pushed: Pushed) => void>()
  #thread: PushingThread | null = null
  #lastId = 0

  /** `secret` opens an encrypted store; `connect`: to what reads from replicas, where anything does. */
  constructor(
    storeDirectory: string, secret: Secret | undefined, connect: () => FetcherPort | undefined = () => undefined,
  ) {
    this.#start = { directory: storeDirectory, secret }
    this.#connect = connect
  }

  /** Starts the thread ahead of its first use. */
  start(): void {
    this.#running()
  }

  /** `enough` ends it early: what is not pushed by then is read on demand. */
  push(request: Omit<PushRequest, 'type' | 'id' | 'stop'>, enough: Promise<unknown>): Promise<Pushed> {
    const stop = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)
    const raise = (): number => Atomics.store(new Int32Array(stop), 0, 1)
    enough.then(raise, raise)
    return this.#ask((id) => ({ type: 'push', ...request, id, stop }))
  }

  /** By path, where copies of an epoch's files are held in memory, to be read by other processes. */
  async find(request: Omit<FindRequest, 'type' | 'id'>): Promise<ReadonlyMap<string, string>> {
    const { held } = await this.#ask((id) => ({ type: 'find', ...request, id }))
    return new Map(request.paths.flatMap((path, index): [string, string][] => {
      const place = held[index] ?? null
      return place === null ? [] : [[path, place]]
    }))
  }

  /** Records that a push will want, and that are not in the store yet. */
  admit(parcel: RecordParcel): void {
    this.#bound().postMessage({ type: 'admit', parcel } satisfies ToPusher)
  }

  #ask(request: (id: number) => FindRequest | PushRequest): Promise<Pushed> {
    this.#lastId += 1
    const id = this.#lastId
    return new Promise((resolve) => {
      this.#pending.set(id, resolve)
      this.#bound().postMessage(request(id) satisfies ToPusher)
    })
  }

  /** Ends the thread, which lets go of the store's index. Idempotent. */
  async close(): Promise<void> {
    const thread = this.#thread
    if (thread === null) return
    const ended = new Promise<void>((resolve) => thread.worker.once('exit', () => resolve()))
    thread.port.postMessage('close' satisfies ToPusher)
    await ended
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** The thread may be older than the first replica that chunks are read from. */
  #bound(): MessagePort {
    const { port } = this.#running()
    const source = this.#hasSource ? undefined : this.#connect()
    if (source === undefined) return port
    this.#hasSource = true
    port.postMessage({ type: 'source', source } satisfies ToPusher, [source.port])
    return port
  }

  #running(): PushingThread {
    if (this.#thread !== null) return this.#thread
    const { port1: port, port2 } = new MessageChannel()
    const worker = pushingThreads.take()
    const thread = { worker, port }
    this.#thread = thread
    this.#hasSource = false
    port.on('message', (answer: PushAnswer) => this.#receive(answer))
    port.unref()
    worker.on('error', (error) => this.#end(thread, messageOf(error)))
    worker.on('exit', () => this.#end(thread, 'the pushing thread ended'))
    worker.postMessage({ ...this.#start, port: port2 } satisfies PushStart, [port2])
    return thread
  }

  #receive(answer: PushAnswer): void {
    const resolve = this.#pending.get(answer.id)
    this.#pending.delete(answer.id)
    if ('pushedBytes' in answer) resolve?.({ bytes: answer.pushedBytes, held: [], failure: null })
    if ('held' in answer) resolve?.({ bytes: 0, held: answer.held, failure: null })
    if ('error' in answer) resolve?.({ bytes: 0, held: [], failure: answer.error })
  }

  #end(thread: PushingThread, failure: string): void {
    if (this.#thread !== thread) return
    this.#thread = null
    for (const resolve of this.#pending.values()) resolve({ bytes: 0, held: [], failure })
    this.#pending.clear()
  }
}
