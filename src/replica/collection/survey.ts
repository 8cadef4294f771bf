/**
 * What the records on a replica name, of all images and stores. A batch that is listed and gone when it is read was
 * taken away by its owner, after one that holds the same was published: that one is listed too, or its writer saw
 * the collector's markers, as it is published like any other. What cannot be read names nobody knows what: then no
 * pack may go.
 */
import { HoldfastError, isCode } from '../../errors.ts'
import { type DecodedBatch, decodeEpochBatch } from '../../format/epoch-batch.ts'
import { epochBatchBytesMax } from '../../limits.ts'
import {
  type BatchName, epochsDirectory, generationParts, imageDirectory, intentsDirectory, ownerName, parseBatchName,
  parseGenerationName,
} from '../layout.ts'
import { listNames } from '../list-names.ts'
import { joinPath } from '../paths.ts'
import { readObject } from '../read-object.ts'
import type { CallOptions, Replica } from '../replica.ts'

/** A batch of records, where it lies, and what is in it. */
export interface SurveyedBatch extends DecodedBatch {
  readonly name: BatchName
  readonly generation: number
  readonly path: string
  readonly isOpen: boolean
}

/** Of one image, of all generations. Errors: DAMAGED, BAD_FORMAT, NEWER_VERSION, those of every call. */
export async function* batchesOf(replica: Replica, key: string, call: CallOptions): AsyncGenerator<SurveyedBatch> {
  for (const directory of await listNames(replica, imageDirectory(key), call)) {
    const generation = parseGenerationName(directory)
    if (generation === undefined) throw unknownObject(replica, joinPath(imageDirectory(key), directory))
    for (const { name, text } of await batchNamesOf(replica, key, generation, call)) {
      const batch = await readBatch(replica, key, generation, text, call)
      if (batch !== null) yield { ...batch, name, generation }
    }
  }
}

/** Packs that intents name: those that `isCounted` by their names. Errors: as `batchesOf`. */
export async function* intentsOf(
  replica: Replica, call: CallOptions,
): AsyncGenerator<{ name: string; packs: readonly string[] }> {
  for (const name of await listNames(replica, intentsDirectory, call)) {
    const path = joinPath(intentsDirectory, name)
    // What was published since is found among the records, which are listed after.
    const bytes = await readIfThere(replica, path, call)
    if (bytes !== null) yield { name, packs: decodeEpochBatch(bytes, `${path} of ${replica.url}`).packs }
  }
}

/** Packs that records name, of every image. Errors: as `batchesOf`. */
export async function packsOfRecords(replica: Replica, call: CallOptions): Promise<string[]> {
  const packs = new Set<string>()
  for (const key of await listNames(replica, epochsDirectory, call)) {
    for await (const batch of batchesOf(replica, key, call)) for (const pack of batch.packs) packs.add(pack)
  }
  return [...packs]
}

/** Packs that intents name. Errors: as `batchesOf`. */
export async function packsOfIntents(replica: Replica, call: CallOptions): Promise<string[]> {
  const packs = new Set<string>()
  for await (const intent of intentsOf(replica, call)) for (const pack of intent.packs) packs.add(pack)
  return [...packs]
}

/** Of a generation, which may be closed meanwhile. */
async function batchNamesOf(
  replica: Replica, key: string, generation: number, call: CallOptions,
): Promise<{ name: BatchName; text: string }[]> {
  for (const part of generationParts(key, generation)) {
    try {
      const found: { name: BatchName; text: string }[] = []
      for await (const { name: text } of replica.list(part, call)) {
        const name = parseBatchName(text)
        if (name !== undefined) found.push({ name, text })
        else if (text !== ownerName) throw unknownObject(replica, joinPath(part, text))
      }
      return found
    } catch (error) {
      if (!isCode(error, 'NOT_FOUND')) throw error
    }
  }
  return []
}

async function readBatch(
  replica: Replica, key: string, generation: number, name: string, call: CallOptions,
): Promise<(DecodedBatch & { path: string; isOpen: boolean }) | null> {
  const [open, closed] = generationParts(key, generation)
  for (const part of [open, closed, open]) {
    const path = joinPath(part, name)
    const bytes = await readIfThere(replica, path, call)
    if (bytes !== null) return { ...decodeEpochBatch(bytes, `${path} of ${replica.url}`), path, isOpen: part === open }
  }
  return null
}

async function readIfThere(replica: Replica, path: string, call: CallOptions): Promise<Buffer | null> {
  try {
    return await readObject(replica, path, epochBatchBytesMax, call)
  } catch (error) {
    if (isCode(error, 'NOT_FOUND')) return null
    throw error
  }
}

function unknownObject({ url }: Replica, path: string): HoldfastError {
  return new HoldfastError('NEWER_VERSION', `${path} of ${url} is nothing that this Holdfast knows: use a newer one`)
}
