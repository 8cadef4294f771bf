/** The images of a replica and the records of their epochs, as anybody finds them who has nothing but its URL. */
import { Buffer } from 'node:buffer'
import { HoldfastError, isCode } from '../errors.ts'
import { decodeEpochBatch } from '../format/epoch-batch.ts'
import type { StoredEpoch } from '../format/epoch.ts'
import { epochBatchBytesMax } from '../limits.ts'
import {
  type BatchName, epochsDirectory, generationParts, imageDirectory, ownerName, parseBatchName, parseGenerationName,
} from './layout.ts'
import { type OwnerRecord, decodeOwner, ownerRecordBytesMax } from './owner-record.ts'
import { joinPath, nameOf, parentOf } from './paths.ts'
import { readObject } from './read-object.ts'
import type { CallOptions, Replica, ReplicaEntry } from './replica.ts'

export interface RecordBatch extends BatchName {
  readonly path: string
}

/** One history: an image's own, or what a writer went on with that had been replaced. */
export interface ReplicaImage {
  readonly key: string
  readonly imageId: Buffer
  /** Of the generation in which this history was left behind by its image's; null for the image itself. */
  readonly fenced: number | null
  /** The newest, from 1. */
  readonly generation: number
  readonly owner: OwnerRecord
  /** Of all generations; one may lie within another. */
  readonly batches: readonly RecordBatch[]
  /** By the replica's clock: when the newest record, or the owner's, was published. */
  readonly changedMs: number
}

/** What could be read of the images of a replica. */
export interface ReplicaImages {
  readonly images: ReplicaImage[]
  /** Those that could not, and why. */
  readonly damaged: { key: string; message: string }[]
}

/** A history that was left behind can be taken over and left behind again: the last generation is the group's. */
const keyPattern = /^([0-9a-f]{32})(?:\.fenced-(\d{1,15}))*$/
/** Of one image, while its owner merges batches faster than they can be read. */
const listingsMax = 10
/** What a listing of one damaged image may say. */
const passable = ['DAMAGED', 'BAD_FORMAT', 'NEWER_VERSION', 'REPLICA_FAULT', 'KEY_NEEDED', 'WRONG_DOMAIN']

/** Errors: those of every call. */
export async function listReplicaImages(replica: Replica, options?: CallOptions): Promise<ReplicaImages> {
  const images: ReplicaImage[] = []
  const damaged: { key: string; message: string }[] = []
  const keys = (await entriesOf(replica, epochsDirectory, options) ?? []).map(({ name }) => name)
  await Promise.all(keys.filter((key) => keyPattern.test(key)).map(async (key) => {
    try {
      const image = await readReplicaImage(replica, key, options)
      if (image !== null) images.push(image)
    } catch (error) {
      if (!(error instanceof HoldfastError) || !isCode(error, ...passable)) throw error
      damaged.push({ key, message: error.message })
    }
  }))
  images.sort((left, right) => left.owner.image.localeCompare(right.owner.image) || left.key.localeCompare(right.key))
  return { images, damaged }
}

/** Null where no generation was opened yet. Errors: DAMAGED, BAD_FORMAT, NEWER_VERSION, those of every call. */
export async function readReplicaImage(
  replica: Replica, key: string, options?: CallOptions,
): Promise<ReplicaImage | null> {
  const match = keyPattern.exec(key)
  const listed = match === null ? null : await entriesOf(replica, imageDirectory(key), options)
  const numbers = (listed ?? []).flatMap(({ name }) => parseGenerationName(name) ?? []).sort((a, b) => a - b)
  const newest = numbers.at(-1)
  if (match === null || newest === undefined) return null
  const parts = await Promise.all(numbers.map((number) => {
    return listGeneration(replica, key, number, number < newest, options)
  }))
  const batches = parts.flatMap(({ directory, entries }) => entries.flatMap(({ name }) => {
    const batch = parseBatchName(name)
    return batch === undefined ? [] : [{ ...batch, path: joinPath(directory, name) }]
  }))
  const { directory, entries } = parts[parts.length - 1]
  const where = joinPath(directory, ownerName)
  const bytes = await readObject(replica, where, ownerRecordBytesMax, options)
  const owner = decodeOwner(bytes, `${where} of ${replica.url}`)
  return {
    key, imageId: Buffer.from(match[1], 'hex'), fenced: match[2] === undefined ? null : Number(match[2]),
    generation: newest, owner, batches, changedMs: Math.max(0, ...entries.map(({ modifiedMs }) => modifiedMs)),
  }
}

/** What people call it. */
export function shownName({ owner, fenced }: ReplicaImage): string {
  return fenced === null || owner.image.endsWith(`.fenced-${fenced}`) ? owner.image : `${owner.image}.fenced-${fenced}`
}

/** The image as its new owner has it: the generation before ended with the batches of `basis`. */
export function ownedImage(image: ReplicaImage, owner: OwnerRecord, basis: readonly string[]): ReplicaImage {
  const [open, closed] = generationParts(image.key, image.generation)
  const older = image.batches.filter(({ path }) => !path.startsWith(`${open}/`) && !path.startsWith(`${closed}/`))
  const last = basis.flatMap((name) => {
    const batch = parseBatchName(name)
    return batch === undefined ? [] : [{ ...batch, path: joinPath(closed, name) }]
  })
  return { ...image, owner, generation: image.generation + 1, batches: [...older, ...last] }
}

/** Names of the batches that one of its generations has. */
export function batchesOf({ key, batches }: ReplicaImage, generation: number): string[] {
  const parts = generationParts(key, generation)
  return batches.flatMap(({ path }) => parts.includes(parentOf(path)) ? [nameOf(path)] : [])
}

export interface EpochRange {
  readonly first: number
  readonly last: number
}

/**
 * Numbers of epochs from first to last that batches can hold are read from as few of them as will do. Their owner may
 * merge them meanwhile: they are listed again where one is gone, and once more before the last number counts as absent.
 */
export async function readReplicaEpochs(
  replica: Replica, image: ReplicaImage, wanted: EpochRange, options?: CallOptions,
): Promise<Map<number, StoredEpoch>> {
  for (let listed: ReplicaImage | null = image, listings = 1; listed !== null; listings++) {
    try {
      const epochs = await readEpochs(replica, listed, wanted, options)
      if (epochs.has(wanted.last) || listings > 1) return epochs
    } catch (error) {
      if (!isCode(error, 'NOT_FOUND') || listings === listingsMax) throw error
    }
    listed = await readReplicaImage(replica, image.key, options)
  }
  return new Map()
}

async function readEpochs(
  replica: Replica, image: ReplicaImage, wanted: EpochRange, options?: CallOptions,
): Promise<Map<number, StoredEpoch>> {
  const epochs = new Map<number, StoredEpoch>()
  const batches = outermost(image.batches).filter(({ first, last }) => first <= wanted.last && last >= wanted.first)
  await Promise.all(batches.map(async (batch) => {
    for (const epoch of await readBatch(replica, image, batch, options)) {
      if (epoch.number >= wanted.first && epoch.number <= wanted.last) epochs.set(epoch.number, epoch)
    }
  }))
  return epochs
}

/** Batches that do not lie within another one. */
export function outermost(batches: readonly RecordBatch[]): RecordBatch[] {
  const sorted = [...batches].sort((left, right) => left.first - right.first || right.last - left.last)
  const found: RecordBatch[] = []
  let covered = -1
  for (const batch of sorted) {
    if (batch.last <= covered) continue
    found.push(batch)
    covered = batch.last
  }
  return found
}

/** A generation that is closed meanwhile has its batches elsewhere. */
async function readBatch(
  replica: Replica, image: ReplicaImage, { path }: RecordBatch, options?: CallOptions,
): Promise<StoredEpoch[]> {
  const other = path.includes('/open/') ? path.replace('/open/', '/closed/') : path.replace('/closed/', '/open/')
  const bytes = await readObject(replica, path, epochBatchBytesMax, options).catch((error: unknown) => {
    if (!isCode(error, 'NOT_FOUND')) throw error
    return readObject(replica, other, epochBatchBytesMax, options)
  })
  const { epochs } = decodeEpochBatch(bytes, `${path} of ${replica.url}`)
  if (epochs.every(({ imageId }) => imageId.equals(image.imageId))) return epochs
  throw new HoldfastError('DAMAGED', `${path} of ${replica.url} holds records of another image`)
}

/** `isFollowed`: by another generation, before which it was closed. */
async function listGeneration(
  replica: Replica, key: string, number: number, isFollowed: boolean, options?: CallOptions,
): Promise<{ directory: string; entries: ReplicaEntry[] }> {
  const [open, closed] = generationParts(key, number)
  // It may be closed between the two looks, and is never opened again.
  for (const directory of isFollowed ? [closed] : [open, closed]) {
    const entries = await entriesOf(replica, directory, options)
    if (entries !== null) return { directory, entries }
  }
  return { directory: closed, entries: [] }
}

/** Null where there is no such directory. */
async function entriesOf(replica: Replica, directory: string, options?: CallOptions): Promise<ReplicaEntry[] | null> {
  try {
    const entries: ReplicaEntry[] = []
    for await (const entry of replica.list(directory, options)) entries.push(entry)
    return entries
  } catch (error) {
    if (isCode(error, 'NOT_FOUND')) return null
    throw error
  }
}
