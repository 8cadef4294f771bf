/** Chunks that lie whole in a write of an image's log: what a guest wrote again, and is not committed yet. */
import { Buffer } from 'node:buffer'
import type { Env } from '../../env/env.ts'
import { isCode } from '../../errors.ts'
import { recordType } from '../../format/log.ts'
import { chunkBytes } from '../../limits.ts'
import type { ChunkSource, WantedChunks } from '../../store/chunk-source.ts'
import { type LongCall, breathe } from '../../store/progress.ts'
import type { ImageFiles } from '../image-files.ts'
import { listSegments, LogReader } from '../log-reader.ts'

export class LogChunks implements ChunkSource {
  readonly name: string
  readonly #env: Env
  readonly #files: ImageFiles

  constructor(env: Env, files: ImageFiles) {
    this.name = `the log of ${files.image}`
    this.#env = env
    this.#files = files
  }

  async *find(wanted: WantedChunks, call: LongCall): AsyncGenerator<Buffer> {
    try {
      const { layout } = this.#files
      const { segment, sequence } = this.#files.newest()
      const pending = listSegments(this.#env, layout).filter((number) => number > segment)
      using log = new LogReader(this.#env, layout, this.#files.identity().id, this.#files.keys)
      for (const { type, within, payload } of log.records(pending, { sequence, isWhole: false })) {
        if (wanted.size === 0) return
        if (type !== recordType.write) continue
        const first = (chunkBytes - within) % chunkBytes
        for (let at = first; at + chunkBytes <= payload.length; at += chunkBytes) {
          yield Buffer.from(payload.subarray(at, at + chunkBytes))
        }
        await breathe(call)
      }
    } catch (error) {
      if (!isCode(error, 'DAMAGED', 'BAD_FORMAT', 'NOT_FOUND', 'NEWER_VERSION', 'IO', 'FAILED_STATE')) throw error
    }
  }
}
