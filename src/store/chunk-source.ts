/**
 * Where chunks may be had that the store has lost: other packs, logs, plain files, replicas. Whoever asks compares
 * digests, so a source may offer wrong bytes, and offer a chunk twice.
 */
import type { Buffer } from 'node:buffer'
import type { ChunkKind } from './chunks.ts'
import type { LongCall } from './progress.ts'

/** Ids in latin1, and what they are wanted as. */
export type WantedChunks = ReadonlyMap<string, ChunkKind>

export interface ChunkSource {
  /** For people: "the log of vm". */
  readonly name: string
  /**
   * Plain bytes of chunks; the buffers are the caller's. `wanted` shrinks while this runs. What cannot be read is
   * passed over: a source that fails has nothing. Errors: ABORTED.
   */
  find(wanted: WantedChunks, call: LongCall): AsyncIterable<Buffer>
}
