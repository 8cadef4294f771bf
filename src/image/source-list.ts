/**
 * Replicas that hold what this store does not: `sources.json` of the store. It is there before anything rests on it.
 *
 *   {"holdfast": "sources", "version": 1, "urls": [URL, ...]}
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

/** Errors: DAMAGED, NEWER_VERSION. */
export function readSources(env: Env, directory: string): string[] {
  const path = pathOf(directory)
  if (!env.exists(path)) return []
  const fields = parsed(Buffer.from(readWhole(env, path, listBytesMax)).toString())
  if (fields === null) {
    throw new HoldfastError('DAMAGED', `${path} is not readable: remove it, and name the replicas again by restore`)
  }
  if (fields.version > listVersion) {
    throw new HoldfastError('NEWER_VERSION', `${path} was written by a newer Holdfast: use that one`)
  }
  return fields.urls
}

/** The newest comes first. Returns all. Errors: USAGE (too many), NO_SPACE, IO. */
export function addSource(env: Env, directory: string, url: string): string[] {
  const urls = [url, ...readSources(env, directory).filter((each) => each !== url)]
  if (urls.length > sourcesMax) throw new HoldfastError('USAGE', `a store reads from at most ${sourcesMax} replicas`)
  const text = JSON.stringify({ holdfast: 'sources', version: listVersion, urls })
  publishFile(env, pathOf(directory), Buffer.from(`${text}\n`))
  return urls
}

function pathOf(directory: string): string {
  return join(directory, 'sources.json')
}

function parsed(text: string): { version: number; urls: string[] } | null {
  try {
    const value: unknown = JSON.parse(text)
    return isList(value) ? value : null
  } catch {
    return null
  }
}

function isList(value: unknown): value is { version: number; urls: string[] } {
  return typeof value === 'object' && value !== null && 'holdfast' in value && value.holdfast === 'sources' &&
    'version' in value && typeof value.version === 'number' && 'urls' in value && Array.isArray(value.urls) &&
    value.urls.every((url: unknown) => typeof url === 'string')
}
