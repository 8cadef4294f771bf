/**
 * An image from a replica into a store that does not have it: its records now, of its chunks those without which its
 * machine does not run, the rest when it is wanted or in the background.
 *
 * As the same image the store becomes its next owner: the generation before is closed, so that what it lists is final,
 * and the next one opened. As a new image it is a fork, and whoever owns the original goes on.
 */
import { Buffer } from 'node:buffer'
import type { Env } from '../../env/env.ts'
import { HoldfastError } from '../../errors.ts'
import type { StoredEpoch } from '../../format/epoch.ts'
import { Ownership, lastOf } from '../../replica/feed/ownership.ts'
import { batchesOf, listReplicaImages, ownedImage, readReplicaEpochs, shownName } from '../../replica/image-list.ts'
import type { ReplicaImage, ReplicaImages } from '../../replica/image-list.ts'
import type { Replica } from '../../replica/replica.ts'
import type { Engine } from '../engine.ts'
import type { CallOptions, EpochSummary } from '../types.ts'
import { type Arriving, firstRecords, workingSetOf } from './arriving.ts'
import { identityOf } from './fetch-all.ts'
import { ownerSilentMs } from './limits.ts'
import { fetchListed } from './listed-records.ts'
import type { ListedRecords } from './listed-records.ts'
import type { RecordParcel } from './messages.ts'
import type { RemoteRecords } from './remote-records.ts'

export interface RestoreRequest {
  /** Of the replica. */
  readonly url: string
  /** A name, or an id as the replica has it, and `@N`: else the newest epoch. */
  readonly target: string
  /** A new image, beside its original. */
  readonly as?: string
  /** Replaces an owner that was seen lately. */
  readonly takeover: boolean
}

export interface Restored {
  readonly epoch: EpochSummary
  /** What the image is called on the replica. */
  readonly key: string
  /** Owned now; null for a fork. */
  readonly generation: number | null
  /** Sentences for the user. */
  readonly notices: string[]
  /** Read from the replica so far, chunks only. */
  readonly fetchedBytes: number
  /** Milliseconds. */
  readonly parts: Record<string, number>
}

export interface RestoreContext {
  readonly env: Env
  readonly engine: Engine
  readonly remote: RemoteRecords
  /** Of the store's domain; opened by whoever calls, and closed by them. */
  readonly replica: Replica
  /** What the replica lists, where that was asked for before. */
  readonly images?: Promise<ReplicaImages>
  /** The store is of the replica's domain now, and something will be brought into it. */
  readonly begun?: () => void
  /** What a resume of the epoch will want first, for who can make use of that. */
  readonly expect?: (epoch: { manifest: string; facts: unknown; parcels: readonly RecordParcel[] }) => void
  /** An epoch with a machine begins to come: for who resumes it meanwhile. */
  readonly arrives?: (arriving: Arriving) => void
}

/**
 * Errors: NOT_FOUND (no such image or epoch), EXISTS (an image of that name is here),
 * LOCKED (its owner was seen lately, and `takeover` is not set), FENCED (another one was faster), and the replica's.
 */
export async function restoreImage(
  context: RestoreContext, request: RestoreRequest, options: CallOptions = {},
): Promise<Restored> {
  return new Restore(context, request, options).run()
}

class Restore {
  readonly #context: RestoreContext
  readonly #request: RestoreRequest
  readonly #options: CallOptions
  readonly #notices: string[] = []
  readonly #parts: Record<string, number> = {}
  #lapMs: number

  constructor(context: RestoreContext, request: RestoreRequest, options: CallOptions) {
    this.#context = context
    this.#request = request
    this.#options = options
    this.#lapMs = context.env.monotonicMs()
  }

  async run(): Promise<Restored> {
    const { engine, remote } = this.#context
    const [name, number] = this.#request.target.split('@')
    const found = await this.#find(name)
    this.#lap('find')
    const isFork = this.#request.as !== undefined
    if (!isFork) await this.#requireFree(found)
    const wanted = number === undefined ? null : Number(number)
    // What it reads is of the same domain, whatever becomes of the rest.
    remote.use([...await engine.sources(), this.#request.url])
    this.#context.begun?.()
    const ahead = this.#ahead(found, wanted ?? newestOf(found))
    // Nobody is replaced for an epoch that is not there.
    if (wanted !== null) await this.#recordOf(found, ahead)
    const adding = this.#addSource(found, ahead)
    adding.catch(() => undefined)
    const installed = Promise.withResolvers<EpochSummary>()
    installed.promise.catch(() => undefined)
    void this.#announce(found, ahead, installed.promise)
    try {
      const image = isFork ? found : await this.#own(found)
      this.#lap('own')
      const newest = wanted ?? newestOf(image)
      const coming = newest === ahead.number ? ahead : this.#ahead(image, newest)
      await adding
      if (coming !== ahead) await this.#addSource(image, coming)
      const { summary, epoch } = await this.#bring(image, coming)
      this.#lap('records')
      installed.resolve(summary)
      const fetchedBytes = await this.#fetchFirst(epoch, summary, coming)
      this.#lap('fetch')
      const generation = isFork ? null : image.generation
      return { epoch: summary, key: image.key, generation, notices: this.#notices, fetchedBytes, parts: this.#parts }
    } catch (error) {
      installed.reject(error)
      throw error
    }
  }

  /** Durably, before anything is here that rests on it: what is cut off goes on after a restart. */
  async #addSource({ key, owner }: ReplicaImage, { number }: Ahead): Promise<void> {
    const { url, as } = this.#request
    const unfinished = as === undefined
      ? { image: owner.image, epoch: number, key, url } : { image: as, epoch: 0, key: null, url }
    await this.#context.engine.addSource({ url, unfinished })
  }

  /** By its name, or by its key. */
  async #find(name: string): Promise<ReplicaImage> {
    const { replica } = this.#context
    const { images, damaged } = await (this.#context.images ?? listReplicaImages(replica, this.#options))
    const named = images.filter((image) => image.key === name || shownName(image) === name)
    // Of one that was forgotten the name is left; but a new one has no records yet either.
    const withRecords = named.filter(({ batches }) => batches.length > 0)
    const found = withRecords.length > 0 ? withRecords : named
    if (found.length === 1) return found[0]
    if (found.length > 1) {
      const keys = found.map(({ key }) => key).join(', ')
      throw new HoldfastError('USAGE', `${replica.url} has ${found.length} images ${name}: name one by its id, ${keys}`)
    }
    const hint = damaged.length > 0 ? `; ${damaged.length} images there cannot be read` : ''
    throw new HoldfastError('NOT_FOUND', `${replica.url} has no image ${name}: see 'replica images URL'${hint}`)
  }

  /** Whether the image may become ours, as far as that can be told. */
  async #requireFree(image: ReplicaImage): Promise<void> {
    const { env, engine } = this.#context
    const { owner } = image
    if ((await engine.images()).some(({ image: name }) => name === owner.image)) {
      throw new HoldfastError('EXISTS', `there is an image ${owner.image} in this store: restore with --as NEW`)
    }
    const silentMs = env.wallMs() - image.changedMs
    const store = owner.storeId.toString('hex').slice(0, 8)
    const seen = `store ${store} published it ${Math.max(0, Math.round(silentMs / 1000))} s ago`
    if (silentMs < ownerSilentMs && !this.#request.takeover) {
      throw new HoldfastError('LOCKED', `${owner.image} has an owner that may be alive: ${seen}. --takeover replaces ` +
        'it, and what it seals from then on becomes a fork; --as NEW leaves it alone', { info: { silentMs } })
    }
    if (silentMs < ownerSilentMs) {
      this.#notices.push(`the owner before may be alive: ${seen}. It is fenced: what it seals from now on goes to ` +
        `${owner.image}.fenced-${image.generation}`)
    }
  }

  /** Closes the newest generation and opens the next; what was listed in between is final. */
  async #own(image: ReplicaImage): Promise<ReplicaImage> {
    const { env, engine, replica } = this.#context
    const { owner } = image
    const storeId = Buffer.from((await engine.stats()).store, 'hex')
    const claim = {
      self: env.randomBytes(16).toString('hex'), storeId, imageId: image.imageId, image: owner.image,
      origin: owner.origin, createdMs: owner.createdMs, openedMs: Math.round(env.wallMs()),
    }
    const { generation } = image
    const before = { generation, last: owner.last, batches: batchesOf(image, generation) }
    const ownership = new Ownership(replica, image.key, claim, before)
    if (await ownership.takeOver(generation, this.#options)) {
      return ownedImage(image, { ...claim, last: lastOf(ownership.basis, owner.last) }, ownership.basis)
    }
    throw new HoldfastError('FENCED', `another store took ${owner.image} over at the same moment: it owns it now`)
  }

  /** Puts the epoch's record into the store. */
  async #bring(image: ReplicaImage, ahead: Ahead): Promise<{ summary: EpochSummary; epoch: StoredEpoch }> {
    const epoch = await this.#recordOf(image, ahead)
    if (this.#request.as !== undefined) return { epoch, summary: await this.#fork(image, epoch) }
    return { epoch, summary: await this.#install(image, epoch, await this.#recent(image, epoch, ahead)) }
  }

  async #recordOf(image: ReplicaImage, { number, epoch }: Ahead): Promise<StoredEpoch> {
    const found = await epoch
    if (found !== undefined) return found
    const address = `${shownName(image)}@${Math.max(0, number)}`
    throw new HoldfastError('NOT_FOUND', `${this.#context.replica.url} has no epoch ${address}`)
  }

  /** Those before it tell what the guest has touched lately, unless its list does: then they come later. */
  async #recent(image: ReplicaImage, epoch: StoredEpoch, { number, listed }: Ahead): Promise<StoredEpoch[]> {
    if (await listed.list.catch(() => null) !== null) return [epoch]
    const wanted = { first: Math.max(0, number - recentEpochs), last: number }
    const epochs = await readReplicaEpochs(this.#context.replica, image, wanted, this.#options)
    return [...epochs.values()].sort((left, right) => left.number - right.number)
  }

  async #install(image: ReplicaImage, epoch: StoredEpoch, records: readonly StoredEpoch[]): Promise<EpochSummary> {
    const { engine } = this.#context
    const { image: name, origin, createdMs, last } = image.owner
    const highest = Math.max(last, ...image.batches.map((batch) => batch.last))
    await engine.installImage({
      image: name, id: image.imageId.toString('hex'), origin, createdMs, records: records.map(identityOf),
      head: epoch.number, nextNumber: Math.max(highest + 1, epoch.nextNumber),
    })
    return this.#summary(name, epoch.number)
  }

  async #fork(image: ReplicaImage, epoch: StoredEpoch): Promise<EpochSummary> {
    const { engine } = this.#context
    const fork = this.#request.as ?? ''
    await engine.installFork({ image: fork, record: identityOf(epoch), source: `${shownName(image)}@${epoch.number}` })
    return this.#summary(fork, 0)
  }

  async #summary(image: string, number: number): Promise<EpochSummary> {
    const found = (await this.#context.engine.log({ image })).find((epoch) => epoch.number === number)
    if (found === undefined) throw new HoldfastError('DAMAGED', `${image}@${number} was installed and is not there`)
    return found
  }

  /** An epoch's record, and what its list names as needed first, while the rest goes on. Rejects nobody. */
  #ahead(image: ReplicaImage, number: number): Ahead {
    const { remote, replica } = this.#context
    const listed = fetchListed(remote, replica, image, number, (notice) => this.#notices.push(notice), this.#options)
    const read = readReplicaEpochs(replica, image, { first: number, last: number }, this.#options)
    const epoch = read.then((epochs) => epochs.get(number))
    epoch.catch(() => undefined)
    return { number, epoch, listed }
  }

  /** To who resumes it meanwhile. Rejects nobody: the restore itself says what is wrong. */
  async #announce(image: ReplicaImage, ahead: Ahead, installed: Promise<EpochSummary>): Promise<void> {
    const { arrives } = this.#context
    const epoch = arrives && await ahead.epoch.catch(() => undefined)
    if (arrives === undefined || epoch?.machine == null) return
    const { as } = this.#request
    arrives({
      image: as ?? image.owner.image, number: as === undefined ? ahead.number : 0, isFork: as !== undefined,
      manifest: epoch.manifest.toString('hex'), facts: JSON.parse(epoch.machine.facts),
      first: firstRecords(ahead.listed).catch(() => ({ parcels: [], workingSet: [] })), installed,
    })
  }

  /** Without a list nothing. Returns the bytes read. */
  async #fetchFirst(epoch: StoredEpoch, installed: EpochSummary, { listed }: Ahead): Promise<number> {
    const fetched = await Promise.all(await listed.windows)
    const set = workingSetOf(await listed.list)
    const address = `${installed.image}@${installed.number}`
    if (set !== null) await this.#context.engine.saveWorkingSet({ epoch: address, set })
    const { machine, manifest } = epoch
    if (machine !== null) this.#context.expect?.({
      manifest: manifest.toString('hex'), facts: JSON.parse(machine.facts),
      parcels: fetched.map(({ parcel }) => parcel),
    })
    return fetched.reduce((sum, { readBytes }) => sum + readBytes, 0)
  }

  #lap(part: string): void {
    const nowMs = this.#context.env.monotonicMs()
    this.#parts[part] = nowMs - this.#lapMs
    this.#lapMs = nowMs
  }
}

/** Records of so many epochs before it come with one that has no list. */
const recentEpochs = 4

/** An epoch of a replica that is being read. */
interface Ahead {
  readonly number: number
  /** Its record. */
  readonly epoch: Promise<StoredEpoch | undefined>
  readonly listed: ListedRecords
}

function newestOf({ batches }: ReplicaImage): number {
  return Math.max(-1, ...batches.map(({ last }) => last))
}
