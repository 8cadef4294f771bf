/** Chunks that a replica has, one after the other. */
import { Buffer } from 'node:buffer'
import { isCode } from '../errors.ts'
import { overlayBytes } from '../limits.ts'
import type { ChunkSource, WantedChunks } from './chunk-source.ts'
import { type LongCall, breathe } from './progress.ts'
import { RecordOverlay } from './record-overlay.ts'
import { RecordReader } from './record-reader.ts'
import type { RecordSource } from './record-source.ts'
import type { StoreInside } from './store-inside.ts'

export class ReplicaChunks implements ChunkSource {
  readonly name = 'replicas'
  readonly #source: RecordSource
  readonly #overlay: RecordOverlay

  constructor({ index, packs }: StoreInside, source: RecordSource) {
    this.#source = source
    this.#overlay = new RecordOverlay(index, packs, overlayBytes)
  }

  async *find(wanted: WantedChunks, call: LongCall): AsyncGenerator<Buffer> {
    for (const key of [...wanted.keys()]) {
      const plain = this.#fetch(Buffer.from(key, 'latin1'))
      if (plain === 'nobody answers') return
      if (plain !== undefined) yield plain
      await breathe(call)
    }
  }

  #fetch(id: Buffer): Buffer | 'nobody answers' | undefined {
    try {
      for (const record of this.#source.fetch([id])) this.#overlay.add(record)
      return new RecordReader(this.#overlay, this.#overlay, 0, 0).read(id)
    } catch (error) {
      if (!isCode(error, 'NOT_FOUND', 'DAMAGED', 'IO', 'REPLICA_UNREACHABLE', 'REPLICA_FAULT')) throw error
      return isCode(error, 'REPLICA_UNREACHABLE') ? 'nobody answers' : undefined
    }
  }
}
