/** What a resume asks of an epoch: device state, and which chunks of memory are worth having first. */
import { Buffer } from 'node:buffer'
import type { Env } from '../env/env.ts'
import { HoldfastError } from '../errors.ts'
import type { StoredEpoch } from '../format/epoch.ts'
import { decodeManifest } from '../format/manifest.ts'
import type { ChunkReader } from '../store/chunks.ts'
import { MIB } from '../limits.ts'
import { readBlob } from './blob.ts'
import { type ImageFiles, setWord } from './image-files.ts'
import { findPath } from './paths.ts'
import { diff } from './tree/index.ts'
import type { NodeReader } from './tree/index.ts'
import type { EpochSummary } from './types.ts'

export interface FileChunks {
  path: string
  chunks: number[]
}

/** So many epochs back what was dirtied stands for what the next seconds will touch. */
const recentEpochs = 3
const recentChunksMax = 8192
const workingSetBytesMax = 16 * MIB

/** What a machine was at an epoch. */
export interface MachineEpoch {
  epoch: EpochSummary
  state: Uint8Array
  facts: unknown
  manifest: string
}

/** Errors: NOT_FOUND (the epoch has no machine), DAMAGED. */
export function readMachineState(
  reader: ChunkReader, nodes: NodeReader, record: StoredEpoch,
): Omit<MachineEpoch, 'epoch'> {
  const { machine } = record
  if (machine === null) {
    const address = `${record.image}@${record.number}`
    throw new HoldfastError('NOT_FOUND', `epoch ${address} has no machine: it was sealed without ` +
      "one, choose an epoch that 'holdfast log' marks with a machine")
  }
  const facts: unknown = JSON.parse(machine.facts)
  const state = readBlob(reader, nodes, machine.stateRoot, machine.stateBytes)
  return { state, facts, manifest: record.manifest.toString('hex') }
}

/** The working set recorded for the epoch, else what the epochs up to it changed; with `recent` only that. */
export function likelyChunks(
  env: Env, files: ImageFiles, reader: ChunkReader, nodes: NodeReader, epoch: StoredEpoch, paths: readonly string[],
  from: 'set or recent' | 'recent' = 'set or recent',
): FileChunks[] {
  const set = from === 'recent' ? null : readWorkingSet(env, files, epoch.number)
  return set ?? recentChunks(files, reader, nodes, epoch, paths)
}

export function writeWorkingSet(files: ImageFiles, number: number, set: readonly FileChunks[]): void {
  files.write(files.layout.workingSet(number), setWord(number), Buffer.from(JSON.stringify(set)))
}

function readWorkingSet(env: Env, files: ImageFiles, number: number): FileChunks[] | null {
  const path = files.layout.workingSet(number)
  if (!env.exists(path)) return null
  try {
    return parseWorkingSet(files.read(path, setWord(number), workingSetBytesMax).toString())
  } catch {
    // It can be rebuilt: an unreadable one counts as none.
    return null
  }
}

/** Null for a text that is none. */
export function parseWorkingSet(text: string): FileChunks[] | null {
  try {
    const set: unknown = JSON.parse(text)
    return isWorkingSet(set) ? set : null
  } catch (error) {
    if (error instanceof SyntaxError) return null
    throw error
  }
}

function recentChunks(
  files: ImageFiles, reader: ChunkReader, nodes: NodeReader, epoch: StoredEpoch, paths: readonly string[],
): FileChunks[] {
  const sets = paths.map((path) => ({ path, chunks: new Set<number>() }))
  let after = epoch
  const own = new Set(files.epochNumbers())
  for (let count = 0; count < recentEpochs; count += 1) {
    const number = after.parent?.number
    if (number === undefined || !own.has(number) || !after.parent!.imageId.equals(after.imageId)) break
    const before = files.epoch(number)
    for (const set of sets) {
      for (const chunk of changedChunks(reader, nodes, before, after, set.path)) {
        if (set.chunks.size < recentChunksMax) set.chunks.add(chunk)
      }
    }
    after = before
  }
  return sets.map(({ path, chunks }) => ({ path, chunks: [...chunks].sort((a, b) => a - b) }))
}

function* changedChunks(
  reader: ChunkReader, nodes: NodeReader, before: StoredEpoch, after: StoredEpoch, path: string,
): Generator<number> {
  const [old, now] = [before, after].map((record) => rootOf(reader, nodes, record, path))
  if (old === undefined || now === undefined) return
  for (const { key } of diff(nodes, old, now)) yield key
}

function rootOf(reader: ChunkReader, nodes: NodeReader, record: StoredEpoch, path: string): Buffer | null | undefined {
  try {
    return findPath(nodes, decodeManifest(reader.read(record.manifest)), path).inode.dataRoot
  } catch (error) {
    if (error instanceof HoldfastError && error.code === 'NOT_FOUND') return undefined
    throw error
  }
}

/** As it comes out of JSON. */
export function isWorkingSet(value: unknown): value is FileChunks[] {
  return Array.isArray(value) && value.every((item: unknown) => typeof item === 'object' && item !== null &&
    'path' in item && typeof item.path === 'string' && 'chunks' in item && Array.isArray(item.chunks) &&
    item.chunks.every((chunk: unknown) => Number.isSafeInteger(chunk)))
}
