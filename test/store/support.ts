/** Stores in temporary directories, and chunks from a seed. */
import { Buffer } from 'node:buffer'
import { randomInt } from 'node:crypto'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'
import { systemEnv } from '../../src/env/system.ts'
import { chunkBytes } from '../../src/limits.ts'
import { initStore } from './variant.ts'

export const env = systemEnv()

/** A new store, removed when the test ends. */
export function temporaryStore(t: ExecutionContext): string {
  const directory = fs.mkdtempSync(join(tmpdir(), 'holdfast-store-'))
  t.teardown(() => fs.rmSync(directory, { recursive: true, force: true }))
  initStore(env, directory)
  return directory
}

/** The seed is logged: `SEED=n` repeats a failure. */
export function seeded(t: ExecutionContext): Random {
  const seed = Number(process.env['SEED'] ?? randomInt(2 ** 31))
  t.log(`SEED=${seed}`)
  return new Random(seed)
}

/** mulberry32, which is good enough to vary tests. */
export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed | 0
  }

  /** 0 to countEnd - 1. */
  below(countEnd: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * countEnd)
  }

  bytes(count: number): Buffer {
    const bytes = Buffer.allocUnsafe(count)
    for (let at = 0; at < count; at++) bytes[at] = this.below(256)
    return bytes
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]
  }

  /** Compresses to about a third, as machine code does. */
  chunk(): Buffer {
    const chunk = Buffer.alloc(chunkBytes)
    const words = Array.from({ length: 200 }, () => this.bytes(4 + this.below(12)))
    for (let at = 0; at < chunkBytes; ) at += this.pick(words).copy(chunk, at)
    return chunk
  }

  /** A later version: `places` changes of up to 64 bytes. */
  mutated(chunk: Buffer, places = 1 + this.below(20)): Buffer {
    const changed = Buffer.from(chunk)
    for (let place = 0; place < places; place++) {
      this.bytes(1 + this.below(64)).copy(changed, this.below(chunk.length))
    }
    return changed
  }
}

export function packPaths(directory: string): string[] {
  return fs.readdirSync(join(directory, 'packs')).sort().map((name) => join(directory, 'packs', name))
}
