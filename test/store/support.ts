/** Stores in temporary directories. */
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'
import { systemEnv } from '../../src/env/system.ts'
import { initStore } from './variant.ts'

export const env = systemEnv()

/** A new store, removed when the test ends. */
export function temporaryStore(t: ExecutionContext): string {
  const directory = fs.mkdtempSync(join(tmpdir(), 'holdfast-store-'))
  t.teardown(() => fs.rmSync(directory, { recursive: true, force: true }))
  initStore(env, directory)
  return directory
}

export function packPaths(directory: string): string[] {
  return fs.readdirSync(join(directory, 'packs')).sort().map((name) => join(directory, 'packs', name))
}
