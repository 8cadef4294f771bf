/**
 * The records of one image on one replica: who may publish there is settled first, then batches go out in the order
 * of their epochs. On the authority ownership is fought for; another replica follows the authority's generations.
 */
import { Buffer } from 'node:buffer'
import type { Env } from '../../env/env.ts'
import { HoldfastError, isCode } from '../../errors.ts'
import {
  batchedBytes, decodeEpochBatch, emptyBatchBytes, encodeEpochBatch,
} from '../../format/epoch-batch.ts'
import { epochBatchBytesMax, epochBatchPacksBytesMax, epochBatchPacksMax, epochBatchRecordsMax } from '../../limits.ts'
import {
  type BatchName, batchName, generationDirectory, generationParts, imageDirectory, parseGenerationName,
} from '../layout.ts'
import { runFanOut } from '../limits.ts'
import type { LocalImage, Outbox } from '../outbox.ts'
import type { OwnerRecord } from '../owner-record.ts'
import { joinPath } from '../paths.ts'
import type { Publication, Publisher } from '../publisher.ts'
import type { CallOptions, Replica } from '../replica.ts'
import type { RecordGroup } from '../collection/image-plan.ts'
import type { CopiesWait } from './copies-wait.ts'
import { ImageHistory, fenced } from './image-history.ts'
import { followTo, newestGeneration, Ownership } from './ownership.ts'

export interface ImageFeedParts {
  readonly env: Env
  readonly outbox: Outbox
  readonly replica: Replica
  readonly self: string
  readonly image: LocalImage
  /** The authority's generation; null on the authority itself. */
  readonly follows: (() => number) | null
  readonly publisher: Publisher
  /** Names there of the packs that were put here and are here still, and of those that others brought. */
  readonly packs: (call: CallOptions) => Promise<readonly string[]>
  readonly copies: CopiesWait
  readonly onEvent: (message: string) => void
}

export interface PublishedBatches {
  /** Epochs up to this number are there. */
  readonly published: number
  readonly generation: number
  readonly epochs: number
  /** Paths of the batches that hold what was not known to be there. */
  readonly batches: readonly string[]
}

/** May publish in `generation`, where everything up to `published` is. */
interface Place {
  readonly generation: number
  readonly publish: (batch: Publication, call: CallOptions) => Promise<void>
  published: number
  /** In the open generation, in order. */
  batches: BatchName[]
  /** What larger ones hold by now. */
  readonly merged: BatchName[]
}

export class ImageFeed {
  readonly #parts: ImageFeedParts
  readonly #history: ImageHistory
  #place: Place | null = null

  constructor(parts: ImageFeedParts) {
    this.#parts = parts
    this.#history = new ImageHistory(parts.replica, parts.outbox, parts.image)
  }

  /**
   * Publishes the records of these epochs. When another writer has taken over, the image is fenced, nothing is
   * thrown, and the next look at the store finds it under its new key.
   */
  async publish(numbers: readonly number[], known: number, call: CallOptions): Promise<PublishedBatches> {
    try {
      const place = await this.#settled(known, call)
      const wanted = numbers.filter((number) => number > place.published)
      let epochs = 0
      for (const batch of this.#batches(wanted)) epochs += await this.#publishOne(place, batch, call)
      place.published = Math.max(place.published, ...numbers)
      const { published, generation } = place
      return { published, generation, epochs, batches: this.#pathsAfter(place, known) }
    } catch (error) {
      if (!isCode(error, 'FENCED') || this.#parts.follows !== null) throw error
      const generation = await this.#fence(known, call)
      return { published: known, generation, epochs: 0, batches: [] }
    }
  }

  /** Where it may publish now. Errors: FENCED: another store has it. */
  async own(known: number, call: CallOptions): Promise<number> {
    return (await this.#settled(known, call)).generation
  }

  /** Publishes records that are there once more, with the packs that they need now. Paths. Errors: FENCED. */
  async publishAgain(
    groups: readonly RecordGroup[], inherited: readonly string[], call: CallOptions,
  ): Promise<string[]> {
    const place = await this.#settled(-1, call)
    const [open] = generationParts(this.#parts.image.key, place.generation)
    const paths: string[] = []
    for (const { numbers, records, packs } of groups) {
      const revision = this.#revision()
      const name = { first: numbers[0], last: numbers[numbers.length - 1], count: records.length, revision }
      const named = [...new Set([...packs, ...inherited])]
      await place.publish(this.#publication(name, named, records), call)
      paths.push(joinPath(open, batchName(name)))
    }
    return paths
  }

  /**
   * Makes one batch of some small ones, oldest first. They stay until the next call: who lists meanwhile may see
   * neither what goes nor what comes.
   */
  async merge(call: CallOptions): Promise<void> {
    const place = this.#place
    if (place !== null) await this.#removeMerged(place, call)
    const small = place === null ? null : fullClass(place.batches)
    if (place === null || small === null) return
    const found = new Map<number, Buffer>()
    const packs = new Set<string>()
    for (const name of small) {
      const read = await this.#history.read(place.generation, name, call)
      // A collector that died has left records twice.
      for (const [at, { number }] of read.epochs.entries()) found.set(number, read.records[at])
      for (const pack of read.packs) packs.add(pack)
    }
    const numbers = [...found.keys()].sort((left, right) => left - right)
    const records = numbers.map((number) => found.get(number)!)
    if (!fitsBatch(records, packs.size)) return
    const revision = small.some((name) => name.revision !== undefined) ? this.#revision() : undefined
    const merged = { first: numbers[0], last: numbers[numbers.length - 1], count: records.length, revision }
    await place.publish(this.#publication(merged, [...packs], records), call)
    const others = place.batches.filter((name) => !small.includes(name))
    place.batches = [merged, ...others].sort((left, right) => left.first - right.first)
    place.merged.push(...small)
  }

  #revision(): string {
    return this.#parts.env.randomBytes(8).toString('hex')
  }

  #pathsAfter({ generation, batches }: Place, known: number): string[] {
    const [open] = generationParts(this.#parts.image.key, generation)
    return batches.filter(({ last }) => last > known).map((name) => joinPath(open, batchName(name)))
  }

  async #removeMerged(place: Place, call: CallOptions): Promise<void> {
    const [open] = generationParts(this.#parts.image.key, place.generation)
    const holds = (large: BatchName, { first, last }: BatchName): boolean => large.first <= first && last <= large.last
    const larger = place.batches.filter((large) => place.merged.some((small) => holds(large, small)))
    await this.#parts.copies.wait(larger.map((name) => joinPath(open, batchName(name))), call)
    for (let name = place.merged.at(0); name !== undefined; name = place.merged.at(0)) {
      await this.#parts.replica.remove(joinPath(open, batchName(name)), call)
      place.merged.shift()
    }
  }

  async #settled(known: number, call: CallOptions): Promise<Place> {
    const follows = this.#parts.follows?.() ?? null
    if (this.#place !== null && (follows === null || follows === this.#place.generation)) return this.#place
    this.#place = follows === null ? await this.#own(known, call) : await this.#follow(follows, call)
    return this.#place
  }

  /** Errors: FENCED. */
  async #own(known: number, call: CallOptions): Promise<Place> {
    const { replica, image: { key }, self, outbox } = this.#parts
    const ownership = new Ownership(replica, key, this.#claim())
    const newest = await newestGeneration(replica, key, call)
    const isOurs = newest === null || (newest.isOpen && newest.owner.storeId.equals(outbox.storeId))
    const isSame = newest !== null && newest.owner.self === self
    if (isOurs && isSame) await ownership.rejoin(newest.number, call)
    else if (isOurs) await ownership.takeOver(newest?.number ?? 0, call)
    if (!ownership.isOwner) throw fenced(key)
    const { generation } = ownership
    const published = newest === null ? -1 : await this.#history.common(newest, known, call, 'or fenced')
    const batches = await this.#history.published(generation, call)
    const { publisher } = this.#parts
    const publish = (batch: Publication, options: CallOptions) => ownership.publish(publisher, batch, options)
    return { generation, publish, published, batches, merged: [] }
  }

  /**
   * Errors: FENCED: somebody owns this replica's copy who does not own the authority's. REPLICA_UNREACHABLE: the
   * authority has not told yet who owns it.
   */
  async #follow(generation: number, call: CallOptions): Promise<Place> {
    const { replica, publisher, image: { key } } = this.#parts
    const claim = { ...this.#claim(), last: -1 }
    if (generation === 0) throw unknownOwner(this.#parts.image)
    if (!await followTo(replica, key, generation, claim, call)) throw fenced(key)
    const directory = generationDirectory(key, generation)
    const publish = (batch: Publication, options: CallOptions) => publisher.publish(directory, [batch], options)
    let published = -1
    for await (const { name } of replica.list(imageDirectory(key), call)) {
      const number = parseGenerationName(name)
      const batches = number === undefined ? [] : await this.#history.published(number, call)
      published = Math.max(published, ...batches.map(({ last }) => last))
    }
    const batches = await this.#history.published(generation, call)
    return { generation, publish, published, batches, merged: [] }
  }

  async #publishOne(place: Place, { records, numbers }: Batch, call: CallOptions): Promise<number> {
    const name = { first: numbers[0], last: numbers[numbers.length - 1], count: records.length }
    const packs = await this.#parts.packs(call)
    await place.publish(this.#publication(name, packs, records), call)
    place.batches.push(name)
    place.published = name.last
    return records.length
  }

  /** The generation that was ours is closed, so what it lists is final: what it lacks goes to the fork. */
  async #fence(known: number, call: CallOptions): Promise<number> {
    const { outbox, image, onEvent } = this.#parts
    this.#place = null
    const { generation, last } = await this.#history.lastOfOurs(known, call)
    onEvent(`another writer took ${image.image} over after generation ${generation}: what was sealed here after ` +
      `epoch ${last} goes on as ${image.image}.fenced-${generation}`)
    await outbox.fence(image, generation, last)
    return generation
  }

  *#batches(numbers: readonly number[]): Generator<Batch> {
    let batch: Batch = { records: [], numbers: [] }
    const emptyBytes = emptyBatchBytes + epochBatchPacksBytesMax
    let bytes = emptyBytes
    for (const number of numbers) {
      const record = this.#parts.outbox.record(this.#parts.image, number)
      if (record === null) continue
      const added = batchedBytes(record.length)
      const isFull = batch.records.length >= epochBatchRecordsMax || bytes + added > epochBatchBytesMax
      if (isFull) {
        yield batch
        batch = { records: [], numbers: [] }
        bytes = emptyBytes
      }
      batch.records.push(record)
      batch.numbers.push(number)
      bytes += added
    }
    if (batch.records.length > 0) yield batch
  }

  #publication(name: BatchName, packs: readonly string[], records: readonly Buffer[]): Publication {
    const { domainId, keyId } = this.#parts.outbox
    const batch = { domainId, keyId, imageId: this.#parts.image.imageId, records }
    return {
      name: batchName(name), packs, encode: (names) => encodeEpochBatch({ ...batch, packs: names }),
      isSame: (bytes) => {
        const there = decodeEpochBatch(bytes, batchName(name)).records
        return there.length === records.length && there.every((record, at) => record.equals(records[at]))
      },
    }
  }

  #claim(): Omit<OwnerRecord, 'last'> {
    const { env, self, outbox: { storeId }, image: { imageId, shown, origin, createdMs } } = this.#parts
    return { self, storeId, imageId, image: shown, origin, createdMs, openedMs: Math.round(env.wallMs()) }
  }
}

function unknownOwner({ image }: LocalImage): HoldfastError {
  const message = `who owns ${image} is known when the replica that decides who may write is there again`
  return new HoldfastError('REPLICA_UNREACHABLE', message)
}

interface Batch {
  readonly records: Buffer[]
  readonly numbers: number[]
}

function fitsBatch(records: readonly Buffer[], packs: number): boolean {
  const bytes = records.reduce((sum, { length }) => sum + batchedBytes(length), emptyBatchBytes)
  return packs <= epochBatchPacksMax && bytes <= epochBatchBytesMax - epochBatchPacksBytesMax
}

/** The oldest neighbours of about one size: as many as are worth a merge, and as a batch can hold. */
function fullClass(batches: readonly BatchName[]): BatchName[] | null {
  const classOf = ({ count }: BatchName): number => Math.floor(Math.log(count) / Math.log(runFanOut))
  for (const [at, first] of batches.entries()) {
    const group = batches.slice(at, at + runFanOut)
    const count = group.reduce((sum, each) => sum + each.count, 0)
    if (group.length === runFanOut && group.every((each) => classOf(each) === classOf(first)) &&
      count <= epochBatchRecordsMax) return group
  }
  return null
}
