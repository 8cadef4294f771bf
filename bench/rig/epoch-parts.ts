/** What an epoch's stored bytes are made of, and what simpler ways would have stored of the same changes. */
import { compressWhole } from '../../src/chunk/codec.ts'
import { systemEnv } from '../../src/env/system.ts'
import { decodeManifest } from '../../src/format/manifest.ts'
import { ImageFiles } from '../../src/image/image-files.ts'
import { findPath } from '../../src/image/paths.ts'
import { diff, NodeReader } from '../../src/image/tree/index.ts'
import { chunkBytes } from '../../src/limits.ts'
import type { ChunkReader } from '../../src/store/chunks.ts'
import { openChunkStore } from '../../src/store/open.ts'
import type { LocalChunkStore } from '../../src/store/local-chunk-store.ts'

export interface FileChanges {
  readonly chunks: number
  /** Pages of 4 KiB in them that differ. */
  readonly pages: number
  /** Records of those of its chunks that no earlier epoch had. */
  readonly storedBytes: number
  /** Each changed chunk compressed by itself, without the version before it. */
  readonly wholeBytes: number
  /** Each 4 KiB page of a changed chunk that differs, compressed by itself. */
  readonly pageBytes: number
}

const pageBytes = 4096

/** By epoch number, then by path, for epochs that follow each other. No daemon may have the store open. */
export async function epochParts(
  directory: string, image: string, numbers: readonly number[], paths: readonly string[],
): Promise<Map<number, Map<string, FileChanges>>> {
  await using store = await openChunkStore(systemEnv(), directory)
  const stored = await storedBytes(store)
  const files = new ImageFiles(systemEnv(), directory, image)
  const nodes = new NodeReader(store)
  const root = (number: number, path: string): Buffer | null =>
    findPath(nodes, decodeManifest(store.read(files.epoch(number).manifest)), path).inode.dataRoot
  for (const path of paths) forget(nodes, root(numbers[0] - 1, path), stored)
  const parts = new Map<number, Map<string, FileChanges>>()
  for (const number of numbers) {
    const ofPaths = paths.map((path): [string, FileChanges] =>
      [path, changesOf(store, nodes, root(number - 1, path), root(number, path), stored)])
    parts.set(number, new Map(ofPaths))
  }
  return parts
}

/** A chunk that comes back costs nothing. */
function forget(nodes: NodeReader, root: Buffer | null, stored: Map<string, number>): void {
  for (const { after } of diff(nodes, null, root)) if (after !== null) stored.delete(after.toString('latin1'))
}

/** Length of the shallowest record of each chunk. */
async function storedBytes(store: LocalChunkStore): Promise<Map<string, number>> {
  const bytes = new Map<string, number>()
  for await (const { id, location } of store.records()) {
    const key = id.toString('latin1')
    bytes.set(key, Math.min(bytes.get(key) ?? Infinity, location.recordBytes))
  }
  return bytes
}

/** A record is counted once: it is taken out of `stored`. */
function changesOf(
  store: ChunkReader, nodes: NodeReader, before: Buffer | null, after: Buffer | null, stored: Map<string, number>,
): FileChanges {
  const sum = { chunks: 0, pages: 0, storedBytes: 0, wholeBytes: 0, pageBytes: 0 }
  for (const change of diff(nodes, before, after)) {
    if (change.after === null) continue
    const key = change.after.toString('latin1')
    const plain = store.read(change.after)
    const old = change.before === null ? Buffer.alloc(chunkBytes) : store.read(change.before)
    sum.chunks += 1
    sum.storedBytes += stored.get(key) ?? 0
    sum.wholeBytes += compressedBytes(plain)
    for (const page of changedPages(old, plain)) {
      sum.pages += 1
      sum.pageBytes += compressedBytes(page)
    }
    stored.delete(key)
  }
  return sum
}

function* changedPages(old: Buffer, plain: Buffer): Generator<Buffer> {
  for (let at = 0; at < chunkBytes; at += pageBytes) {
    const page = plain.subarray(at, at + pageBytes)
    if (!page.equals(old.subarray(at, at + pageBytes))) yield page
  }
}

function compressedBytes(plain: Buffer): number {
  return compressWhole(plain)?.length ?? plain.length
}
