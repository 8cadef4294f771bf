/** Whole files that appear at once and durably, or not at all. */
import { dirname } from 'node:path'
import type { Env } from './env.ts'
import { openStored } from './stored.ts'

/**
 * Writes `bytes` under a temporary name, syncs, renames over `path` and syncs the directory. On return the
 * file is durable. A crash in between leaves the old file, and at most one `*.tmp` beside it.
 */
export function publishFile(env: Env, path: string, bytes: Uint8Array): void {
  const temporary = `${path}.tmp`
  using file = openStored(env, temporary, 'create')
  file.truncate(0)
  file.write(bytes, 0)
  file.sync()
  env.rename(temporary, path)
  env.syncDirectory(dirname(path))
}

/**
 * The whole file, which must be one (DAMAGED). `bytesMax` is checked before anything is allocated; a larger file is
 * read only so far.
 */
export function readWhole(env: Env, path: string, bytesMax: number): Uint8Array {
  using file = openStored(env, path, 'read')
  const bytes = new Uint8Array(Math.min(file.size(), bytesMax))
  return bytes.subarray(0, file.read(bytes, 0))
}
