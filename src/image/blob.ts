/** Bytes kept as chunks under a tree like a file's, so that a version costs what differs from the one before. */
import { Buffer } from 'node:buffer'
import { isZero } from '../chunk/zero.ts'
import { chunkBytes } from '../limits.ts'
import type { ChunkId, ChunkReader, ChunkStore } from '../store/chunks.ts'
import { entries, get, removeFrom, update } from './tree/index.ts'
import type { Change, NodeReader, NodeStore } from './tree/index.ts'

/** Root of the bytes' chunks; null when they are all zeros. `before` is the root of an earlier version. */
export function storeBlob(
  store: ChunkStore, nodes: NodeStore, bytes: Uint8Array, before: ChunkId | null,
): ChunkId | null {
  const changes: Change[] = []
  for (let at = 0; at < bytes.length; at += chunkBytes) {
    const plain = Buffer.alloc(chunkBytes)
    plain.set(bytes.subarray(at, at + chunkBytes))
    const key = at / chunkBytes
    const base = get(nodes, before, key) ?? undefined
    changes.push([key, isZero(plain) ? null : store.put(plain, 'data', base).id])
  }
  return update(nodes, removeFrom(nodes, before, Math.ceil(bytes.length / chunkBytes)), changes)
}

/** Errors: NOT_FOUND, DAMAGED. */
export function readBlob(reader: ChunkReader, nodes: NodeReader, root: ChunkId | null, bytes: number): Buffer {
  const blob = Buffer.alloc(bytes)
  for (const [key, id] of entries(nodes, root)) {
    const plain = reader.read(Buffer.from(id))
    plain.copy(blob, key * chunkBytes)
  }
  return blob
}
