/** The images of an open store: found by name, opened once, made and removed whole. */
import type { Env } from '../env/env.ts'
import { HoldfastError, isCode, messageOf } from '../errors.ts'
import type { EpochRecord, StoredEpoch } from '../format/epoch.ts'
import { imageKey } from '../replica/layout.ts'
import type { LocalChunkStore } from '../store/local-chunk-store.ts'
import { parseAddress, summarizeDamaged } from './epochs.ts'
import { type Fence, fencedName, renameFenced, writeFence } from './fence.ts'
import { createImageFiles, ImageFiles, removeImageFiles } from './image-files.ts'
import { listImages } from './image-list.ts'
import type { ImageIdentity } from './image-files.ts'
import { checkImageName } from './image-name.ts'
import { OpenImage } from './open-image.ts'
import { parentOf } from './parent.ts'
import { ReplicaLevels } from './replica-levels.ts'
import type { EpochSummary, FenceRequest, ImageSummary } from './types.ts'

/** What an image's first epoch is made of besides what its identity says. */
export type FirstEpoch = Pick<EpochRecord, 'manifest'> &
  Partial<Pick<EpochRecord, 'parent' | 'machine' | 'pauseUs' | 'note' | 'wallMs'>>

/** What the bytes of a record or an identity can be guilty of. */
const unreadable = ['DAMAGED', 'BAD_FORMAT', 'NEWER_VERSION', 'NOT_FOUND', 'KEY_NEEDED', 'WRONG_DOMAIN']

export class ImageCatalog {
  readonly #env: Env
  readonly #directory: string
  readonly #store: LocalChunkStore
  readonly #images = new Map<string, OpenImage>()
  readonly #levels: ReplicaLevels

  constructor(env: Env, directory: string, store: LocalChunkStore) {
    this.#levels = new ReplicaLevels(env, directory)
    this.#env = env
    this.#directory = directory
    this.#store = store
  }

  names(): string[] {
    return listImages(this.#env, this.#directory)
  }

  /** Errors: BAD_NAME, NOT_FOUND, DAMAGED, NEWER_VERSION. */
  image(name: string): OpenImage {
    const known = this.#images.get(checkImageName(name))
    if (known !== undefined) return known
    const { identity: { domainId, keyId }, keys } = this.#store
    const context = {
      env: this.#env, directory: this.#directory, store: this.#store, domainId, keyId, keys, levels: this.#levels,
    }
    const image = new OpenImage(context, name)
    this.#images.set(name, image)
    return image
  }

  isServed(name: string): boolean {
    return this.#images.get(name)?.isServed ?? false
  }

  /** Errors: USAGE, and as `image`. */
  epoch(address: string): { image: OpenImage; record: StoredEpoch } {
    const { image: name, number } = parseAddress(address)
    const image = this.image(name)
    return { image, record: image.files.epoch(number) }
  }

  /** The newest epoch that can be read and has a machine. Errors: NOT_FOUND, and as `image`. */
  newestMachine(name: string): { image: OpenImage; record: StoredEpoch } {
    const image = this.image(name)
    for (const number of image.files.epochNumbers().reverse()) {
      const record = readable(() => image.files.epoch(number))
      if (record !== null && record.machine !== null) return { image, record }
    }
    const remedy = `start it with 'holdfast vm start ${name}' and take a checkpoint`
    throw new HoldfastError('NOT_FOUND', `image ${name} has no epoch with a machine: ${remedy}`)
  }

  /** The epochs that images were forked from, by the images' first records, as far as these are there. */
  forkedFrom(): { image: string; imageId: Buffer; number: number }[] {
    return this.names().flatMap((name) => {
      const first = readable(() => this.image(name).files.epoch(0))
      return first === null || first.parent === null ? [] : [{ ...first.parent, image: name }]
    })
  }

  /** Of every image, also of one that is damaged: it must not hide the others. */
  summaries(): ImageSummary[] {
    return this.names().map((name) => {
      try {
        return this.summary(this.image(name))
      } catch (error) {
        if (!isCode(error, ...unreadable)) throw error
        const numbers = numbersOf(new ImageFiles(this.#env, this.#directory, name, this.#store.keys))
        return {
          image: name, id: '', origin: { kind: 'empty' }, epochs: numbers.length, newest: numbers.at(-1) ?? -1,
          createdMs: 0, damaged: messageOf(error),
        }
      }
    })
  }

  /** In the order of their numbers, damaged ones too. */
  log(image: OpenImage): EpochSummary[] {
    return image.files.epochNumbers().map((number) => {
      try {
        return image.summary(image.files.epoch(number))
      } catch (error) {
        if (!isCode(error, ...unreadable)) throw error
        return summarizeDamaged(image.files, number, messageOf(error))
      }
    })
  }

  summary(image: OpenImage): ImageSummary {
    const { identity } = image
    const numbers = image.files.epochNumbers()
    return {
      image: identity.image, id: identity.id.toString('hex'), origin: identity.origin, epochs: numbers.length,
      newest: numbers.at(-1) ?? -1, createdMs: identity.createdMs, ...fencedOf(image.fence),
    }
  }

  /** Errors: BAD_NAME, EXISTS. */
  refuseExisting(name: string): void {
    if (!this.names().includes(checkImageName(name))) return
    throw new HoldfastError('EXISTS', `there is an image ${name} already: choose another name, or remove it`)
  }

  /** Makes an image whose epoch 0 is given; its chunks are synced. Errors: EXISTS, NO_SPACE, IO. */
  create(name: string, origin: ImageIdentity['origin'], first: FirstEpoch): OpenImage {
    const identity = {
      image: name, id: this.#env.randomBytes(16), origin, createdMs: Math.round(this.#env.wallMs()),
    }
    createImageFiles(this.#env, this.#directory, identity, [this.#firstRecord(identity, first)], this.#store.keys)
    return this.image(name)
  }

  /**
   * An image as a replica has it, whose head begins at one of its epochs. Its chunks may be on replicas only.
   * Errors: EXISTS, NO_SPACE, IO.
   */
  install(identity: ImageIdentity, epochs: readonly StoredEpoch[], at: StoredEpoch, nextNumber: number): OpenImage {
    const isNewest = epochs.at(-1) === at && at.nextNumber === nextNumber
    const head = isNewest ? [] : [headAt(at, identity, nextNumber)]
    createImageFiles(this.#env, this.#directory, identity, [...epochs, ...head], this.#store.keys)
    return this.image(identity.image)
  }

  /** A damaged record too, unless the head stands on it. Errors: NOT_FOUND, PINNED, DAMAGED, IO. */
  removeEpoch(image: OpenImage, number: number): void {
    if (!image.files.epochNumbers().includes(number)) image.files.epoch(number)
    refusePinned(image.files, [number])
    image.detachHead()
    image.files.removeEpochs([number])
  }

  /** The number of its epochs. Errors: BUSY, PINNED, IO. */
  removeImage(image: OpenImage): number {
    refuseServed(image)
    const numbers = image.files.epochNumbers()
    refusePinned(image.files, numbers)
    removeImageFiles(this.#env, this.#directory, image.identity.image)
    this.#images.delete(image.identity.image)
    return numbers.length
  }

  /** Removes an image whose identity cannot be read, and nothing else can be done with. Errors: PINNED, IO. */
  removeDamaged(name: string): number {
    const files = new ImageFiles(this.#env, this.#directory, name, this.#store.keys)
    const numbers = files.epochNumbers()
    refusePinned(files, numbers)
    removeImageFiles(this.#env, this.#directory, name)
    return numbers.length
  }

  /** See `Engine.fence`. */
  fence(image: OpenImage, { key, generation, last }: FenceRequest): string {
    const generations = image.fence?.generations ?? []
    if (imageKey(image.identity.id, generations) !== key) return image.fence?.name ?? image.identity.image
    const name = fencedName(image.identity.image, generation, this.names())
    image.fence = { generations: [...generations, generation], last: Math.max(last, image.fence?.last ?? -1), name }
    writeFence(this.#env, image.files.layout, image.fence)
    this.nameFenced(image)
    return name
  }

  /** Gives a fenced image its name, if nobody serves it. */
  nameFenced(image: OpenImage): void {
    const { image: name } = image.identity
    if (image.fence === null || image.isServed || image.fence.name === name) return
    if (this.names().includes(image.fence.name)) return
    renameFenced(this.#env, this.#directory, name, image.fence.name)
    this.#images.delete(name)
  }

  /** Waits for what is under way, and forgets the images. Errors: BUSY when one is served. */
  async forget(): Promise<void> {
    for (const image of this.#images.values()) refuseServed(image)
    await this.settle()
    this.#images.clear()
  }

  /** So that what was mended on the disk is read again; what is under way ends first. */
  async forgetUnserved(): Promise<void> {
    await this.settle()
    for (const [name, image] of this.#images) if (!image.isServed) this.#images.delete(name)
  }

  async settle(): Promise<void> {
    await Promise.all([...this.#images.values()].map((image) => image.inOrder(async () => undefined)))
  }

  #firstRecord(identity: ImageIdentity, first: FirstEpoch): EpochRecord {
    const { domainId, keyId } = this.#store.identity
    return {
      kind: 'epoch', domainId, keyId, imageId: identity.id, number: 0, nextNumber: 1, parent: null, commit: 1,
      segment: 0, sequence: 1, lastRequest: { connection: 0, unique: 0n }, wallMs: identity.createdMs,
      writtenBytes: 0, pauseUs: 0, machine: null, image: identity.image, note: '', ...first,
    }
  }
}

/** None where not even its directory can be listed. */
function numbersOf(files: ImageFiles): number[] {
  return isUnreadable(() => files.epochNumbers()) ? [] : files.epochNumbers()
}

/** Null for a record that is guilty of something itself. */
function readable(read: () => StoredEpoch): StoredEpoch | null {
  try {
    return read()
  } catch (error) {
    if (!isCode(error, ...unreadable)) throw error
    return null
  }
}

/** Whether what is read turns out to be damaged, missing or not for this version. */
export function isUnreadable(read: () => unknown): boolean {
  try {
    read()
    return false
  } catch (error) {
    if (!isCode(error, ...unreadable, 'IO')) throw error
    return true
  }
}

function fencedOf(fence: Fence | null): Pick<ImageSummary, 'fenced'> {
  return fence === null ? {} : { fenced: { generation: fence.generations.at(-1) ?? 0, last: fence.last } }
}

function headAt(epoch: StoredEpoch, identity: ImageIdentity, nextNumber: number): EpochRecord {
  return {
    ...epoch, kind: 'head', nextNumber, commit: epoch.commit + 1, machine: null, note: '', pauseUs: 0, writtenBytes: 0,
    parent: parentOf(epoch, identity),
  }
}

/** Errors: BUSY. */
export function refuseServed(image: OpenImage): void {
  if (!image.isServed) return
  throw new HoldfastError('BUSY', `image ${image.identity.image} is mounted: unmount it, or stop its machine, first`)
}

function refusePinned(files: ImageFiles, numbers: readonly number[]): void {
  const pinned = numbers.find((number) => files.isPinned(number))
  if (pinned === undefined) return
  const address = `${files.image}@${pinned}`
  throw new HoldfastError('PINNED', `${address} is pinned: 'holdfast unpin ${address}' first`)
}
