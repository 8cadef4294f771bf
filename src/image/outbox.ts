/** What a store has for its replicas, read from its files: `replica/outbox.ts` has the contract. */
import { Buffer } from 'node:buffer'
import type { Env } from '../env/env.ts'
import { HoldfastError, assert, isCode } from '../errors.ts'
import type { DomainKeys } from '../crypto/domain-keys.ts'
import type { KeysFile } from '../crypto/keys-file.ts'
import { encodeEpoch, epochIdentityOf } from '../format/epoch.ts'
import type { RunEntry } from '../format/index-run.ts'
import { packHeaderBytes } from '../format/pack-header.ts'
import { imageKey } from '../replica/layout.ts'
import type { LocalImage, LocalPack, Outbox } from '../replica/outbox.ts'
import { readIdentity } from '../store/identity.ts'
import { readKeysFile } from '../store/keys.ts'
import { StoreLayout } from '../store/layout.ts'
import type { PackInfo } from '../store/pack-set.ts'
import { readFooter, scanRecords } from '../store/pack-scan.ts'
import type { ThreadReader } from '../store/thread-reader.ts'
import { readFence } from './fence.ts'
import { ImageFiles } from './image-files.ts'
import { listImages } from './image-list.ts'
import { prefetchListOf } from './prefetch.ts'
import { hasSources } from './source-list.ts'
import type { DurablePack, FenceRequest } from './types.ts'

/** What only the thread can tell, or do, that writes the store. */
export interface OutboxEngine {
  durablePacks(args: { from: number }): Promise<DurablePack[]>
  fence(args: FenceRequest): Promise<{ image: string }>
}

/** The packs whose records were put here, as far as they are durable. */
export function durableIn(packs: readonly PackInfo[]): DurablePack[] {
  return packs.filter(({ isCopied }) => !isCopied).map(({ packId, number, path, closed, syncedBytes }) => {
    return { packId: packId.toString('hex'), number, path, bytes: syncedBytes, isClosed: closed }
  })
}

/** What was read of an image, and of what its files were then. */
interface KnownImage {
  readonly ino: bigint
  /** A file that is removed and made again can have the same number. */
  readonly identityNs: bigint
  readonly fenceNs: bigint
  readonly image: LocalImage
  epochs: { mtimeNs: bigint; numbers: number[] } | null
}

/** Directories whose time is younger may yet change without showing it. */
const settledNs = 50_000_000n

export class StoreOutbox implements Outbox {
  readonly storeId: Buffer
  readonly domainId: Buffer
  readonly keyId: number
  readonly keys: DomainKeys | null
  readonly #env: Env
  readonly #directory: string
  readonly #engine: OutboxEngine
  readonly #reader: ThreadReader | undefined
  readonly #known = new Map<string, KnownImage>()

  /**
   * `reader` is the calling thread's; without one there are no prefetch lists. `keys` are the store's, by default the
   * reader's. Errors: as reading the store's identity.
   */
  constructor(
    env: Env, storeDirectory: string, engine: OutboxEngine, reader?: ThreadReader, keys = reader?.keys ?? null,
  ) {
    const { storeId, domainId, keyId } = readIdentity(env, new StoreLayout(storeDirectory))
    assert((keyId === 0) === (keys === null), 'what an encrypted store has is read with its keys')
    this.keys = keys
    this.storeId = storeId
    this.domainId = domainId
    this.keyId = keyId
    this.#env = env
    this.#directory = storeDirectory
    this.#engine = engine
    this.#reader = reader
  }

  keysFile(): KeysFile | null {
    return this.keys === null ? null : readKeysFile(this.#env, new StoreLayout(this.#directory))
  }

  isRestored(): boolean {
    return hasSources(this.#env, this.#directory)
  }

  images(): LocalImage[] {
    const names = listImages(this.#env, this.#directory)
    for (const name of this.#known.keys()) if (!names.includes(name)) this.#known.delete(name)
    return names.flatMap((name) => this.#image(name)?.image ?? [])
  }

  epochNumbers({ image }: LocalImage, after: number): number[] {
    const known = this.#image(image)
    if (known === null) return []
    try {
      return this.#numbers(known).filter((number) => number > after)
    } catch (error) {
      // It was removed, or got another name, since it was listed.
      if (isCode(error, 'NOT_FOUND')) return []
      throw error
    }
  }

  record({ image, imageId, key }: LocalImage, number: number): Buffer | null {
    try {
      const epoch = this.#files(image).epoch(number)
      const isIts = epoch.imageId.equals(imageId) && epoch.number === number
      return isIts ? Buffer.from(epochIdentityOf(encodeEpoch(epoch))) : null
    } catch (error) {
      if (!isCode(error, 'NOT_FOUND', 'DAMAGED', 'BAD_FORMAT')) throw error
      // Of an image that got another name since, nothing may count as removed.
      if (this.#image(image)?.image.key === key) return null
      throw new HoldfastError('NOT_FOUND', `there is no image ${image} any more`, { cause: error })
    }
  }

  async cut(from: number): Promise<readonly LocalPack[]> {
    const packs = await this.#engine.durablePacks({ from })
    return packs.map(({ packId, ...pack }) => ({ ...pack, packId: Buffer.from(packId, 'hex') }))
  }

  entries({ path, packId, isClosed }: LocalPack, offset: number, end: number): RunEntry[] {
    using file = this.#env.open(path, 'read')
    const footer = isClosed ? readFooter(file) : undefined
    if (footer !== undefined) {
      return Array.from({ length: footer.count }, (_, at) => ({ at, place: footer.place(at) }))
        .filter(({ place }) => place.offset >= offset)
        .map(({ at, place }) => ({ id: Buffer.from(footer.id(at)), packId, place }))
    }
    const entries: RunEntry[] = []
    for (const found of scanRecords(file, Math.max(offset, packHeaderBytes), end)) {
      if (found.type === 'gap') continue
      const { header: { id, kind, codec, depth }, offset: at, recordBytes } = found
      entries.push({ id: Buffer.from(id), packId, place: { offset: at, recordBytes, kind, codec, depth } })
    }
    return entries
  }

  prefetch({ image }: LocalImage, number: number): Buffer | null {
    return this.#reader === undefined
      ? null : prefetchListOf(this.#env, this.#directory, this.#reader, image, number, this.keys)
  }

  async fence(image: LocalImage, generation: number, last: number): Promise<void> {
    await this.#engine.fence({ image: image.image, key: image.key, generation, last })
  }

  #files(image: string): ImageFiles {
    return new ImageFiles(this.#env, this.#directory, image, this.keys)
  }

  #numbers(known: KnownImage): number[] {
    const files = this.#files(known.image.image)
    const { mtimeNs } = this.#env.stat(files.layout.epochs)
    if (known.epochs?.mtimeNs === mtimeNs) return known.epochs.numbers
    const numbers = files.epochNumbers()
    const isSettled = BigInt(Math.round(this.#env.wallMs())) * 1_000_000n - mtimeNs > settledNs
    known.epochs = isSettled ? { mtimeNs, numbers } : null
    return numbers
  }

  /** Null where it cannot be read: its damage is told elsewhere. */
  #image(name: string): KnownImage | null {
    try {
      const files = this.#files(name)
      const { ino, mtimeNs: identityNs } = this.#env.stat(files.layout.identity)
      const { layout } = files
      const fenceNs = this.#env.exists(layout.fence) ? this.#env.stat(layout.fence).mtimeNs : 0n
      const known = this.#known.get(name)
      if (known?.ino === ino && known.identityNs === identityNs && known.fenceNs === fenceNs) return known
      const { id, origin, createdMs } = files.identity()
      const fence = readFence(this.#env, layout)
      const key = imageKey(id, fence?.generations)
      const shown = fence?.name ?? name
      const image = { image: name, shown, imageId: id, key, origin, createdMs, after: fence?.last ?? -1 }
      const read = { ino, identityNs, fenceNs, image, epochs: null }
      this.#known.set(name, read)
      return read
    } catch (error) {
      if (isCode(error, 'NOT_FOUND', 'DAMAGED', 'BAD_FORMAT', 'NEWER_VERSION')) return null
      throw error
    }
  }
}
