/**
 * Where things lie on a replica. Everything is made whole, under a name of its own, and never
 * changed, but for `keys.json`:
 *
 *   domain.json                              whose chunks these are (domain.ts); the first object there is
 *   keys.json                                of an encrypted domain its keys, wrapped (keys-object.ts)
 *   packs/PACK/OFFSET-BYTES                  bytes of a pack that was still open; together a prefix of it
 *   packs/PACK/whole                         the closed pack; its ranges are removed some time after
 *   indexes/STORE/LEVEL-NUMBER               sorted run (format/index-run.ts) of what STORE has put into packs
 *   epochs/IMAGE/gNUMBER/open|closed/owner   who opened the generation (owner-record.ts)
 *   epochs/IMAGE/gNUMBER/open|closed/FIRST-LAST.COUNT   records of epochs (format/epoch-batch.ts); `.REVISION` behind
 *                                            it for those that a collection wrote anew
 *   intents/ condemned/ deleting/ sweeps/    how packs go: protocol/collection.ts
 *   prefetch/IMAGE/NUMBER                    what to fetch first of an epoch; without it a resume is slower
 *   seen/IMAGE                               a hint for people: when the owner last looked after the image
 *
 * PACK and STORE are ids in hex, a PACK that was uploaded once more has `.SUFFIX` behind it. IMAGE is the image's id
 * in hex, behind it `.fenced-N` for the history that a writer went on with after it had been replaced in generation N.
 * So names of images are nowhere but in owners and records, which are sealed where the domain is encrypted
 * (sealed-replica.ts), and two images of one name do not meet. Numbers are
 * padded, so that a listing has them in their order.
 *
 * Order of writes: packs, index run, and last the records, by `publisher.ts`. So whoever finds a record finds its
 * chunks. Records are removed first. A reader copes with a range that is replaced by the whole pack, and a run by a
 * larger one, at any moment: on NOT_FOUND it lists again. It takes a batch that lies within a larger one as well, and
 * a chunk from any record of its id: all say the same.
 */
import type { Buffer } from 'node:buffer'
import { closedPart, openPart } from './generation.ts'
import { joinPath } from './paths.ts'

export const domainPath = 'domain.json'
export const keysPath = 'keys.json'
export const packsDirectory = 'packs'
export const indexesDirectory = 'indexes'
export const epochsDirectory = 'epochs'
export const prefetchDirectory = 'prefetch'
export const seenDirectory = 'seen'
/** Batches of records that are about to be published. */
export const intentsDirectory = 'intents'
/** What collectors leave there: `protocol/collection.ts`. */
export const collectorDirectories = ['condemned', 'deleting', 'sweeps'] as const

/** In a generation's directory, beside the batches of records. */
export const ownerName = 'owner'
/** In a pack's directory, beside ranges. */
export const wholeName = 'whole'

/** Enough for an offset in a pack. */
const offsetDigits = 9
const numberDigits = 8

export function packDirectory(packId: Buffer): string {
  return joinPath(packsDirectory, packId.toString('hex'))
}

/** In hex, of a pack's name there. */
export function packIdOf(pack: string): string {
  return pack.split('.', 1)[0]
}

/** Bytes of a pack under one name. */
export interface PackRange {
  readonly offset: number
  readonly bytes: number
}

export function rangeName({ offset, bytes }: PackRange): string {
  return `${padded(offset, offsetDigits)}-${padded(bytes, offsetDigits)}`
}

/** Undefined for another name. */
export function parseRangeName(name: string): PackRange | undefined {
  const match = /^(\d{9})-(\d{9})$/.exec(name)
  return match === null ? undefined : { offset: Number(match[1]), bytes: Number(match[2]) }
}

export function indexDirectory(storeId: Buffer): string {
  return joinPath(indexesDirectory, storeId.toString('hex'))
}

/** Merging runs of one level makes one of the next. */
export interface IndexRunName {
  readonly level: number
  /** Of a store, never used twice. */
  readonly number: number
}

export function indexRunName({ level, number }: IndexRunName): string {
  return `${level}-${padded(number, numberDigits)}`
}

/** Undefined for another name. */
export function parseIndexRunName(name: string): IndexRunName | undefined {
  const match = /^(\d)-(\d{8,15})$/.exec(name)
  return match === null ? undefined : { level: Number(match[1]), number: Number(match[2]) }
}

/** What an image is called on a replica. `fenced`: the generations in which this history was left behind. */
export function imageKey(imageId: Buffer, fenced: readonly number[] = []): string {
  return [imageId.toString('hex'), ...fenced.map((generation) => `fenced-${generation}`)].join('.')
}

export function imageDirectory(key: string): string {
  return joinPath(epochsDirectory, key)
}

/** `number` from 1. */
export function generationDirectory(key: string, number: number): string {
  return joinPath(imageDirectory(key), `g${padded(number, numberDigits)}`)
}

/** Undefined for another name. */
export function parseGenerationName(name: string): number | undefined {
  return /^g\d{8,15}$/.test(name) ? Number(name.slice(1)) : undefined
}

/** Both places where a generation's objects can be: first where they are while it is open. */
export function generationParts(key: string, number: number): readonly [open: string, closed: string] {
  const directory = generationDirectory(key, number)
  return [openPart(directory), closedPart(directory)]
}

/** The epochs that one batch of records holds: all their numbers are from `first` to `last`. */
export interface BatchName {
  readonly first: number
  readonly last: number
  readonly count: number
  /** Of a batch that was written anew: never used twice. */
  readonly revision?: string
}

export function batchName({ first, last, count, revision }: BatchName): string {
  const plain = `${padded(first, numberDigits)}-${padded(last, numberDigits)}.${count}`
  return revision === undefined ? plain : `${plain}.${revision}`
}

/** Undefined for another name. */
export function parseBatchName(name: string): BatchName | undefined {
  const match = /^(\d{8,15})-(\d{8,15})\.([1-9]\d{0,5})(?:\.([0-9a-z]{1,64}))?$/.exec(name)
  if (match === null) return undefined
  const [first, last, count] = match.slice(1, 4).map(Number)
  return match[4] === undefined ? { first, last, count } : { first, last, count, revision: match[4] }
}

export function prefetchPath(key: string, number: number): string {
  return joinPath(joinPath(prefetchDirectory, key), padded(number, numberDigits))
}

export function seenPath(key: string): string {
  return joinPath(seenDirectory, key)
}

/** How the names of a store's intents begin: so it knows those that an earlier run of its own has left. */
export function intentsPrefixOf(storeId: Buffer): string {
  return storeId.toString('hex', 0, 8)
}

function padded(number: number, digits: number): string {
  return String(number).padStart(digits, '0')
}
