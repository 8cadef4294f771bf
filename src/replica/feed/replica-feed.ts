/**
 * Brings one replica up to the store: packs and the index run first, then the records, in batches. What is to be
 * done is found out anew by each step from the outbox and from what the replica is known to have, so a step that fails
 * half-way loses nothing: the next one goes on.
 *
 * Records come from the authority's order: another replica gets one when the authority has it. So a writer that was
 * replaced without knowing leaves its own history nowhere but in its fork.
 */
import type { Env } from '../../env/env.ts'
import { HoldfastError } from '../../errors.ts'
import { joinDomain } from '../domain.ts'
import { bringKeys } from '../keys-object.ts'
import type { LocalImage, LocalPack, Outbox } from '../outbox.ts'
import { type PackPlace, type PublishedImage, type ReplicaEntry, type ReplicaNote, emptyNote } from '../registry.ts'
import { lookForRootMs, packsAtOnceMax } from '../limits.ts'
import { domainPath, generationDirectory, indexDirectory, packDirectory, prefetchDirectory } from '../layout.ts'
import { joinPath } from '../paths.ts'
import { Publisher } from '../publisher.ts'
import type { CallOptions, Replica } from '../replica.ts'
import { CopiesWait } from './copies-wait.ts'
import { inGroups } from './groups.ts'
import { ImageFeed } from './image-feed.ts'
import { PackFeed, putIn } from './pack-feed.ts'
import { copyReplica } from './replica-copy.ts'
import { RunFeed } from './run-feed.ts'

export interface FeedParts {
  readonly env: Env
  readonly outbox: Outbox
  readonly entry: ReplicaEntry
  readonly replica: Replica
  readonly note: ReplicaNote
  readonly copiesWaitMs: number
  readonly saveNote: (note: ReplicaNote) => void
  /** What the authority has of an image; null for the authority itself. */
  readonly authority: Authority | null
  readonly onEvent: (message: string) => void
}

/** What the others follow. */
export interface Authority {
  readonly replica: () => Replica | undefined
  readonly published: (key: string) => PublishedImage | undefined
}

/** What one step has done. */
export interface FeedStep {
  readonly epochs: number
  readonly bytes: number
}

export interface FeedCall extends CallOptions {
  /** Bytes sent so far, of those known to be sent. */
  readonly progress?: (done: number, total: number) => void
}

export class ReplicaFeed {
  readonly #parts: FeedParts
  readonly #packs: PackFeed
  readonly #runs: RunFeed
  readonly #images = new Map<string, ImageFeed>()
  readonly #publisher: Publisher
  readonly #copies: CopiesWait
  /** As of the last cut. */
  #local: readonly LocalPack[] = []
  #note: ReplicaNote
  #isJoined = false
  /** Of the keys that were compared with the replica's last. */
  #keysRevision = -1
  /** When its root was last seen, by the monotonic clock. */
  #lookedMs = -Infinity

  constructor(parts: FeedParts) {
    const { env, replica, outbox } = parts
    this.#parts = parts
    this.#packs = new PackFeed(env, replica, parts.note.aliases, (aliases) => this.#save({ aliases }))
    this.#publisher = new Publisher(replica, env.randomBytes(8).toString('hex'), (names, attempt, call) => {
      return this.#replace(names, attempt, call)
    })
    this.#copies = new CopiesWait(env, replica, parts.copiesWaitMs)
    this.#runs = new RunFeed(replica, outbox.storeId, outbox)
    this.#note = parts.note
  }

  get note(): ReplicaNote {
    return this.#note
  }

  /** Records that are to be published now: those that the authority has, of another replica. */
  pending(): { image: LocalImage; numbers: number[] }[] {
    const { outbox, authority } = this.#parts
    return outbox.images().flatMap((image) => {
      const from = Math.max(image.after, this.#note.images[image.key]?.published ?? -1)
      const upTo = authority === null ? Infinity : authority.published(image.key)?.published ?? -1
      const numbers = from >= upTo ? [] : outbox.epochNumbers(image, from).filter((number) => number <= upTo)
      return numbers.length === 0 ? [] : [{ image, numbers }]
    })
  }

  /** One batch. Errors: those of the replica, WRONG_DOMAIN; what an image alone suffers from is told as an event. */
  async step(call: FeedCall): Promise<FeedStep> {
    await this.#join(call)
    const pending = this.pending()
    const packs = await this.#parts.outbox.cut(0)
    this.#local = packs
    const isNew = Object.keys(this.#note.images).length === 0
    const copied = isNew && pending.length > 0 ? await this.#copy(call) : 0
    const [bytes] = await together([
      this.#bring(packs, call), this.#index(packs, call), this.#helpers(pending, call),
    ])
    let epochs = 0
    for (const { image, numbers } of pending) epochs += await this.#publish(image, numbers, call)
    this.#save({})
    return { epochs, bytes: bytes + copied }
  }

  /** What nobody waits for: whole packs instead of ranges, merged runs and batches. */
  async settle(call: CallOptions): Promise<void> {
    await this.#copies.wait(this.#packs.doubled(), call)
    await this.#packs.tidy(call)
    const packs = await this.#parts.outbox.cut(this.#note.packsFrom)
    let packsFrom = this.#note.packsFrom
    for (const pack of packs) {
      await this.#packs.settle(pack, call)
      if (!this.#packs.isWhole(pack)) break
      packsFrom = pack.number + 1
    }
    if (packsFrom !== this.#note.packsFrom) this.#save({ packsFrom })
  }

  /** Merges what has become many small objects: between two steps, as both publish. */
  async merge(call: CallOptions): Promise<void> {
    await this.#runs.tidy(call)
    while (await this.#runs.merge(call));
    for (const image of this.#images.values()) await image.merge(call)
  }

  /** Looks again at what the replica has. */
  forget(): void {
    this.#packs.forget()
    this.#runs.forget()
    this.#images.clear()
    this.#isJoined = false
    this.#keysRevision = -1
    this.#lookedMs = -Infinity
    this.#note = emptyNote
  }

  /** A disk that is not mounted looks empty: what was a replica is filled anew only when somebody asks for it. */
  async #join(call: CallOptions): Promise<void> {
    const { replica, outbox } = this.#parts
    const isNew = this.#note === emptyNote
    const nowMs = this.#parts.env.monotonicMs()
    const isDue = nowMs - this.#lookedMs >= lookForRootMs
    if (!isNew && isDue && await replica.stat(domainPath, call) === null) {
      const message = `${replica.url} is empty, and it was not: look whether its disk is there, or have it filled again`
      throw new HoldfastError('NOT_FOUND', `${message} with 'holdfast replica sync'`, { info: { url: replica.url } })
    }
    if (isDue) this.#lookedMs = nowMs
    if (!this.#isJoined) await joinDomain(replica, outbox, call)
    this.#isJoined = true
    await this.#bringKeys(isDue, call)
  }

  /** They are there before anything that is sealed with them. */
  async #bringKeys(isDue: boolean, call: CallOptions): Promise<void> {
    const { replica, outbox, onEvent } = this.#parts
    const keys = outbox.keysFile()
    if (keys === null || (!isDue && keys.revision === this.#keysRevision)) return
    const outcome = await bringKeys(replica, keys, call)
    if (outcome === 'older' && this.#keysRevision !== keys.revision) {
      onEvent('another store of the domain has changed its keys: the replica opens with the secrets of that one')
    }
    this.#keysRevision = keys.revision
  }

  /** What other stores have on the authority: here it may be that epochs of ours build on it. */
  async #copy(call: CallOptions): Promise<number> {
    const { authority, replica, outbox } = this.#parts
    const from = authority?.replica()
    if (from === undefined) return 0
    const ours = new Set([
      indexDirectory(outbox.storeId), ...this.#local.map(({ packId }) => packDirectory(packId)),
      ...outbox.images().map(({ key }) => generationDirectory(key, authority?.published(key)?.generation ?? 0)),
    ])
    return copyReplica({ from, to: replica, isOurs: (directory) => ours.has(directory) }, call)
  }

  async #bring(packs: readonly LocalPack[], call: FeedCall): Promise<number> {
    let sent = 0
    const missing = packs.filter(({ number }) => number >= this.#note.packsFrom)
    const total = missing.reduce((sum, { bytes }) => sum + bytes, 0)
    let seen = 0
    await inGroups(missing, packsAtOnceMax, async (pack) => {
      sent += await this.#packs.bring(pack, call)
      seen += pack.bytes
      call.progress?.(seen, total)
    })
    return sent
  }

  /** Runs for what no run names yet. They may come before the packs: an entry that leads nowhere is a miss. */
  async #index(packs: readonly LocalPack[], call: CallOptions): Promise<void> {
    for (const pack of packs) {
      const { indexed } = this.#note
      const offset = pack.number === indexed.pack ? indexed.offset : 0
      if (pack.number < indexed.pack || offset >= pack.bytes) continue
      const entries = this.#parts.outbox.entries(pack, offset, pack.bytes)
      if (entries.length > 0) await this.#runs.add(entries, call)
      this.#save({ indexed: { pack: pack.number, offset: pack.bytes } satisfies PackPlace })
    }
  }

  /** Lists of what to fetch first: of the newest epoch of each batch. */
  async #helpers(pending: readonly { image: LocalImage; numbers: number[] }[], call: CallOptions): Promise<void> {
    for (const { image, numbers } of pending) {
      const number = numbers.at(-1) ?? 0
      const list = this.#parts.outbox.prefetch(image, number)
      if (list === null) continue
      const directory = joinPath(prefetchDirectory, image.key)
      await putIn(this.#parts.replica, directory, String(number).padStart(8, '0'), list, { ...call, replace: true })
    }
  }

  /** What is going there, or gone, is brought again. What others brought cannot be. */
  async #replace(
    names: readonly string[], attempt: string, call: CallOptions,
  ): Promise<Record<string, readonly string[]>> {
    const packs = names.map((name) => {
      const pack = this.#local.find((each) => this.#packs.nameOf(each) === name)
      if (pack !== undefined) return pack
      const { url } = this.#parts.replica
      throw new HoldfastError('DAMAGED', `pack ${name}, which epochs here build on, is going from ${url}`)
    })
    await this.#packs.replace(packs, attempt, call)
    const first = Math.min(...packs.map(({ number }) => number))
    if (first <= this.#note.copied.pack) this.#save({ copied: { pack: first, offset: 0 } })
    return Object.fromEntries(names.map((name, at) => [name, [this.#packs.nameOf(packs[at])]]))
  }

  async #publish(image: LocalImage, numbers: readonly number[], call: CallOptions): Promise<number> {
    const { env, outbox, replica, entry, authority, onEvent } = this.#parts
    let feed = this.#images.get(image.key)
    if (feed === undefined) {
      const packs = (): string[] => this.#local.map((pack) => this.#packs.nameOf(pack))
      const follows = authority === null ? null : () => authority.published(image.key)?.generation ?? 0
      const [publisher, copies] = [this.#publisher, this.#copies]
      const { self } = entry
      feed = new ImageFeed({ env, outbox, replica, self, image, follows, onEvent, publisher, copies, packs })
      this.#images.set(image.key, feed)
    }
    const known = this.#note.images[image.key]
    const { published, generation, epochs, batches } = await feed.publish(numbers, known?.published ?? -1, call)
    await this.#copied(batches, call)
    if (published !== known?.published || generation !== known.generation) {
      this.#save({ images: { ...this.#note.images, [image.key]: { published, generation } } })
    }
    return epochs
  }

  /** Only what would outlive a disk there counts: of what is published, and of the packs before it. */
  async #copied(batches: readonly string[], call: CallOptions): Promise<void> {
    const { copied } = this.#note
    const paths = [...batches]
    for (const pack of this.#local) {
      const offset = pack.number === copied.pack ? copied.offset : 0
      if (pack.number < copied.pack || offset >= pack.bytes) continue
      paths.push(...await this.#packs.objects(pack, offset, call))
    }
    await this.#copies.wait(paths, call)
    const last = this.#local.at(-1)
    if (last !== undefined) this.#save({ copied: { pack: last.number, offset: last.bytes } })
  }

  #save(change: Partial<ReplicaNote>): void {
    this.#note = { ...this.#note, ...change }
    if (Object.keys(change).length > 0) this.#parts.saveNote(this.#note)
  }
}

/** All are over before a failure of one is told: nothing of a failed step overlaps the next. */
async function together<T extends readonly unknown[]>(steps: { [K in keyof T]: Promise<T[K]> }): Promise<T> {
  for (const outcome of await Promise.allSettled(steps)) if (outcome.status === 'rejected') throw outcome.reason
  return Promise.all(steps) as Promise<unknown> as Promise<T>
}
