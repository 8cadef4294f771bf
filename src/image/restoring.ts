/**
 * The calls of an engine that concern replicas. Most bring in what one has: its domain, an image with its records,
 * chunks as they come. An image is there when its records are; its chunks follow when they are wanted.
 */
import { Buffer } from 'node:buffer'
import { decodeKeysFile } from '../crypto/keys-file.ts'
import type { Secret } from '../crypto/secret.ts'
import type { Env } from '../env/env.ts'
import { HoldfastError } from '../errors.ts'
import { decodeEpochIdentity } from '../format/epoch.ts'
import type { StoredEpoch } from '../format/epoch.ts'
import { writeIdentity } from '../store/identity.ts'
import { secretOf, writeKeysFile } from '../store/keys.ts'
import type { LocalChunkStore } from '../store/local-chunk-store.ts'
import type { OpenOptions } from '../store/open.ts'
import type { RecordSource } from '../store/record-source.ts'
import type { ImageCatalog } from './catalog.ts'
import { heldRecords } from './check/held-records.ts'
import type { HeldRecords } from './check/record-copy.ts'
import { parseAddress } from './epochs.ts'
import { ImageFiles } from './image-files.ts'
import type { ImageIdentity } from './image-files.ts'
import { durableIn } from './outbox.ts'
import { reach } from './reach.ts'
import { WaitingFetchClient } from './remote/fetch-client.ts'
import type { FetcherPort, RecordParcel } from './remote/messages.ts'
import { recordsOf } from './remote/messages.ts'
import { type UnfinishedRestore, addSource, finishRestore, readSources, readUnfinished } from './source-list.ts'
import { NodeReader } from './tree/index.ts'
import type { CallOptions, DurablePack, FenceRequest, ImageSummary } from './types.ts'

/** An image as a replica has it. */
export interface InstalledImage {
  image: string
  /** Hex. */
  id: string
  origin: ImageIdentity['origin']
  createdMs: number
  /** First parts of records of epochs, by rising number. */
  records: Uint8Array[]
  /** The epoch that its head begins at: one of them. */
  head: number
  /** Above every number that the image ever used. */
  nextNumber: number
}

export interface JoinedDomain {
  /** Hex. */
  domainId: string
  keyId: number
  /** Of an encrypted domain: its `keys.json`, and the root (hex) that opens it. */
  keys?: { file: Uint8Array; root: string }
}

export interface RestoringEngine {
  /** From now on what is not in the store is asked of this port's fetching thread; the port becomes the engine's. */
  attachSource(port: FetcherPort): void
  /** For one more reader of the store; undefined where it is not encrypted. */
  readerSecret(): Promise<Secret | undefined>
  /** URLs of the replicas that hold what this store does not, the newest first. */
  sources(): Promise<string[]>
  /** Remembers one more, durably; all of them. */
  addSource(args: { url: string; unfinished?: UnfinishedRestore }): Promise<string[]>
  /** Images of which more has to come. */
  unfinished(): Promise<UnfinishedRestore[]>
  /** Nothing more of this image will come. */
  finishRestore(args: { image: string }): Promise<void>
  /** Makes an empty store one of that domain. Errors: WRONG_DOMAIN (it cannot be), KEY_NEEDED (`keys` are missing). */
  joinDomain(args: JoinedDomain): Promise<{ isNew: boolean }>
  /** Errors: EXISTS, DAMAGED (a record is not of this image), BAD_NAME. */
  installImage(args: InstalledImage): Promise<ImageSummary>
  /** A fork of an epoch that is not here but on a replica. `record` is its first part. Errors: EXISTS, DAMAGED. */
  installFork(args: { image: string; record: Uint8Array; source: string }): Promise<ImageSummary>
  /** Epochs that the image has on a replica, besides those installed with it. Errors: DAMAGED, NO_SPACE, IO. */
  addEpochs(args: { image: string; records: Uint8Array[] }): Promise<{ added: number }>
  /** Of each image that is known by its id, which records of epochs are there, and which cannot be read. */
  heldRecords(options?: CallOptions): Promise<HeldRecords[]>
  /** Puts records of a replica into the store, durably. Errors: DAMAGED, NO_SPACE, IO. */
  keepRecords(args: { parcel: RecordParcel }): Promise<{ storedBytes: number }>
  /** Ids, 32 bytes each, of the chunks that an epoch reaches and that are not here; its nodes are fetched. */
  absentChunks(args: { epoch: string }, options?: CallOptions): Promise<{ ids: Uint8Array }>
}

/** What an engine has open; it may be opened anew. */
export interface OpenStore {
  readonly env: Env
  readonly directory: string
  readonly store: LocalChunkStore
  readonly catalog: ImageCatalog
}

export abstract class RestoringCalls {
  #source: RecordSource | undefined

  protected abstract get open(): OpenStore

  /** Opens the store again; `change` is made while it is closed. */
  protected abstract openAnew(options: OpenOptions, change?: () => void): Promise<void>

  attachSource(port: FetcherPort): void {
    this.#source = new WaitingFetchClient(port)
    this.bindSource()
  }

  /** To be called when the store was opened anew. */
  protected bindSource(): void {
    this.open.store.source = this.#source
  }

  async readerSecret(): Promise<Secret | undefined> {
    return secretOf(this.open.store.keys)
  }

  async sources(): Promise<string[]> {
    return readSources(this.open.env, this.open.directory)
  }

  async addSource({ url, unfinished }: { url: string; unfinished?: UnfinishedRestore }): Promise<string[]> {
    return addSource(this.open.env, this.open.directory, url, unfinished)
  }

  async unfinished(): Promise<UnfinishedRestore[]> {
    return readUnfinished(this.open.env, this.open.directory)
  }

  async finishRestore({ image }: { image: string }): Promise<void> {
    finishRestore(this.open.env, this.open.directory, image)
  }

  async joinDomain({ domainId, keyId, keys }: JoinedDomain): Promise<{ isNew: boolean }> {
    const { store, catalog } = this.open
    const { identity } = store
    if (identity.domainId.toString('hex') === domainId && identity.keyId === keyId) return { isNew: false }
    if (store.packs().length > 0 || catalog.names().length > 0) {
      throw new HoldfastError('WRONG_DOMAIN', 'this store holds images of another domain than the replica: restore ' +
        'into a store of its own')
    }
    if (identity.keyId !== 0) {
      throw new HoldfastError('WRONG_DOMAIN', 'this store has keys of its own, and the replica is of another domain: ' +
        'restore into a new store that is made without --encrypt; it takes over how the replica is encrypted')
    }
    if (keyId !== 0 && keys === undefined) {
      throw new HoldfastError('KEY_NEEDED', 'the replica is encrypted: give its passphrase or key file')
    }
    const changed = { storeId: identity.storeId, domainId: Buffer.from(domainId, 'hex'), keyId }
    const secret = keys && { kind: 'root' as const, root: keys.root }
    await this.openAnew({ secret }, () => {
      if (keys !== undefined) writeKeysFile(this.open.env, store.layout, decodeKeysFile(keys.file))
      writeIdentity(this.open.env, this.open.directory, changed)
    })
    return { isNew: true }
  }

  async installImage(args: InstalledImage): Promise<ImageSummary> {
    const { catalog, store } = this.open
    const { image: name, origin, createdMs } = args
    catalog.refuseExisting(name)
    const identity = { image: name, id: Buffer.from(args.id, 'hex'), origin, createdMs }
    const records = args.records.map((bytes) => decodedRecord(bytes, `a record of ${name}`))
    const isOurs = (record: StoredEpoch): boolean =>
      record.imageId.equals(identity.id) && record.domainId.equals(store.identity.domainId)
    const head = records.find(({ number }) => number === args.head)
    if (!records.every(isOurs) || head === undefined) {
      throw new HoldfastError('DAMAGED', `the replica's records are not those of ${name}`)
    }
    return catalog.summary(catalog.install(identity, records, head, args.nextNumber))
  }

  async installFork(args: { image: string; record: Uint8Array; source: string }): Promise<ImageSummary> {
    const { catalog } = this.open
    const { image, record: bytes, source } = args
    catalog.refuseExisting(image)
    const { manifest, machine, pauseUs, note, wallMs, id, number, imageId, image: name } = decodedRecord(bytes, source)
    const parent = { id, imageId, image: name, number }
    const origin = { kind: 'fork' as const, epoch: source }
    return catalog.summary(catalog.create(image, origin, { manifest, machine, pauseUs, note, wallMs, parent }))
  }

  async addEpochs({ image: name, records }: { image: string; records: Uint8Array[] }): Promise<{ added: number }> {
    const image = this.open.catalog.image(name)
    return image.inOrder(async () => {
      const there = new Set(image.files.epochNumbers())
      const epochs = records.map((bytes) => decodedRecord(bytes, `a record of ${name}`))
      const fresh = epochs.filter(({ number, imageId }) => {
        return !there.has(number) && number < image.newest.nextNumber && imageId.equals(image.identity.id)
      })
      for (const epoch of fresh) image.files.publishEpoch(epoch)
      return { added: fresh.length }
    })
  }

  async heldRecords(options: CallOptions = {}): Promise<HeldRecords[]> {
    const { env, directory, catalog, store } = this.open
    const held: HeldRecords[] = []
    for (const name of catalog.names()) {
      const files = new ImageFiles(env, directory, name, store.keys)
      const records = await heldRecords(env, files, { signal: options.signal })
      if (records !== null) held.push(records)
    }
    return held
  }

  async durablePacks({ from }: { from: number }): Promise<DurablePack[]> {
    return durableIn(this.open.store.packs()).filter(({ number }) => number >= from)
  }

  async fence(args: FenceRequest): Promise<{ image: string }> {
    const { catalog } = this.open
    const image = catalog.image(args.image)
    return image.inOrder(async () => ({ image: catalog.fence(image, args) }))
  }

  async keepRecords({ parcel }: { parcel: RecordParcel }): Promise<{ storedBytes: number }> {
    const { store } = this.open
    const storedBytes = store.adoptRecords(recordsOf(parcel))
    await store.sync()
    return { storedBytes }
  }

  async absentChunks({ epoch }: { epoch: string }, options: CallOptions = {}): Promise<{ ids: Uint8Array }> {
    const { store, catalog } = this.open
    const { image, number } = parseAddress(epoch)
    const record = catalog.image(image).files.epoch(number)
    const ids: Buffer[] = []
    const reached = {
      node: () => undefined,
      chunk: (id: Buffer) => void (store.claim(id) || ids.push(id)),
    }
    await reach(store, new NodeReader(store), record, reached, options)
    await store.sync()
    return { ids: Buffer.concat(ids) }
  }
}

function decodedRecord(bytes: Uint8Array, where: string): StoredEpoch {
  return decodeEpochIdentity(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), where)
}
