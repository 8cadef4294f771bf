/**
 * The daemon's end of the pushing thread, which is kept from the first machine to the last: a resume does not
 * pay for its start. Pushing is a help: what fails is told as a sentence and read on demand instead.
 */
import { Worker } from 'node:worker_threads'
import { entryUrl } from '../env/entry.ts'
import { messageOf } from '../errors.ts'
import type { FindRequest, PushAnswer, PushRequest, PushStart } from './push-messages.ts'

export interface Pushed {
  bytes: number
  /** As `PushAnswer`. */
  held: (string | null)[]
  /** Why it went wrong, or null. */
  failure: string | null
}

export class PageCachePusher {
  readonly #directory: string
  readonly #pending = new Map<number, (pushed: Pushed) => void>()
  #worker: Worker | null = null
  #lastId = 0

  constructor(storeDirectory: string) {
    this.#directory = storeDirectory
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

  #ask(request: (id: number) => FindRequest | PushRequest): Promise<Pushed> {
    this.#lastId += 1
    const id = this.#lastId
    return new Promise((resolve) => {
      this.#pending.set(id, resolve)
      this.#running().postMessage(request(id))
    })
  }

  /** Ends the thread, which lets go of the store's index. Idempotent. */
  async close(): Promise<void> {
    const worker = this.#worker
    if (worker === null) return
    const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()))
    worker.postMessage('close')
    await ended
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #running(): Worker {
    if (this.#worker !== null) return this.#worker
    const worker = new Worker(entryUrl('./push-worker.ts', import.meta.url), {
      workerData: { directory: this.#directory } satisfies PushStart, name: 'pushing pages',
    })
    this.#worker = worker
    worker.on('message', (answer: PushAnswer) => this.#receive(answer))
    worker.on('error', (error) => this.#end(worker, messageOf(error)))
    worker.on('exit', () => this.#end(worker, 'the pushing thread ended'))
    return worker
  }

  #receive(answer: PushAnswer): void {
    const resolve = this.#pending.get(answer.id)
    this.#pending.delete(answer.id)
    if ('pushedBytes' in answer) resolve?.({ bytes: answer.pushedBytes, held: [], failure: null })
    if ('held' in answer) resolve?.({ bytes: 0, held: answer.held, failure: null })
    if ('error' in answer) resolve?.({ bytes: 0, held: [], failure: answer.error })
  }

  #end(worker: Worker, failure: string): void {
    if (this.#worker !== worker) return
    this.#worker = null
    for (const resolve of this.#pending.values()) resolve({ bytes: 0, held: [], failure })
    this.#pending.clear()
  }
}
