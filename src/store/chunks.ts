/**
 * The two faces of the chunk store. A chunk is up to 64 KiB of plain bytes, named by its BLAKE3-256 (keyed
 * by the domain's key where the store is encrypted). Data chunks are always 65,536 bytes, node chunks
 * (manifest nodes and other small metadata) 1 to 65,536.
 *
 * Threads: any number of readers, each with its own `ChunkReader` in its own thread; one `ChunkStore`, the
 * only writer of packs and index, in one thread of one process (the store's lock sees to that).
 */
import type { Buffer } from 'node:buffer'

/** 32 bytes, never changed once made. */
export type ChunkId = Buffer

export type ChunkKind = 'data' | 'node'

export interface ChunkReader {
  /**
   * The plain bytes, digest verified. The buffer belongs to the reader's cache: it is not to be changed,
   * and stays valid (caches drop references, they never overwrite).
   * Errors: NOT_FOUND (no record of that id), DAMAGED (no record of it can be decoded to its digest).
   */
  read(id: ChunkId): Buffer
  has(id: ChunkId): boolean
}

export interface PutResult {
  id: ChunkId
  /** Bytes added to the pack, record header included; 0 for a dedup hit. */
  storedBytes: number
}

export interface ChunkStore extends ChunkReader {
  /**
   * Stores a chunk unless a good record of it exists (a hit on a missing or bad record is a miss, and heals
   * it). `base` names an earlier version of the same chunk, used for a delta if that pays. What was put can
   * be read by this object at once, by others after `sync`. After a failed write every later put fails with
   * FAILED_STATE until the store is opened again.
   * Errors: NO_SPACE, IO, FAILED_STATE.
   */
  put(plain: Uint8Array, kind: ChunkKind, base?: ChunkId): PutResult
  /** On return every put before the call is durable in a synced pack and in the index (the index unsynced). */
  sync(): Promise<void>
}
