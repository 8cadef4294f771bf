/**
 * Chunks from whichever replica gives them right. The replicas are asked one after the other, the one that answered
 * last first; what one lacks, fails to give or gives wrong is asked of the next. A record is believed when it has been
 * decoded, with all that it builds on, and its digest compared. A copy that was wrong is put right from a good one.
 */
import { Buffer } from 'node:buffer'
import type { Env } from '../../env/env.ts'
import { HoldfastError, isCode, messageOf } from '../../errors.ts'
import type { RunEntry } from '../../format/index-run.ts'
import type { RecordHeader } from '../../format/pack-record.ts'
import { deltaDepthMax } from '../../limits.ts'
import { domainPath } from '../../replica/layout.ts'
import { ReplicaRecordReader } from '../../replica/record-reader.ts'
import type { WantedRecord } from '../../replica/record-reader.ts'
import type { Replica } from '../../replica/replica.ts'
import { soundHeader } from '../../store/record-source.ts'
import type { ThreadReader } from '../../store/thread-reader.ts'
import { RecordOpener } from './record-opener.ts'
import { notHad } from './not-had.ts'
import { aheadGapBytesMax, lonelyTimeoutMs, restAfterFailureMs, tryTimeoutMs } from './limits.ts'

export interface GathererEvents {
  /** A copy is not what it should be; `entry` is where it lies. */
  damaged(replica: Replica, message: string, entry?: RunEntry): void
  unreachable(replica: Replica, message: string): void
}

interface Place {
  readonly replica: Replica
  readonly records: ReplicaRecordReader
  /** Not asked first before this time, by the monotonic clock. */
  restsUntilMs: number
}

interface Collected {
  readonly header: RecordHeader
  readonly bytes: Buffer
  readonly entry: RunEntry
}

/** By the id in hex. A chunk has one record here: the shallowest that served. */
type Collection = Map<string, Collected>

export class Gatherer {
  readonly #env: Env
  readonly #reader: ThreadReader
  readonly #events: GathererEvents
  readonly #opener: RecordOpener
  #places: Place[] = []
  readonly #gathering = new Map<string, Promise<Buffer[]>>()
  /** By the id in hex: what is read ahead now. */
  readonly #ahead = new Map<string, Promise<unknown>>()
  /** Read from replicas since the start, and not ahead. */
  readBytes = 0

  /** The reader is used to verify, with what is in the store already. Neither it nor the replicas become ours. */
  constructor(env: Env, reader: ThreadReader, events: GathererEvents) {
    this.#env = env
    this.#reader = reader
    this.#events = events
    this.#opener = new RecordOpener(env, reader.keys)
  }

  /** From now on these are asked, in this order where nothing speaks against it. */
  use(replicas: readonly Replica[]): void {
    this.#places = replicas.map((replica) => this.#places.find((place) => place.replica === replica) ?? {
      replica, restsUntilMs: 0,
      records: new ReplicaRecordReader(replica, (message) => this.#events.damaged(replica, message)),
    })
  }

  /**
   * Records of these chunks, and of what they build on that the store lacks, each once, bases first. What was gathered
   * lately is not read again: several threads ask for the same.
   * Errors: NOT_FOUND (nobody has one of them), DAMAGED (all who have it have it wrong), REPLICA_UNREACHABLE.
   */
  async gather(ids: readonly Buffer[], hints?: readonly RunEntry[]): Promise<Buffer[]> {
    await Promise.all(new Set(ids.map((id) => this.#ahead.get(id.toString('hex')))))
    const here = new Map(ids.map((id) => [id.toString('hex'), this.#reader.admitted(id)]))
    const absent = ids.filter((id) => here.get(id.toString('hex')) === undefined)
    const fresh = absent.filter((id) => !this.#gathering.has(id.toString('hex')))
    if (fresh.length > 0) this.#begin(fresh, hints)
    const parts = await Promise.all(new Set(absent.map((id) => this.#gathering.get(id.toString('hex')))))
    return [...new Set([...here.values(), ...parts].flatMap((part) => part ?? []))]
  }

  /**
   * The records at these places, bases first, as they lie on the first replica that gives them: whoever uses one proves
   * it. What cannot be had so is gathered. Errors: as `gather`.
   */
  async gatherAhead(places: readonly RunEntry[]): Promise<{ records: Buffer[]; readBytes: number }> {
    let readBytes = 0
    const reading = this.#readAhead(places, (bytes) => {
      readBytes += bytes
    }).then((records) => {
      this.#reader.admit(records.map(({ bytes }) => bytes))
      return records
    })
    const found = await this.#whileAhead(places, reading)
    const there = new Set(found.map(({ header: { id } }) => id.toString('hex')))
    const absent = places.filter(({ id }) => !there.has(id.toString('hex'))).map(({ id }) => id)
    const before = this.readBytes
    const rest = absent.length === 0 ? [] : await this.gather(absent)
    return { records: [...found.map(({ bytes }) => bytes), ...rest], readBytes: readBytes + this.readBytes - before }
  }

  /** Who asks for one of them meanwhile waits for this. */
  async #whileAhead<T>(places: readonly RunEntry[], reading: Promise<T>): Promise<T> {
    const keys = places.map(({ id }) => id.toString('hex'))
    for (const key of keys) this.#ahead.set(key, reading)
    try {
      return await reading
    } finally {
      for (const key of keys) if (this.#ahead.get(key) === reading) this.#ahead.delete(key)
    }
  }

  /** Rejects nobody. */
  async #readAhead(places: readonly RunEntry[], onBytes: (bytes: number) => void): Promise<Collected[]> {
    const [place] = this.#inOrder()
    const found: Collected[] = []
    try {
      const call = { signal: AbortSignal.timeout(tryTimeoutMs), timeoutMs: tryTimeoutMs }
      const { records } = await place.records.read(places, call, onBytes, aheadGapBytesMax)
      for (const { entry, bytes } of records) {
        const sound = this.#sound(place, entry, bytes, [])
        if (sound !== undefined) found.push(sound)
      }
    } catch (error) {
      this.#rest(place, error)
    }
    return found.sort((left, right) => left.header.depth - right.header.depth)
  }

  #begin(ids: readonly Buffer[], hints?: readonly RunEntry[]): void {
    const keys = ids.map((id) => id.toString('hex'))
    const gathering = this.#gatherNow(ids, hints).finally(() => {
      for (const key of keys) this.#gathering.delete(key)
    })
    // Whoever waits is told; nobody has to.
    gathering.catch(() => undefined)
    for (const key of keys) this.#gathering.set(key, gathering)
  }

  async #gatherNow(ids: readonly Buffer[], hints?: readonly RunEntry[]): Promise<Buffer[]> {
    const given: Buffer[] = []
    const failures: unknown[] = []
    let wanted = [...ids]
    const places = this.#inOrder()
    for (const [at, place] of places.entries()) {
      const timeoutMs = at < places.length - 1 ? tryTimeoutMs : lonelyTimeoutMs
      try {
        const { records, missing } = await this.#from(place, wanted, timeoutMs, failures, hints)
        given.push(...records)
        wanted = missing
      } catch (error) {
        failures.push(error)
        this.#rest(place, error)
      }
      if (wanted.length === 0) return given
    }
    throw notHad(wanted[0], failures)
  }

  /** First those that did not fail lately. */
  #inOrder(): Place[] {
    const nowMs = this.#env.monotonicMs()
    return [...this.#places].sort((left, right) => {
      return Math.max(0, left.restsUntilMs - nowMs) - Math.max(0, right.restsUntilMs - nowMs)
    })
  }

  #rest(place: Place, error: unknown): void {
    place.restsUntilMs = this.#env.monotonicMs() + restAfterFailureMs
    this.#events.unreachable(place.replica, messageOf(error))
  }

  /** What one replica gives of them, proved. `failures` takes what its reads said that failed. */
  async #from(
    place: Place, ids: readonly Buffer[], timeoutMs: number, failures: unknown[], hints?: readonly RunEntry[],
  ): Promise<{ records: Buffer[]; missing: Buffer[] }> {
    const collection: Collection = new Map()
    const signal = AbortSignal.timeout(timeoutMs)
    // What a list says may be outdated; the index is not.
    for (const known of hints === undefined ? [undefined] : [hints, undefined]) {
      let wanted = ids.filter((id) => !collection.has(id.toString('hex'))).map(wholly)
      for (let round = 0; wanted.length > 0 && round <= deltaDepthMax; round++) {
        wanted = await this.#collect(place, wanted, collection, { signal, timeoutMs, failures, hints: known })
      }
    }
    if (ids.some((id) => !collection.has(id.toString('hex')))) await this.#doubt(place, signal, failures)
    return this.#proven(place, ids, collection, failures)
  }

  /** Why a replica that lacks something may have it all the same: it is not mounted, or its index is damaged. */
  async #doubt({ replica, records }: Place, signal: AbortSignal, failures: unknown[]): Promise<void> {
    if (await replica.stat(domainPath, { signal }) === null) {
      failures.push(new HoldfastError('REPLICA_UNREACHABLE', `there is no replica at ${replica.url} now`))
    } else if (!records.isIndexComplete) {
      failures.push(new HoldfastError('REPLICA_FAULT', `the index on ${replica.url} cannot be read whole`))
    }
  }

  /** One round: reads records, and returns which bases are still wanted. */
  async #collect(
    place: Place, wanted: readonly WantedRecord[], collection: Collection,
    call: { signal: AbortSignal; timeoutMs: number; failures: unknown[]; hints?: readonly RunEntry[] },
  ): Promise<WantedRecord[]> {
    const { signal, timeoutMs, failures, hints } = call
    const hinted = hintsFor(wanted, hints)
    const others = wanted.filter(({ id }) => !hinted.some((entry) => entry.id.equals(id)))
    const found = others.length === 0 ? [] : await place.records.find(others, { signal, timeoutMs })
    const claimed = await place.records.readSomewhere(wanted, [...hinted, ...found], { signal, timeoutMs }, (bytes) => {
      this.readBytes += bytes
    })
    for (const failure of claimed.failures) if (!isCode(failure, 'NOT_FOUND')) failures.push(failure)
    const next = new Map<string, WantedRecord>()
    for (const { entry, bytes } of claimed.records) {
      const sound = this.#sound(place, entry, bytes, failures)
      if (sound === undefined) continue
      const { header } = sound
      collection.set(entry.id.toString('hex'), sound)
      const { baseId, baseDepth } = header
      if (baseId === undefined || collection.has(baseId.toString('hex'))) continue
      if (!this.#reader.holds(baseId, baseDepth)) next.set(baseId.toString('hex'), { id: baseId, depthMax: baseDepth })
    }
    return [...next.values()]
  }

  /** Of what lies where that record should; undefined where it is not that, which is told. */
  #sound(place: Place, entry: RunEntry, sealed: Buffer, failures: unknown[]): Collected | undefined {
    const bytes = this.#opener.open(entry, sealed)
    const header = bytes && soundHeader(bytes)
    const isIt = header !== undefined && header.id.equals(entry.id) && header.depth === entry.place.depth
    if (bytes !== undefined && isIt) return { header, bytes, entry }
    this.#wrong(place, entry, failures)
    return undefined
  }

  #wrong(place: Place, entry: RunEntry, failures: unknown[]): void {
    const message = `chunk ${entry.id.toString('hex')} on ${place.replica.url} is damaged`
    failures.push(new HoldfastError('DAMAGED', message))
    this.#events.damaged(place.replica, message, entry)
  }

  #proven(
    place: Place, ids: readonly Buffer[], collection: Collection, failures: unknown[],
  ): { records: Buffer[]; missing: Buffer[] } {
    const sorted = [...collection.values()].sort((left, right) => left.header.depth - right.header.depth)
    this.#reader.admit(sorted.map(({ bytes }) => bytes))
    const used = new Set<string>()
    const missing: Buffer[] = []
    for (const id of ids) {
      const collected = collection.get(id.toString('hex'))
      if (collected !== undefined && this.#reads(id)) markUsed(collection, id, used)
      else missing.push(id)
      if (collected !== undefined && !used.has(id.toString('hex'))) this.#wrong(place, collected.entry, failures)
    }
    const records = sorted.filter(({ header }) => used.has(header.id.toString('hex'))).map(({ bytes }) => bytes)
    return { records, missing }
  }

  #reads(id: Buffer): boolean {
    try {
      this.#reader.read(id)
      return true
    } catch (error) {
      if (isCode(error, 'DAMAGED', 'NOT_FOUND')) return false
      throw error
    }
  }
}

function wholly(id: Buffer): WantedRecord {
  return { id, depthMax: deltaDepthMax }
}

function markUsed(collection: Collection, id: Buffer, used: Set<string>): void {
  for (let at: Buffer | undefined = id; at !== undefined;) {
    const key: string = at.toString('hex')
    if (used.has(key) || !collection.has(key)) return
    used.add(key)
    at = collection.get(key)?.header.baseId
  }
}

function hintsFor(wanted: readonly WantedRecord[], hints: readonly RunEntry[] | undefined): RunEntry[] {
  if (hints === undefined || hints.length === 0) return []
  const byId = new Map(hints.map((entry) => [entry.id.toString('hex'), entry]))
  return wanted.flatMap(({ id, depthMax }) => {
    const entry = byId.get(id.toString('hex'))
    return entry !== undefined && entry.place.depth <= depthMax ? [entry] : []
  })
}
