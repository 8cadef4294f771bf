/** The contents and the extended attributes of a base's files, put into the store. */
import { Buffer } from 'node:buffer'
import type { EnvFile } from '../env/env.ts'
import { dataRanges } from '../env/data-ranges.ts'
import type { DataRange } from '../env/data-ranges.ts'
import { extendedAttributes } from '../env/extended-attributes.ts'
import { HoldfastError } from '../errors.ts'
import { encodeAttributes } from '../format/inode.ts'
import { isZero } from '../chunk/zero.ts'
import { chunkBytes, xattrTotalBytesMax } from '../limits.ts'
import type { ChunkId, ChunkStore } from '../store/chunks.ts'
import { breathe } from '../store/progress.ts'
import { build } from './tree/build.ts'
import type { NodeStore } from './tree/nodes.ts'
import type { CallOptions } from './types.ts'

/** What is read at once. */
const windowBytes = 16 * chunkBytes

/** Access control lists: nobody would enforce them in a mount, which refuses them too. */
const leftOutPrefix = Buffer.from('system.')

export interface BaseReading {
  readonly store: ChunkStore
  readonly nodes: NodeStore
  readonly options: CallOptions
  /** Bytes of all files, holes counted as read. */
  done: number
  readonly total: number
}

/** Lets what the base's own file system says be told from the store's failures. */
export type OfBase = <T>(call: () => T) => T

/** Chunks first, then one tree over them; 64 KiB of ids for each 128 MiB of data are held meanwhile. */
export async function putData(
  reading: BaseReading, file: EnvFile, bytes: number, ofBase: OfBase,
): Promise<ChunkId | null> {
  const { store, options } = reading
  const entries: [number, ChunkId][] = []
  const window = Buffer.alloc(windowBytes)
  const before = reading.done
  for (const { from, to } of windows(await dataRanges(file, bytes, options.signal))) {
    const wanted = window.subarray(0, to - from)
    wanted.fill(0, ofBase(() => file.read(wanted, from)))
    for (let at = 0; at < wanted.length; at += chunkBytes) {
      const plain = wanted.subarray(at, at + chunkBytes)
      if (!isZero(plain)) entries.push([(from + at) / chunkBytes, store.put(plain, 'data').id])
    }
    await tell(reading, before + Math.min(to, bytes))
  }
  reading.done = before + bytes
  return entries.length === 0 ? null : build(reading.nodes, entries)
}

/** Null where there are none. Errors: BASE_UNREADABLE for more than one inode can have. */
export function putAttributes(store: ChunkStore, file: EnvFile, ofBase: OfBase): ChunkId | null {
  const attributes = ofBase(() => extendedAttributes(file))
    .filter(({ name }) => !name.subarray(0, leftOutPrefix.length).equals(leftOutPrefix))
  if (attributes.length === 0) return null
  const block = encodeAttributes(attributes)
  if (block.length > xattrTotalBytesMax) {
    const what = `the extended attributes of ${file.path}`
    throw new HoldfastError('BASE_UNREADABLE', `${what} are more than ${xattrTotalBytesMax} bytes: remove some`)
  }
  return store.put(block, 'node').id
}

/** Whole chunks that hold the ranges, each chunk once, at most a window's at a time. */
function* windows(ranges: readonly DataRange[]): Generator<DataRange> {
  let at = 0
  for (const range of ranges) {
    at = Math.max(at, Math.floor(range.from / chunkBytes) * chunkBytes)
    const end = Math.ceil(range.to / chunkBytes) * chunkBytes
    for (; at < end; at = Math.min(at + windowBytes, end)) yield { from: at, to: Math.min(at + windowBytes, end) }
  }
}

async function tell(reading: BaseReading, done: number): Promise<void> {
  reading.done = done
  const { options, total } = reading
  options.progress?.({ step: 'taking in the base', done, total, unit: 'bytes' })
  await breathe(options)
}
