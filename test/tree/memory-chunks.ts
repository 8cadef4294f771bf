/** A chunk store in memory that counts what is asked of it, for tests of what lies above the store. */
import { Buffer } from 'node:buffer'
import { blake3 } from '@napi-rs/blake-hash'
import { HoldfastError } from '../../src/errors.ts'
import type { ChunkId, ChunkKind, ChunkStore, PutResult } from '../../src/store/chunks.ts'

export class MemoryChunks implements ChunkStore {
  readonly chunks = new Map<string, Buffer>()
  /** Every put, hits included. */
  putCount = 0
  /** Puts of what was there already. */
  hitCount = 0
  /** Puts that named a base. */
  baseCount = 0
  readCount = 0

  read(id: ChunkId): Buffer {
    this.readCount += 1
    const bytes = this.chunks.get(id.toString('hex'))
    if (bytes === undefined) throw new HoldfastError('NOT_FOUND', `no chunk ${id.toString('hex')}`)
    return bytes
  }

  has(id: ChunkId): boolean {
    return this.chunks.has(id.toString('hex'))
  }

  put(plain: Uint8Array, _kind: ChunkKind, base?: ChunkId): PutResult {
    const id = blake3(plain)
    const name = id.toString('hex')
    this.putCount += 1
    if (base !== undefined) {
      this.baseCount += 1
      this.read(base)
      this.readCount -= 1
    }
    if (this.chunks.has(name)) {
      this.hitCount += 1
      return { id, storedBytes: 0 }
    }
    this.chunks.set(name, Buffer.from(plain))
    return { id, storedBytes: plain.length }
  }

  async sync(): Promise<void> {}

  resetCounts(): void {
    this.putCount = 0
    this.hitCount = 0
    this.baseCount = 0
    this.readCount = 0
  }
}
