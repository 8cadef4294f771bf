/**
 * The engine in the caller's thread: it owns the open chunk store and the images of one store. The contract
 * is in engine.ts.
 */
import type { Secret } from '../crypto/secret.ts'
import { systemEnv } from '../env/system.ts'
import type { Env } from '../env/env.ts'
import { HoldfastError } from '../errors.ts'
import { decodeManifest } from '../format/manifest.ts'
import type { LocalChunkStore } from '../store/local-chunk-store.ts'
import { secretOf } from '../store/keys.ts'
import { type OpenOptions, openChunkStore } from '../store/open.ts'
import { storeManifest } from './apply.ts'
import { ImageCatalog, refuseServed } from './catalog.ts'
import { checkStore } from './check/check.ts'
import { Activity } from './collection/activity.ts'
import { collectGarbage } from './collection/collect-garbage.ts'
import type { CollectedGarbage, GarbageRequest } from './collection/types.ts'
import { CountingStore } from './counting-store.ts'
import { detailOf, diffEpochs } from './describe.ts'
import type { Engine } from './engine.ts'
import { parseAddress } from './epochs.ts'
import { exportInode } from './export-file.ts'
import { startHead, takeOverHead } from './head-start.ts'
import { removeLeftovers } from './image-list.ts'
import { ingest } from './ingest.ts'
import { KeyCalls } from './key-calls.ts'
import { likelyChunks, readMachineState, writeWorkingSet } from './machine-state.ts'
import type { MachineEpoch } from './machine-state.ts'
import { fileType, typeOf } from './modes.ts'
import type { OpenImage } from './open-image.ts'
import { findPath } from './paths.ts'
import type { OpenStore } from './restoring.ts'
import { statsOf } from './store-stats.ts'
import { NodeStore } from './tree/index.ts'
import type {
  CallOptions, CheckArguments, CheckReport, CommitRequest, CommitResult, DiffEntry, EpochDetail,
  EpochSummary, HeadStart, ImageSummary, StoreStats,
} from './types.ts'

export interface EngineOptions extends CallOptions, Pick<OpenOptions, 'packBytesMax' | 'secret'> {
  env?: Env
}

/** Errors: NOT_FOUND (no store), LOCKED, KEY_NEEDED, KEY_WRONG, NEWER_VERSION, DAMAGED, IO. */
export async function openLocalEngine(directory: string, options: EngineOptions = {}): Promise<Engine> {
  const env = options.env ?? systemEnv()
  const store = await openChunkStore(env, directory, options)
  removeLeftovers(env, directory)
  return new LocalEngine(env, directory, store, options)
}

class LocalEngine extends KeyCalls implements Engine {
  readonly directory: string
  readonly #env: Env
  #store: LocalChunkStore
  #nodes: NodeStore
  #catalog: ImageCatalog
  readonly #activity = new Activity()
  readonly #packBytesMax: number | undefined
  protected readonly secret: Secret | undefined

  constructor(env: Env, directory: string, store: LocalChunkStore, options: EngineOptions) {
    super()
    this.#env = env
    this.#packBytesMax = options.packBytesMax
    this.secret = options.secret
    this.directory = directory
    this.#store = store
    this.#nodes = new NodeStore(store)
    this.#catalog = new ImageCatalog(env, directory, store)
  }

  createImage(args: { image: string; base: string[] }, options: CallOptions = {}): Promise<ImageSummary> {
    return this.#activity.creating(() => this.#createImage(args, options))
  }

  async #createImage(args: { image: string; base: string[] }, options: CallOptions): Promise<ImageSummary> {
    this.#catalog.refuseExisting(args.image)
    const counting = new CountingStore(this.#store)
    const manifest = await ingest(this.#env, counting, new NodeStore(counting), args.base, options)
    const root = storeManifest(counting, manifest, null)
    await counting.sync()
    const origin = { kind: args.base.length === 0 ? 'empty' as const : 'base' as const }
    const image = this.#catalog.create(args.image, origin, { manifest: root })
    image.statistics.add(0, counting.storedBytes)
    return this.#catalog.summary(image)
  }

  async images(): Promise<ImageSummary[]> {
    return this.#catalog.summaries()
  }

  async log(args: { image: string }): Promise<EpochSummary[]> {
    return this.#catalog.log(this.#catalog.image(args.image))
  }

  async show(args: { epoch: string }): Promise<EpochDetail> {
    const { image, record } = this.#catalog.epoch(args.epoch)
    return { ...image.summary(record), ...detailOf(this.#store, this.#nodes, record) }
  }

  async diff(args: { before: string; after: string }, options: CallOptions = {}): Promise<DiffEntry[]> {
    const [before, after] = [args.before, args.after].map((address) => this.#catalog.epoch(address).record)
    const run = () => diffEpochs(this.#store, this.#nodes, before, after, options)
    return this.#activity.holding([before, after], run)
  }

  async stats(): Promise<StoreStats> {
    return statsOf(this.#env, this.#store, this.#catalog.summaries())
  }

  async pin(args: { epoch: string; pinned: boolean }): Promise<EpochSummary> {
    const { image, record } = this.#catalog.epoch(args.epoch)
    image.files.setPinned(record.number, args.pinned)
    return image.summary(record)
  }

  async remove(args: { target: string }): Promise<{ removedEpochs: number }> {
    if (!args.target.includes('@')) return this.#removeImage(args.target)
    const address = parseAddress(args.target)
    const image = this.#catalog.image(address.image)
    return image.inOrder(async () => {
      this.#catalog.removeEpoch(image, address.number)
      return { removedEpochs: 1 }
    })
  }

  async fork(args: { epoch: string; image: string }): Promise<ImageSummary> {
    const { image: source, record } = this.#catalog.epoch(args.epoch)
    this.#catalog.refuseExisting(args.image)
    const { manifest, machine, pauseUs, note, wallMs, id, number } = record
    const parent = { id, imageId: source.identity.id, image: source.identity.image, number }
    const origin = { kind: 'fork' as const, epoch: args.epoch }
    const fork = this.#catalog.create(args.image, origin, { manifest, machine, pauseUs, note, wallMs, parent })
    return this.#catalog.summary(fork)
  }

  async rollback(
    args: { epoch: string; discard: boolean },
  ): Promise<{ sealed: EpochSummary | null; head: EpochSummary }> {
    const { image, record } = this.#catalog.epoch(args.epoch)
    return this.#activity.holding([record], () => image.inOrder(async () => {
      refuseServed(image)
      const sealed = args.discard ? null : await this.#sealIfChanged(image, `before the rollback to ${args.epoch}`)
      image.resetHead(record)
      return { sealed, head: image.summary(record) }
    }))
  }

  async exportFile(
    args: { epoch: string; path: string; file: string; format: 'raw' | 'qcow2' }, options: CallOptions = {},
  ): Promise<{ bytes: number; dataBytes: number }> {
    const { record } = this.#catalog.epoch(args.epoch)
    const { inode } = findPath(this.#nodes, decodeManifest(this.#store.read(record.manifest)), args.path)
    if (typeOf(inode.mode) !== fileType.regular) {
      throw new HoldfastError('USAGE', `${args.path} is not a regular file: mount a fork of the epoch to copy trees`)
    }
    const run = () => exportInode(this.#env, this.#store, this.#nodes, inode, args, options)
    return this.#activity.holding([record], run)
  }

  check(args: CheckArguments, options: CallOptions = {}): Promise<CheckReport> {
    return this.#activity.upkeep('a check', () => this.#check(args, options))
  }

  collectGarbage(args: GarbageRequest, options: CallOptions = {}): Promise<CollectedGarbage> {
    const context = { env: this.#env, store: this.#store, catalog: this.#catalog, activity: this.#activity }
    return this.#activity.upkeep('gc', () => collectGarbage(context, args, options))
  }

  rebuildIndex(options: CallOptions = {}): Promise<{ packs: number; records: number }> {
    return this.#activity.upkeep('index rebuild', () => this.#rebuildIndex(options))
  }

  async #check(args: CheckArguments, options: CallOptions): Promise<CheckReport> {
    const report = await checkStore({
      env: this.#env, directory: this.directory, store: this.#store,
      isServed: (image) => this.#catalog.isServed(image),
    }, args, options)
    if (report.repairs.length > 0) await this.#catalog.forgetUnserved()
    return report
  }

  async #rebuildIndex(options: CallOptions): Promise<{ packs: number; records: number }> {
    await this.openAnew({ ...options, rebuildIndex: true })
    const stats = this.#store.stats()
    return { packs: stats.packs, records: stats.data.records + stats.node.records }
  }

  protected upkeep<T>(name: string, step: () => Promise<T>): Promise<T> {
    return this.#activity.upkeep(name, step)
  }

  protected get open(): OpenStore {
    return { env: this.#env, directory: this.directory, store: this.#store, catalog: this.#catalog }
  }

  async openHead(args: { image: string; takeover?: boolean }, options: CallOptions = {}): Promise<HeadStart> {
    const image = this.#catalog.image(args.image)
    return image.inOrder(async () => {
      refuseServed(image)
      if (args.takeover === true) return takeOverHead(image, this.#store)
      const { orphans } = decodeManifest(this.#store.read(image.newest.manifest))
      if (image.pendingSegments().length > 0 || orphans.length > 0) {
        await image.commitHead(Infinity, true, options)
      }
      return startHead(image, this.#store)
    })
  }

  async commit(request: CommitRequest, options: CallOptions = {}): Promise<CommitResult> {
    const image = this.#catalog.image(request.image)
    return image.inOrder(async () => {
      if (request.kind === 'head') return image.commitHead(request.segment, false, options)
      return image.seal(request.segment, {
        note: request.note ?? '', wallMs: Math.round(request.wallMs ?? this.#env.wallMs()),
        machine: request.machine ?? null,
      }, options)
    })
  }

  async retired(args: { image: string; segment: number }): Promise<void> {
    this.#catalog.image(args.image).served.retired(args.segment)
  }

  async closeHead(args: { image: string }): Promise<void> {
    const image = this.#catalog.image(args.image)
    await image.inOrder(async () => {
      image.isServed = false
      image.served.end()
      this.#catalog.nameFenced(image)
    })
  }

  async sealHead(args: { image: string; note?: string }, options: CallOptions = {}): Promise<EpochSummary> {
    const image = this.#catalog.image(args.image)
    return image.inOrder(async () => {
      refuseServed(image)
      return this.#seal(image, args.note ?? '', options)
    })
  }

  async machineState(args: { epoch: string }): Promise<MachineEpoch> {
    const { image, record } = args.epoch.includes('@')
      ? this.#catalog.epoch(args.epoch) : this.#catalog.newestMachine(args.epoch)
    return { epoch: image.summary(record), ...readMachineState(this.#store, this.#nodes, record) }
  }

  async recentChunks(args: { epoch: string; paths: string[] }): Promise<{ path: string; chunks: number[] }[]> {
    const { image, record } = this.#catalog.epoch(args.epoch)
    return likelyChunks(this.#env, image.files, this.#store, this.#nodes, record, args.paths)
  }

  async saveWorkingSet(args: { epoch: string; set: { path: string; chunks: number[] }[] }): Promise<void> {
    const { image, record } = this.#catalog.epoch(args.epoch)
    writeWorkingSet(image.files, record.number, args.set)
  }

  async close(): Promise<void> {
    await this.#catalog.settle()
    await this.#store.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  protected async openAnew(options: OpenOptions, change: () => void = () => undefined): Promise<void> {
    await this.#catalog.forget()
    const opening = { packBytesMax: this.#packBytesMax, secret: secretOf(this.#store.keys), ...options }
    await this.#store.close()
    change()
    this.#store = await openChunkStore(this.#env, this.directory, opening)
    this.#nodes = new NodeStore(this.#store)
    this.#catalog = new ImageCatalog(this.#env, this.directory, this.#store)
    this.bindSource()
  }

  async #removeImage(name: string): Promise<{ removedEpochs: number }> {
    const { damaged } = this.#catalog.summaries().find(({ image }) => image === name) ?? {}
    if (damaged !== undefined) return { removedEpochs: this.#catalog.removeDamaged(name) }
    const image = this.#catalog.image(name)
    return image.inOrder(async () => ({ removedEpochs: this.#catalog.removeImage(image) }))
  }

  async #seal(image: OpenImage, note: string, options: CallOptions): Promise<EpochSummary> {
    const detail = { note, wallMs: Math.round(this.#env.wallMs()), machine: null }
    return (await image.seal(Infinity, detail, options)).epoch!
  }

  async #sealIfChanged(image: OpenImage, note: string): Promise<EpochSummary | null> {
    return image.hasUnsealedChanges ? this.#seal(image, note, {}) : null
  }
}
