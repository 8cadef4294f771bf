/** Bytes of a store that go bad on the medium: single bits, which checksums put right, and whole chunks, which a copy brings back. */
import { join } from 'node:path'
import type { Env } from '../../src/env/env.ts'
import { packHeaderBytes } from '../../src/format/pack-header.ts'
import { chunkBytes } from '../../src/limits.ts'
import { readFooter, scanRecords } from '../../src/store/pack-scan.ts'
import type { Random } from '../random.ts'

/** Packs by their numbers; the last are the open ones. */
export function packsOf(env: Env, directory: string): string[] {
  return env.readdir(join(directory, 'packs')).sort().map((name) => join(directory, 'packs', name))
}

export function flipBit(env: Env, path: string, random: Random, at = random.below(env.stat(path).bytes)): void {
  const byte = readBytes(env, path, at, 1)
  byte[0] ^= 1 << random.below(8)
  overwrite(env, path, at, byte)
}

/** Spoils the middle of the first record of a pack that holds a chunk which does not compress; false where there is none. */
export function spoilChunk(env: Env, path: string, random: Random): boolean {
  using file = env.open(path, 'read')
  for (const record of scanRecords(file, packHeaderBytes, readFooter(file)?.recordsEnd ?? file.size())) {
    if (record.type === 'gap' || record.bytes.length < chunkBytes) continue
    overwrite(env, path, record.offset + (chunkBytes >> 1), random.bytes(300))
    return true
  }
  return false
}

function readBytes(env: Env, path: string, at: number, count: number): Buffer {
  using file = env.open(path, 'read')
  const bytes = Buffer.alloc(count)
  file.read(bytes, at)
  return bytes
}

function overwrite(env: Env, path: string, at: number, bytes: Buffer): void {
  using file = env.open(path, 'write')
  file.write(bytes, at)
  file.sync()
}
