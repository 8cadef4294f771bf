/** Plain files in which lost chunks may be found: the base that an image was made from, an export, an older copy. */
import { Buffer } from 'node:buffer'
import { join } from 'node:path'
import type { Env } from '../../env/env.ts'
import { HoldfastError, isCode } from '../../errors.ts'
import { chunkBytes } from '../../limits.ts'
import type { ChunkSource, WantedChunks } from '../../store/chunk-source.ts'
import { type LongCall, breathe } from '../../store/progress.ts'

const chunksBetweenTurns = 64

export class FileChunks implements ChunkSource {
  readonly name: string
  readonly #env: Env

  constructor(env: Env, path: string) {
    this.name = path
    this.#env = env
  }

  async *find(wanted: WantedChunks, call: LongCall): AsyncGenerator<Buffer> {
    if (!this.#env.exists(this.name)) throw new HoldfastError('NOT_FOUND', `there is no ${this.name}`)
    for (const path of filesBelow(this.#env, this.name)) {
      if (wanted.size === 0) return
      yield* this.#file(path, call)
    }
  }

  async *#file(path: string, call: LongCall): AsyncGenerator<Buffer> {
    using file = this.#env.open(path, 'read')
    for (let chunk = 0; ; chunk++) {
      const plain = Buffer.alloc(chunkBytes)
      if (file.read(plain, chunk * chunkBytes) === 0) return
      yield plain
      if (chunk % chunksBetweenTurns === 0) await breathe(call)
    }
  }
}

/** Links are not followed. */
function* filesBelow(env: Env, path: string): Generator<string> {
  try {
    const { kind } = env.stat(path)
    if (kind === 'file') yield path
    if (kind === 'directory') for (const name of env.readdir(path).sort()) yield* filesBelow(env, join(path, name))
  } catch (error) {
    if (!isCode(error, 'IO', 'NOT_FOUND')) throw error
  }
}
