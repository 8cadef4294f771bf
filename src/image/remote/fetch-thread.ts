/**
 * The thread that reads from replicas: it holds them open, finds and proves records, and answers those who ask. It
 * never writes into the store; what it gave to somebody who does not keep it, its owner is told of.
 */
import { Buffer } from 'node:buffer'
import { parentPort } from 'node:worker_threads'
import type { MessagePort } from 'node:worker_threads'
import { systemEnv } from '../../env/system.ts'
import { HoldfastError, messageOf } from '../../errors.ts'
import type { RunEntry } from '../../format/index-run.ts'
import { digestBytes } from '../../limits.ts'
import { openReplica } from '../../replica/open.ts'
import { repairPackAt } from '../../replica/repair.ts'
import type { Replica } from '../../replica/replica.ts'
import { openChunkReader } from '../../store/open.ts'
import type { ThreadReader } from '../../store/thread-reader.ts'
import { Gatherer } from './gatherer.ts'
import { hintsFrom } from './hints.ts'
import { readLimits } from './limits.ts'
import { parcelOf } from './messages.ts'
import type { FetchAnswer, FetcherStart, FetchRequest, FromFetcher, ToFetcher } from './messages.ts'

const env = systemEnv()

class FetchThread {
  readonly #owner: MessagePort
  readonly #gatherer: Gatherer
  readonly #replicas = new Map<string, Replica>()
  readonly #resources: AsyncDisposableStack
  readonly #ports = new Set<MessagePort>()
  /** Objects that are being put right, or could not be: one try each. */
  readonly #repaired = new Set<string>()

  private constructor(owner: MessagePort, reader: ThreadReader) {
    this.#owner = owner
    this.#resources = new AsyncDisposableStack()
    this.#resources.use(reader)
    this.#gatherer = new Gatherer(env, reader, {
      damaged: (replica, message, entry) => this.#damaged(replica, message, entry),
      unreachable: (replica, message) => this.#tell(`replica ${replica.url}: ${message}`),
    })
    owner.on('message', (message: ToFetcher) => {
      if (message.type === 'close') void this.#close()
      else if (message.type === 'use') this.#use(message.urls)
      else this.#serve(message)
    })
  }

  static async open({ port, directory, urls, secret }: FetcherStart): Promise<void> {
    new FetchThread(port, await openChunkReader(env, directory, undefined, secret)).#use(urls)
    port.postMessage({ type: 'ready' } satisfies FromFetcher)
  }

  #use(urls: readonly string[]): void {
    for (const url of urls) {
      if (this.#replicas.has(url)) continue
      this.#replicas.set(url, this.#resources.use(openReplica(env, url, { limits: readLimits })))
    }
    this.#gatherer.use(urls.flatMap((url) => this.#replicas.get(url) ?? []))
  }

  #serve({ port, signal, keeps }: Extract<ToFetcher, { type: 'connect' }>): void {
    const cell = new Int32Array(signal)
    this.#ports.add(port)
    port.on('close', () => this.#ports.delete(port))
    port.on('message', (request: FetchRequest) => {
      void this.#answer(request, keeps).then((answer) => {
        port.postMessage(answer)
        Atomics.add(cell, 0, 1)
        Atomics.notify(cell, 0)
      })
    })
  }

  async #answer({ id, ids, hints, isAhead }: FetchRequest, keeps: boolean): Promise<FetchAnswer> {
    try {
      const places = hints === undefined ? [] : hintsFrom(hints)
      const { records, readBytes } = await (isAhead === true
        ? this.#gatherer.gatherAhead(places) : this.#gather(idsFrom(ids), places))
      const parcel = parcelOf(records)
      // What was in memory already its owner was given before.
      if (!keeps && readBytes > 0) this.#owner.postMessage({ type: 'gathered', parcel } satisfies FromFetcher)
      return { id, parcel, readBytes }
    } catch (error) {
      return { id, code: error instanceof HoldfastError ? error.code : 'REPLICA_FAULT', message: messageOf(error) }
    }
  }

  async #gather(ids: Buffer[], places: readonly RunEntry[]): Promise<{ records: Buffer[]; readBytes: number }> {
    const before = this.#gatherer.readBytes
    const records = await this.#gatherer.gather(ids, places)
    return { records, readBytes: this.#gatherer.readBytes - before }
  }

  #damaged(replica: Replica, message: string, entry?: RunEntry): void {
    this.#tell(message)
    if (entry === undefined) return
    const key = `${replica.url} ${entry.packId.toString('hex')} ${entry.place.offset}`
    if (this.#repaired.has(key)) return
    this.#repaired.add(key)
    void this.#repair(replica, entry)
  }

  async #repair(bad: Replica, { packId, place }: RunEntry): Promise<void> {
    for (const good of [...this.#replicas.values()].filter((each) => each !== bad)) {
      try {
        const paths = await repairPackAt(bad, good, packId, place.offset)
        if (paths.length > 0) return this.#tell(`${bad.url}: put right from ${good.url}: ${paths.join(', ')}`)
      } catch (error) {
        this.#tell(`${bad.url}: not put right from ${good.url}: ${messageOf(error)}`)
      }
    }
  }

  #tell(message: string): void {
    this.#owner.postMessage({ type: 'event', message } satisfies FromFetcher)
  }

  async #close(): Promise<void> {
    for (const port of this.#ports) port.close()
    await this.#resources.disposeAsync()
    this.#owner.close()
  }
}

function idsFrom(bytes: Uint8Array): Buffer[] {
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return Array.from({ length: Math.floor(all.length / digestBytes) }, (_, at) => {
    return all.subarray(at * digestBytes, (at + 1) * digestBytes)
  })
}

// The thread may have been started before anything was to be read.
parentPort?.once('message', (start: FetcherStart) => void FetchThread.open(start))
