/** What a store holds, counted. */
import type { Env } from '../env/env.ts'
import type { LocalChunkStore } from '../store/local-chunk-store.ts'
import type { ImageSummary, StoreStats } from './types.ts'

export function statsOf(env: Env, store: LocalChunkStore, images: readonly ImageSummary[]): StoreStats {
  const stats = store.stats()
  const { directory } = store.layout
  return {
    store: store.identity.storeId.toString('hex'), directory, formatVersion: 1,
    encrypted: store.keys !== null,
    images: images.length,
    epochs: images.reduce((sum, image) => sum + image.epochs, 0),
    packs: stats.packs, records: stats.data.records + stats.node.records,
    plainBytes: stats.data.plainBytes + stats.node.plainBytes, storedBytes: stats.packBytes,
    dataStoredBytes: stats.data.storedBytes, nodeStoredBytes: stats.node.storedBytes,
    freeBytes: env.freeBytes(directory),
  }
}
