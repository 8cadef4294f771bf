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
import { type CollectCall } from '../collection/collect-replica.ts'
import { PackHomes } from '../collection/pack-homes.ts'
import type { ReplicaCollected, ReplicaCollectionRequest } from '../collection/types.ts'
import { intentsPrefixOf } from '../layout.ts'
import type { LocalImage, LocalPack, Outbox } from '../outbox.ts'
import { type PackPlace, type ReplicaEntry, type ReplicaNote, emptyNote } from '../registry.ts'
import { packsAtOnceMax } from '../limits.ts'
import { generationDirectory, indexDirectory, packDirectory, prefetchDirectory } from '../layout.ts'
import { joinPath } from '../paths.ts'
import { Publisher } from '../publisher.ts'
import type { CallOptions, Replica } from '../replica.ts'
import { type Authority, authorityReplica } from './authority.ts'
import { CopiesWait } from './copies-wait.ts'
import { collectOn, notesOfImagesHere } from './feed-collection.ts'
import { inGroups, together } from './groups.ts'
import { ImageFeed } from './image-feed.ts'
import { InheritedPacks } from './inherited-packs.ts'
import { PackFeed, putIn } from './pack-feed.ts'
import { copyReplica } from './replica-copy.ts'
import { ReplicaDoor } from './replica-door.ts'
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
  readonly #homes: PackHomes
  readonly #door: ReplicaDoor
  readonly #inherited: InheritedPacks
  /** Images of which it was told why they are not brought. */
  readonly #orphans = new Set<string>()
  /** As of the last cut. */
  #local: readonly LocalPack[] = []
  #note: ReplicaNote

  constructor(parts: FeedParts) {
    const { env, replica, outbox } = parts
    this.#parts = parts
    const saveAliases = (aliases: ReplicaNote['aliases']): void => this.#save({ aliases })
    this.#packs = new PackFeed({ env, replica, outbox, aliases: parts.note.aliases, saveAliases })
    const self = intentsPrefixOf(outbox.storeId) + env.randomBytes(8).toString('hex')
    const [replace, holds] = [this.#replace.bind(this), this.#holds.bind(this)]
    this.#publisher = new Publisher(replica, self, replace, holds)
    this.#homes = new PackHomes(replica, outbox.storeId)
    const local = (): string[] => this.#local.map((pack) => this.#packs.nameOf(pack))
    this.#inherited = new InheritedPacks(replica, outbox, this.#homes, local)
    this.#copies = new CopiesWait(env, replica, parts.copiesWaitMs)
    this.#runs = new RunFeed(replica, outbox.storeId, outbox)
    this.#door = new ReplicaDoor(parts)
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
    await this.#door.enter(this.#note === emptyNote, call)
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
      if (!this.#packs.isSettled(pack)) break
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

  /**
   * Collects garbage there: see `collection/collect-replica.ts`. The replica is brought up to the store before, but for
   * a dry run. Errors: as `step`, FEW_COPIES, DAMAGED, BAD_FORMAT, NEWER_VERSION.
   */
  async collect(request: ReplicaCollectionRequest, call: CollectCall): Promise<ReplicaCollected> {
    const { env, replica, outbox, authority } = this.#parts
    const isForgetting = (request.forget ?? []).length > 0 && request.dryRun === null
    const bring: FeedCall = { ...call, progress: (done, total) => call.progress?.('bringing packs', done, total) }
    if (request.dryRun === null) while ((await this.step(bring)).epochs > 0);
    await this.#door.enter(this.#note === emptyNote, call)
    this.#local = await outbox.cut(0)
    try {
      return await collectOn({
        env, replica, outbox, homes: this.#homes, runs: this.#runs, inherited: this.#inherited, local: this.#local,
        nameOf: (pack) => this.#packs.nameOf(pack), copied: (paths, options) => this.#copied(paths, options),
        feedOf: (image) => this.#imageFeed(image), known: (image) => this.#note.images[image.key]?.published ?? -1,
        authority: () => authorityReplica(authority, replica),
      }, request, call)
    } finally {
      // Batches have other names now, and name other packs.
      this.#images.clear()
      this.#inherited.forget()
      if (isForgetting) this.#save({ images: notesOfImagesHere(this.#note, outbox) })
    }
  }

  /** Looks again at what the replica has. */
  forget(): void {
    this.#inherited.forget()
    this.#packs.forget()
    this.#runs.forget()
    this.#images.clear()
    this.#door.forget()
    this.#publisher.forget()
    this.#note = emptyNote
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

  async #holds(name: string, call: CallOptions): Promise<boolean> {
    const pack = this.#local.find((each) => this.#packs.nameOf(each) === name)
    return pack === undefined || this.#packs.holds(pack, call)
  }

  async #publish(image: LocalImage, numbers: readonly number[], call: CallOptions): Promise<number> {
    await this.#inherited.names(call)
    const orphaned = this.#inherited.orphaned(image.key)
    if (orphaned !== undefined) {
      if (!this.#orphans.has(image.key)) this.#parts.onEvent(orphaned)
      this.#orphans.add(image.key)
      return 0
    }
    const feed = this.#imageFeed(image)
    const known = this.#note.images[image.key]
    const { published, generation, epochs, batches } = await feed.publish(numbers, known?.published ?? -1, call)
    await this.#copied(batches, call)
    if (published !== known?.published || generation !== known.generation) {
      this.#save({ images: { ...this.#note.images, [image.key]: { published, generation } } })
    }
    return epochs
  }

  #imageFeed(image: LocalImage): ImageFeed {
    const { env, outbox, replica, entry: { self }, authority, onEvent } = this.#parts
    const known = this.#images.get(image.key)
    if (known !== undefined) return known
    const packs = async (call: CallOptions): Promise<string[]> => {
      return [...await this.#inherited.names(call), ...this.#local.map((pack) => this.#packs.nameOf(pack))]
    }
    const follows = authority === null ? null : () => authority.published(image.key)?.generation ?? 0
    const [publisher, copies] = [this.#publisher, this.#copies]
    const feed = new ImageFeed({ env, outbox, replica, self, image, follows, onEvent, publisher, copies, packs })
    this.#images.set(image.key, feed)
    return feed
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
