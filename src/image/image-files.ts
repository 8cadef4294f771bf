/**
 * One image's files: its identity, its records, its pins. The directory of records is the catalog: an epoch
 * exists when its record does. The image's state is its newest record, of kind head or epoch.
 */
import { Buffer } from 'node:buffer'
import { dirname, join } from 'node:path'
import type { DomainKeys } from '../crypto/domain-keys.ts'
import { openObject, sealObject, sealedObjectBytes } from '../crypto/sealed-object.ts'
import type { Env } from '../env/env.ts'
import { publishFile, readWhole } from '../env/publish.ts'
import { requireKind } from '../env/stored.ts'
import { removeTree } from '../env/tree.ts'
import { HoldfastError, isCode } from '../errors.ts'
import { decodeCheckedJson, encodeCheckedJson } from '../format/checked-json.ts'
import { decodeEpoch, encodeEpoch } from '../format/epoch.ts'
import type { EpochRecord, StoredEpoch } from '../format/epoch.ts'
import { epochRecordBytesMax, imageFileBytesMax } from '../limits.ts'
import { ImageLayout } from './layout.ts'

export interface ImageIdentity {
  image: string
  id: Buffer
  origin: { kind: 'base' | 'empty' | 'fork'; epoch?: string }
  createdMs: number
}

const identityVersion = 1
/** What a sealed file is bound to be. The record in it says of which image it is. */
const headWord = 'head'

export class ImageFiles {
  readonly layout: ImageLayout
  readonly image: string
  readonly #env: Env
  /** Null where nothing is encrypted. */
  readonly keys: DomainKeys | null

  constructor(env: Env, storeDirectory: string, image: string, keys: DomainKeys | null) {
    this.#env = env
    this.keys = keys
    this.image = image
    this.layout = new ImageLayout(storeDirectory, image)
  }

  exists(): boolean {
    return this.#env.exists(this.layout.identity)
  }

  /** Errors: NOT_FOUND, DAMAGED: there is no image, or nothing that says which it is. */
  requireThere(): void {
    if (this.exists()) return
    if (!this.#env.exists(this.layout.epochs)) {
      throw new HoldfastError('NOT_FOUND', `there is no image ${this.image}: see 'holdfast images'`)
    }
    const remedy = "'holdfast check --repair' makes it again from the image's records"
    throw new HoldfastError('DAMAGED', `${this.layout.identity} is gone: ${remedy}`)
  }

  /** A link in the place of a directory would have us write elsewhere. Errors: DAMAGED. */
  requireDirectories(): void {
    const { directory, epochs, log, pins, sets } = this.layout
    for (const path of [directory, epochs, log, pins, sets]) requireKind(this.#env, path, 'directory')
  }

  /** Errors: NOT_FOUND, DAMAGED, NEWER_VERSION. */
  identity(): ImageIdentity {
    const fields = parseIdentity(readFile(this.#env, this.layout.identity, imageFileBytesMax), this.layout.identity)
    if (fields.version > identityVersion) {
      throw new HoldfastError('NEWER_VERSION', `image ${this.image} was made by a newer Holdfast: use that one`)
    }
    return { image: this.image, id: Buffer.from(fields.id, 'hex'), origin: fields.origin, createdMs: fields.createdMs }
  }

  /** Numbers of the sealed epochs, in order. */
  epochNumbers(): number[] {
    return this.#env.readdir(this.layout.epochs).filter((name) => /^\d{8,15}$/.test(name)).map(Number)
      .sort((a, b) => a - b)
  }

  /** Errors: NOT_FOUND, DAMAGED, BAD_FORMAT, NEWER_VERSION. */
  epoch(number: number): StoredEpoch {
    const where = `epoch ${this.image}@${number}`
    try {
      return this.#own(this.read(this.layout.epoch(number), epochWord(number), epochRecordBytesMax), where)
    } catch (error) {
      if (isCode(error, 'NOT_FOUND')) throw new HoldfastError('NOT_FOUND', `there is no ${where}`, { cause: error })
      throw error
    }
  }

  /**
   * The record that the head stands on. A head that knows of the newest epoch came after it, so neither a head
   * that is outdated nor an epoch before the head has to be read. Who gave it its name may have ended before that was
   * durable, and what comes next rests on it: so it is made so. Errors: as `epoch`, IO, and DAMAGED when there is no
   * record at all.
   */
  newest(): StoredEpoch {
    const { epochs, directory } = this.layout
    for (const path of [epochs, directory, dirname(directory)]) this.#env.syncDirectory(path)
    const last = this.epochNumbers().at(-1)
    const head = this.#env.exists(this.layout.head) ? this.head() : null
    if (head !== null && (last === undefined || head.nextNumber > last)) return head
    if (last !== undefined) return this.#headEpoch(last)
    throw new HoldfastError('DAMAGED', `image ${this.image} has no record: restore it from a replica`)
  }

  #headEpoch(number: number): StoredEpoch {
    try {
      return this.epoch(number)
    } catch (error) {
      if (!(error instanceof HoldfastError) || !isCode(error, 'DAMAGED', 'BAD_FORMAT')) throw error
      const remedy = `'holdfast rollback ${this.image}@N --discard' goes on from an older epoch`
      throw new HoldfastError(error.code, `${error.message}; the head stands on it: ${remedy}`, { cause: error })
    }
  }

  /** The head's own record, which may be older than the newest epoch's. Errors: as `epoch`. */
  head(): StoredEpoch {
    return this.#own(this.read(this.layout.head, headWord, epochRecordBytesMax), `the head of ${this.image}`)
  }

  /** An epoch as it will be read once it is published. */
  preparedEpoch(record: EpochRecord): StoredEpoch {
    return decodeEpoch(encodeEpoch(record), `epoch ${this.image}@${record.number}`)
  }

  publishEpoch(record: EpochRecord): StoredEpoch {
    return this.#publish(this.layout.epoch(record.number), record, epochWord(record.number))
  }

  publishHead(record: EpochRecord): StoredEpoch {
    return this.#publish(this.layout.head, record, headWord)
  }

  /** A whole file, opened where the store is encrypted. Errors: NOT_FOUND, IO, and those of `openObject`. */
  read(path: string, what: string, bytesMax: number): Buffer {
    const keys = this.keys
    const bytes = readFile(this.#env, path, keys === null ? bytesMax : bytesMax + sealedObjectBytes)
    return keys === null ? bytes : openObject(keys, what, bytes)
  }

  /** Publishes a file, sealed as `what` it is where the store is encrypted. */
  write(path: string, what: string, bytes: Uint8Array): void {
    publishFile(this.#env, path, this.keys === null ? bytes : sealObject(this.#env, this.keys, what, bytes))
  }

  /** Those that are sealed in an encrypted store, and what each is bound to be. */
  sealedFiles(): { path: string; what: string }[] {
    const { layout } = this
    const epochs = this.epochNumbers().map((number) => ({ path: layout.epoch(number), what: epochWord(number) }))
    const sets = this.epochNumbers().map((number) => ({ path: layout.workingSet(number), what: setWord(number) }))
    const all = [...epochs, { path: layout.head, what: headWord }, ...sets]
    return all.filter(({ path }) => this.#env.exists(path))
  }

  removeEpochs(numbers: readonly number[]): void {
    if (numbers.length === 0) return
    for (const number of numbers) this.#env.unlink(this.layout.epoch(number))
    this.#env.syncDirectory(this.layout.epochs)
    for (const number of numbers) {
      for (const path of [this.layout.pin(number), this.layout.workingSet(number)]) {
        if (this.#env.exists(path)) this.#env.unlink(path)
      }
    }
  }

  isPinned(number: number): boolean {
    return this.#env.exists(this.layout.pin(number))
  }

  setPinned(number: number, pinned: boolean): void {
    if (pinned === this.isPinned(number)) return
    if (pinned) publishFile(this.#env, this.layout.pin(number), Buffer.alloc(0))
    else this.#env.unlink(this.layout.pin(number))
    this.#env.syncDirectory(this.layout.pins)
  }

  /** What a record's file must hold, of the head where `number` is null. Errors: as `epoch`. */
  decode(bytes: Buffer, number: number | null): StoredEpoch {
    const word = number === null ? headWord : epochWord(number)
    return decodeEpoch(this.keys === null ? bytes : openObject(this.keys, word, bytes), `${word} of ${this.image}`)
  }

  /** A sealed record is bound to its number; of which image it is, it says itself. */
  #own(bytes: Buffer, where: string): StoredEpoch {
    const record = decodeEpoch(bytes, where)
    const imageId = this.keys === null ? null : this.#imageId()
    if (imageId === null || record.imageId.equals(imageId)) return record
    throw new HoldfastError('DAMAGED', `${where} is the record of another image: restore it from a replica`)
  }

  /** Null where the identity cannot be read: the records are what it is made from again. */
  #imageId(): Buffer | null {
    try {
      return this.identity().id
    } catch (error) {
      if (isCode(error, 'NOT_FOUND', 'DAMAGED', 'BAD_FORMAT')) return null
      throw error
    }
  }

  /** Nothing is published that could not be read again. */
  #publish(path: string, record: EpochRecord, what: string): StoredEpoch {
    const bytes = encodeEpoch(record)
    const stored = decodeEpoch(bytes, `${what} of ${this.image}`)
    this.write(path, what, bytes)
    return stored
  }
}

/** Makes an image's directory with its first records, whole or not at all. Errors: EXISTS, IO, NO_SPACE. */
export function createImageFiles(
  env: Env, storeDirectory: string, identity: ImageIdentity, records: readonly EpochRecord[],
  keys: DomainKeys | null,
): void {
  const images = join(storeDirectory, 'images')
  if (!env.exists(images)) env.mkdir(images)
  // Who made the directory may have died before its name was durable.
  env.syncDirectory(storeDirectory)
  const files = new ImageFiles(env, storeDirectory, identity.image, keys)
  if (files.exists()) {
    throw new HoldfastError('EXISTS', `there is an image ${identity.image} already: choose another name, or remove it`)
  }
  const temporary = `.new-${env.randomBytes(8).toString('hex')}`
  const made = new ImageFiles(env, storeDirectory, temporary, keys)
  try {
    writeImageFiles(env, made, identity, records)
    env.rename(made.layout.directory, files.layout.directory)
  } catch (error) {
    if (env.exists(made.layout.directory)) removeTree(env, made.layout.directory)
    throw error
  }
  env.syncDirectory(images)
}

function writeImageFiles(
  env: Env, files: ImageFiles, identity: ImageIdentity, records: readonly EpochRecord[],
): void {
  const { layout } = files
  for (const directory of [layout.directory, layout.epochs, layout.pins, layout.log, layout.sets]) env.mkdir(directory)
  rewriteIdentity(env, files, identity)
  for (const record of records) {
    if (record.kind === 'head') files.publishHead(record)
    else files.publishEpoch(record)
  }
  env.syncDirectory(layout.directory)
}

export function rewriteIdentity(env: Env, files: ImageFiles, { id, origin, createdMs }: ImageIdentity): void {
  publishFile(env, files.layout.identity, encodeCheckedJson({
    holdfast: 'image', version: identityVersion, id: id.toString('hex'), origin, createdMs,
  }))
}

/** Removes an image's directory: first from its name, so that a crash leaves no half image. */
export function removeImageFiles(env: Env, storeDirectory: string, image: string): void {
  const images = join(storeDirectory, 'images')
  const doomed = join(images, `.removed-${env.randomBytes(8).toString('hex')}`)
  env.rename(join(images, image), doomed)
  env.syncDirectory(images)
  removeTree(env, doomed)
}

/** What the sealed record of an epoch is bound to be. */
function epochWord(number: number): string {
  return `epoch ${number}`
}

/** Of the working set recorded for an epoch. */
export function setWord(number: number): string {
  return `working set ${number}`
}

function readFile(env: Env, path: string, bytesMax: number): Buffer {
  const bytes = readWhole(env, path, bytesMax)
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

interface IdentityFields {
  version: number
  id: string
  origin: ImageIdentity['origin']
  createdMs: number
}

function parseIdentity(bytes: Buffer, path: string): IdentityFields {
  const json = decodeCheckedJson(bytes)
  if (json.type === 'noObject' || json.type === 'damaged') {
    throw new HoldfastError('DAMAGED', `${path} is damaged: run check --repair`)
  }
  if (isIdentity(json.fields)) return json.fields
  throw new HoldfastError('BAD_FORMAT', `${path} is not the identity of an image: run check --repair`)
}

function isIdentity(value: object): value is IdentityFields {
  return 'holdfast' in value && value.holdfast === 'image' &&
    'version' in value && typeof value.version === 'number' && 'id' in value && typeof value.id === 'string' &&
    /^[0-9a-f]{32}$/.test(value.id) && 'origin' in value && 'createdMs' in value && typeof value.createdMs === 'number'
}
