/** A chunk store that counts what one commit adds to the packs. */
import type { Buffer } from 'node:buffer'
import type { ChunkId, ChunkKind, ChunkStore, PutResult } from '../store/chunks.ts'

export class CountingStore implements ChunkStore {
  readonly #store: ChunkStore
  #storedBytes = 0

  constructor(store: ChunkStore) {
    this.#store = store
  }

  get storedBytes(): number {
    return this.#storedBytes
  }

  put(plain: Uint8Array, kind: ChunkKind, base?: ChunkId): PutResult {
    const result = this.#store.put(plain, kind, base)
    this.#storedBytes += result.storedBytes
    return result
  }

  read(id: ChunkId): Buffer {
    return this.#store.read(id)
  }

  has(id: ChunkId): boolean {
    return this.#store.has(id)
  }

  sync(): Promise<void> {
    return this.#store.sync()
  }
}
