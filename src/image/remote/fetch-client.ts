/** One client of the fetching thread: a source of records for a thread that waits, and for one that does not. */
import { Buffer } from 'node:buffer'
import { receiveMessageOnPort } from 'node:worker_threads'
import { HoldfastError } from '../../errors.ts'
import type { RecordSource } from '../../store/record-source.ts'
import { fetchTimeoutMs } from './limits.ts'
import { errorOf, recordsOf } from './messages.ts'
import type { FetchAnswer, FetcherPort, FetchRequest, RecordParcel } from './messages.ts'

/** For a thread that may block: see `RecordSource`. */
export class WaitingFetchClient implements RecordSource {
  readonly #port: FetcherPort
  readonly #signal: Int32Array
  #lastId = 0

  constructor(port: FetcherPort) {
    this.#port = port
    this.#signal = new Int32Array(port.signal)
  }

  fetch(ids: readonly Buffer[]): Buffer[] {
    this.#lastId += 1
    const request: FetchRequest = { id: this.#lastId, ids: Buffer.concat(ids) }
    let seen = Atomics.load(this.#signal, 0)
    this.#port.port.postMessage(request)
    for (;;) {
      const answer = this.#answer()
      if (answer !== undefined && 'code' in answer) throw errorOf(answer)
      if (answer !== undefined) return recordsOf(answer.parcel)
      if (Atomics.wait(this.#signal, 0, seen, fetchTimeoutMs) === 'timed-out') throw noAnswer()
      seen = Atomics.load(this.#signal, 0)
    }
  }

  close(): void {
    this.#port.port.close()
  }

  /** Answers to questions whose time was over are let go. */
  #answer(): FetchAnswer | undefined {
    for (let next = receiveMessageOnPort(this.#port.port); next !== undefined;) {
      const answer = next.message as FetchAnswer
      if (answer.id === this.#lastId) return answer
      next = receiveMessageOnPort(this.#port.port)
    }
    return undefined
  }
}

export interface Fetched {
  readonly parcel: RecordParcel
  /** What was read from replicas for it. */
  readonly readBytes: number
}

/** For a thread with an event loop. */
export class FetchClient {
  readonly #port: FetcherPort
  readonly #pending = new Map<number, { resolve: (fetched: Fetched) => void; reject: (error: Error) => void }>()
  #lastId = 0
  #isClosed = false

  constructor(port: FetcherPort) {
    this.#port = port
    port.port.on('message', (answer: FetchAnswer) => this.#receive(answer))
    port.port.on('close', () => this.#end())
    port.port.unref()
  }

  /** Errors: as `RecordSource.fetch`. */
  fetch(ids: readonly Buffer[], hints?: Uint8Array, isAhead = false): Promise<Fetched> {
    if (this.#isClosed) return Promise.reject(noAnswer())
    this.#lastId += 1
    const request: FetchRequest = { id: this.#lastId, ids: Buffer.concat(ids), hints, isAhead }
    return new Promise((resolve, reject) => {
      this.#pending.set(request.id, { resolve, reject })
      this.#port.port.ref()
      this.#port.port.postMessage(request)
    })
  }

  close(): void {
    this.#port.port.close()
    this.#end()
  }

  #receive(answer: FetchAnswer): void {
    const pending = this.#pending.get(answer.id)
    this.#pending.delete(answer.id)
    if (this.#pending.size === 0) this.#port.port.unref()
    if ('code' in answer) pending?.reject(errorOf(answer))
    else pending?.resolve(answer)
  }

  #end(): void {
    this.#isClosed = true
    for (const { reject } of this.#pending.values()) reject(noAnswer())
    this.#pending.clear()
  }
}

function noAnswer(): HoldfastError {
  return new HoldfastError('REPLICA_UNREACHABLE', 'the thread that reads from replicas does not answer: try again')
}
