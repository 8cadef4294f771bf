/**
 * What a store has only on replicas, for all who read in this process: the fetching thread, started when the first
 * replica is named, its clients, and what they were given put into the store by its writer.
 */
import { Buffer } from 'node:buffer'
import type { Secret } from '../../crypto/secret.ts'
import { HoldfastError, isCode, messageOf } from '../../errors.ts'
import { FetchClient } from './fetch-client.ts'
import type { Fetched } from './fetch-client.ts'
import type { RunEntry } from '../../format/index-run.ts'
import { Fetcher } from './fetcher.ts'
import { packHints } from './hints.ts'
import { keepDelayMs, keptAtOnceBytesMax, unkeptBytesMax } from './limits.ts'
import { type FetcherPort, type RecordParcel, parcelOf, recordsOf } from './messages.ts'

export interface RemoteRecordsOptions {
  /** The store's. */
  readonly directory: string
  /** Opens an encrypted store. */
  readonly secret?: Secret
  /** Gives the store's writer what it reads itself. */
  readonly attach: (port: FetcherPort) => void
  /** Puts records into the store, durably. */
  readonly keep: (parcel: RecordParcel) => Promise<unknown>
  /** A sentence for the log. */
  readonly onEvent: (message: string) => void
}

export class RemoteRecords implements AsyncDisposable {
  readonly #options: RemoteRecordsOptions
  #fetcher: Fetcher | null = null
  #client: FetchClient | null = null
  /** In their order; none of them is on its way into the store. */
  readonly #unkept: RecordParcel[] = []
  /** Those that are on their way included. */
  #unkeptBytes = 0
  /** What was fetched ahead and is not on its way into the store. */
  readonly #later: RecordParcel[] = []
  #timer: NodeJS.Timeout | undefined
  #keeping: Promise<void> | null = null
  #closed: Promise<void> | null = null

  constructor(options: RemoteRecordsOptions) {
    this.#options = options
  }

  /** From now on these replicas are read from, by their URLs. None: nothing is. */
  use(urls: readonly string[]): void {
    if (this.#fetcher !== null) return this.#fetcher.use(urls)
    if (urls.length === 0) return
    const { directory, secret, attach, onEvent } = this.#options
    this.#fetcher = new Fetcher({ directory, urls, secret }, {
      gathered: (parcel) => this.#keep(parcel),
      event: onEvent,
    })
    this.#client = new FetchClient(this.#fetcher.connect(true))
    attach(this.#fetcher.connect(true))
  }

  /** For a thread that may wait; undefined where there are no replicas. */
  connect(): FetcherPort | undefined {
    return this.#fetcher?.connect(false)
  }

  /** What comes is put into the store as well. Errors: as `RecordSource.fetch`. */
  async fetch(ids: readonly Buffer[], hints?: Uint8Array): Promise<Fetched> {
    const fetched = await this.#given().fetch(ids, hints)
    this.#keep(fetched.parcel)
    return fetched
  }

  /**
   * For somebody who waits: what comes is in the fetching thread's memory, and is put into the store a little later, so
   * that this does not hold up what it was fetched for. Whoever uses a record proves it. Errors: as `fetch`.
   */
  async fetchAhead(places: readonly RunEntry[]): Promise<Fetched> {
    const fetched = await this.#given().fetch([], packHints(places), true)
    this.#later.push(fetched.parcel)
    this.#timer ??= setTimeout(() => this.#keepLater(), keepDelayMs).unref()
    return fetched
  }

  /** Resolves when all that was given so far is in the store. */
  async kept(): Promise<void> {
    this.#keepLater()
    await this.#keeping
  }

  /** Idempotent. To be called before the store is closed. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    this.#client?.close()
    await this.#fetcher?.close()
    await this.kept()
  }

  #given(): FetchClient {
    if (this.#client !== null) return this.#client
    throw new HoldfastError('NOT_FOUND', 'this store reads from no replica')
  }

  #keepLater(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    for (const parcel of this.#later.splice(0)) this.#keep(parcel)
  }

  /** What comes faster than it can be written is let go: it is read again when it is wanted again. */
  #keep(parcel: RecordParcel): void {
    const { length } = parcel.bytes
    if (length === 0 || this.#unkeptBytes + length > unkeptBytesMax) return
    this.#unkeptBytes += length
    this.#unkept.push(parcel)
    this.#keeping ??= this.#keepAll()
  }

  /** What comes while some is put there is put there together: each time costs a sync. Never rejects. */
  async #keepAll(): Promise<void> {
    while (this.#unkept.length > 0) {
      const parcel = joined(this.#nextUnkept())
      try {
        await this.#options.keep(parcel)
      } catch (error) {
        if (!isCode(error, 'NO_SPACE')) this.#options.onEvent(`records were not kept: ${messageOf(error)}`)
      }
      this.#unkeptBytes -= parcel.bytes.length
    }
    this.#keeping = null
  }

  #nextUnkept(): RecordParcel[] {
    let [count, bytes] = [1, this.#unkept[0].bytes.length]
    for (; count < this.#unkept.length; count += 1) {
      bytes += this.#unkept[count].bytes.length
      if (bytes > keptAtOnceBytesMax) break
    }
    return this.#unkept.splice(0, count)
  }
}

function joined(parcels: readonly RecordParcel[]): RecordParcel {
  return parcels.length === 1 ? parcels[0] : parcelOf(parcels.flatMap(recordsOf))
}
