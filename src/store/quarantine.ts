/**
 * `quarantine/` of a store: files that were bad and replaced, or of no use, kept for people, each with a note beside
 * it that says what was wrong. Nothing reads them but a repair that looks for lost chunks; whoever is done with them
 * deletes them.
 */
import { Buffer } from 'node:buffer'
import { basename, dirname, join } from 'node:path'
import { copyContents } from '../env/copy.ts'
import type { Env } from '../env/env.ts'
import { publishFile } from '../env/publish.ts'
import { ensureDirectory } from '../env/tree.ts'
import { HoldfastError } from '../errors.ts'
import { segmentReadBytesMax } from '../limits.ts'
import type { StoreLayout } from './layout.ts'

/** Moves a file there, durably; the name it has now. */
export function quarantineFile(env: Env, layout: StoreLayout, path: string, note: string): string {
  const target = freeName(env, layout, path)
  writeNote(env, target, path, note)
  env.rename(path, target)
  env.syncDirectory(dirname(path))
  env.syncDirectory(layout.quarantine)
  return target
}

/**
 * Puts a copy of a file there that is about to be mended in its place. One that is longer than anything we write is
 * not copied: what is behind is not ours. Errors: DAMAGED, NO_SPACE, IO.
 */
export function quarantineCopy(env: Env, layout: StoreLayout, path: string, note: string): string {
  if (env.stat(path).bytes > segmentReadBytesMax) throw new HoldfastError('DAMAGED', `${path} is too long to be ours`)
  const target = freeName(env, layout, path)
  writeNote(env, target, path, note)
  using from = env.open(path, 'read')
  using to = env.open(target, 'createNew')
  copyContents(from, to)
  to.sync()
  env.syncDirectory(layout.quarantine)
  return target
}

function freeName(env: Env, layout: StoreLayout, path: string): string {
  ensureDirectory(env, layout.quarantine)
  env.syncDirectory(layout.directory)
  const name = join(layout.quarantine, `${env.randomBytes(4).toString('hex')}.${basename(path)}`)
  return name
}

function writeNote(env: Env, target: string, path: string, note: string): void {
  publishFile(env, `${target}.txt`, Buffer.from(`${path}\n${note}\n`))
}
