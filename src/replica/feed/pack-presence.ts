/**
 * What a replica has of a pack, and whether that is of the pack that is here. It is not where a copy of this store
 * put it, or this store itself before it was put back from an older copy, or lost what was synced: then the bytes
 * where the shorter of the two ends are others, as packs only ever grow, by what does not repeat.
 */
import { Buffer } from 'node:buffer'
import type { Env } from '../../env/env.ts'
import { HoldfastError, isCode } from '../../errors.ts'
import { type PackRange, parseRangeName, rangeName, wholeName } from '../layout.ts'
import { listEntries } from '../list-names.ts'
import type { LocalPack, Outbox } from '../outbox.ts'
import { joinPath } from '../paths.ts'
import { readRange } from '../read-object.ts'
import type { CallOptions, Replica } from '../replica.ts'

export interface Presence {
  /** Of its beginning, in ranges without a gap. */
  prefixBytes: number
  isWhole: boolean
  /** All records that are here, and other bytes behind them: the pack here lost its end. What is there stays. */
  readonly hasMore: boolean
  ranges: string[]
}

export interface PackListing {
  /** Null where there is no whole. */
  readonly wholeBytes: number | null
  readonly ranges: readonly PackRange[]
}

export interface PackLook {
  readonly env: Env
  readonly replica: Replica
  readonly pack: LocalPack
  /** Of the pack there. */
  readonly directory: string
  readonly outbox: Pick<Outbox, 'entries'>
}

const comparedBytes = 64

/** Errors: FENCED: what is there is of another pack. */
export async function presenceOf(look: PackLook, options: CallOptions): Promise<Presence> {
  const { replica, pack, directory } = look
  const { wholeBytes, ranges } = await listPack(replica, directory, options)
  const prefixBytes = prefixOf(ranges)
  const thereBytes = wholeBytes ?? prefixBytes
  const found = { isWhole: wholeBytes !== null, prefixBytes, ranges: ranges.map(rangeName) }
  const objects = wholeBytes === null ? ranges.map((range) => ({ name: rangeName(range), ...range }))
    : [{ name: wholeName, offset: 0, bytes: wholeBytes }]
  const isSame = async (end: number): Promise<boolean> => {
    const from = objects.find(({ offset, bytes }) => offset < end && offset + bytes >= end)
    return from === undefined || isSameBefore(look, from, end, options)
  }
  const isPart = wholeBytes === null ? thereBytes <= pack.bytes : pack.isClosed && thereBytes === pack.bytes
  if (isPart && await isSame(thereBytes)) return { ...found, hasMore: false }
  const end = pack.isClosed ? recordsEnd(look) : Infinity
  if (thereBytes >= end && await isSame(end)) return { ...found, hasMore: true }
  throw new HoldfastError('FENCED', `${replica.url} has other bytes in ${directory} than this store: a copy of the ` +
    'store writes there, or the store was put back from an older copy, or they are damaged. Nothing was changed. ' +
    '"holdfast restore" brings what is there into a new store, and this one needs a replica of its own; what is ' +
    'damaged there comes again with "holdfast replica sync" once it was moved away')
}

/** Errors: those of every call; a pack that is not there has nothing. */
export async function listPack(replica: Replica, directory: string, options: CallOptions): Promise<PackListing> {
  const ranges: PackRange[] = []
  let wholeBytes: number | null = null
  for (const { name, bytes } of await listEntries(replica, directory, options)) {
    const range = parseRangeName(name)
    if (name === wholeName) wholeBytes = bytes
    else if (range !== undefined && range.bytes === bytes) ranges.push(range)
  }
  return { wholeBytes, ranges }
}

/** How far ranges reach from 0 without a gap. */
export function prefixOf(ranges: readonly PackRange[]): number {
  let end = 0
  for (const { offset, bytes } of ranges.toSorted((left, right) => left.offset - right.offset)) {
    if (offset > end) break
    end = Math.max(end, offset + bytes)
  }
  return end
}

function recordsEnd({ outbox, pack }: PackLook): number {
  const places = outbox.entries(pack, 0, pack.bytes).map(({ place }) => place)
  return places.reduce((end, { offset, recordBytes }) => Math.max(end, offset + recordBytes), 0)
}

/** A flipped bit here or there does not make it another pack. What was replaced meanwhile is seen by the next look. */
async function isSameBefore(
  { env, replica, pack, directory }: PackLook, object: PackRange & { name: string }, end: number, options: CallOptions,
): Promise<boolean> {
  const start = Math.max(object.offset, end - comparedBytes)
  const here = Buffer.alloc(end - start)
  using file = env.open(pack.path, 'read')
  if (file.read(here, start) < here.length) return false
  try {
    const range = { offset: start - object.offset, bytes: here.length }
    const there = await readRange(replica, joinPath(directory, object.name), range, options)
    return there.filter((byte, at) => byte !== here[at]).length <= here.length / 2
  } catch (error) {
    if (!isCode(error, 'NOT_FOUND')) throw error
    return true
  }
}
