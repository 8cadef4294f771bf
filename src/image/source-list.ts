/**
 * Replicas that hold what this store does not: `sources.json` of the store. It is there before anything rests on it.
 *
 *   {"holdfast": "sources", "version": 1, "urls": [URL, ...], "unfinished": [{"image", "epoch", "key", "url"}, ...]}
 *
 * What was restored and is not here as a whole goes on coming after a restart.
 */
import { Buffer } from 'node:buffer'
import { join } from 'node:path'
import type { Env } from '../env/env.ts'
import { publishFile, readWhole } from '../env/publish.ts'
import { HoldfastError } from '../errors.ts'
import { MIB } from '../limits.ts'

const listVersion = 1
const listBytesMax = MIB
export const sourcesMax = 64

/** Whether anything here was ever read from a replica. */
export function hasSources(env: Env, directory: string): boolean {
  return env.exists(pathOf(directory))
}

/** A restored image of which more has to come. */
export interface UnfinishedRestore {
  /** What it is called here, and the number of the epoch that all is wanted of. */
  readonly image: string
  readonly epoch: number
  /** What it is called on the replica, and has older epochs there that are wanted; null for a fork. */
  readonly key: string | null
  readonly url: string
}

/** Errors: DAMAGED, NEWER_VERSION. */
export function readSources(env: Env, directory: string): string[] {
  return [...readList(env, directory).urls]
}

/** Errors: DAMAGED, NEWER_VERSION. */
export function readUnfinished(env: Env, directory: string): UnfinishedRestore[] {
  return [...readList(env, directory).unfinished]
}

/**
 * `unfinished` will be restored from there; each image has one entry. The newest URL comes first. Returns all URLs.
 * Errors: USAGE (too many), NO_SPACE, IO.
 */
export function addSource(env: Env, directory: string, url: string, unfinished?: UnfinishedRestore): string[] {
  const before = readList(env, directory)
  const urls = [url, ...before.urls.filter((each) => each !== url)]
  if (urls.length > sourcesMax) throw new HoldfastError('USAGE', `a store reads from at most ${sourcesMax} replicas`)
  const others = before.unfinished.filter(({ image }) => image !== unfinished?.image)
  writeList(env, directory, { urls, unfinished: unfinished === undefined ? others : [...others, unfinished] })
  return urls
}

/** All of that image is here, or nothing more of it will come. Errors: NO_SPACE, IO. */
export function finishRestore(env: Env, directory: string, image: string): void {
  const { urls, unfinished } = readList(env, directory)
  const others = unfinished.filter((each) => each.image !== image)
  if (others.length < unfinished.length) writeList(env, directory, { urls, unfinished: others })
}

interface SourceList {
  readonly urls: readonly string[]
  readonly unfinished: readonly UnfinishedRestore[]
}

function readList(env: Env, directory: string): SourceList {
  const path = pathOf(directory)
  if (!env.exists(path)) return { urls: [], unfinished: [] }
  const fields = parsed(Buffer.from(readWhole(env, path, listBytesMax)).toString())
  if (fields === null) {
    throw new HoldfastError('DAMAGED', `${path} is not readable: remove it, and name the replicas again by restore`)
  }
  if (fields.version > listVersion) {
    throw new HoldfastError('NEWER_VERSION', `${path} was written by a newer Holdfast: use that one`)
  }
  // It is a convenience: one that cannot be read is none.
  const { unfinished } = fields
  return { urls: fields.urls, unfinished: Array.isArray(unfinished) ? unfinished.filter(isUnfinished) : [] }
}

function writeList(env: Env, directory: string, { urls, unfinished }: SourceList): void {
  const text = JSON.stringify({ holdfast: 'sources', version: listVersion, urls, unfinished })
  publishFile(env, pathOf(directory), Buffer.from(`${text}\n`))
}

function pathOf(directory: string): string {
  return join(directory, 'sources.json')
}

interface ParsedList {
  readonly version: number
  readonly urls: string[]
  readonly unfinished?: unknown
}

function isUnfinished(value: unknown): value is UnfinishedRestore {
  if (typeof value !== 'object' || value === null) return false
  const { image, epoch, key, url } = value as Record<string, unknown>
  return typeof image === 'string' && typeof url === 'string' && Number.isSafeInteger(epoch) &&
    (key === null || typeof key === 'string')
}

function parsed(text: string): ParsedList | null {
  try {
    const value: unknown = JSON.parse(text)
    return isList(value) ? value : null
  } catch {
    return null
  }
}

function isList(value: unknown): value is ParsedList {
  return typeof value === 'object' && value !== null && 'holdfast' in value && value.holdfast === 'sources' &&
    'version' in value && typeof value.version === 'number' && 'urls' in value && Array.isArray(value.urls) &&
    value.urls.every((url: unknown) => typeof url === 'string')
}
