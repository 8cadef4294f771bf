/**
 * What a later daemon must know of an incarnation, in its run directory: `journal.json`. It is renamed into
 * place whole, and not synced: a host that loses power has no process left to be found. Whether a pause is
 * ours is not in it: the driver marks that in the same directory.
 *
 *   machines/facts.json, .rom     what the driver's probe found, where the user has no cache for that
 *   machines/NAME.XXXXXXXX/       one incarnation, mode 0700: journal.json, sockets, logs
 *   machines/NAME.XXXXXXXX/mount  where its image is mounted
 */
import { Buffer } from 'node:buffer'
import { join } from 'node:path'
import type { Handle } from '../../drivers/index.ts'
import type { Env } from '../env/env.ts'
import { readWhole } from '../env/publish.ts'
import { removeTree } from '../env/tree.ts'
import { isCode } from '../errors.ts'
import { journalBytesMax } from './limits.ts'

export interface Journal {
  image: string
  handle: Handle
  /** Schedule of its checkpoints; null or absent for none. */
  everyMs?: number | null
}

const mountName = 'mount'
const journalName = 'journal.json'
const discriminatorBytes = 4

export function mountDirectory(runDirectory: string): string {
  return join(runDirectory, mountName)
}

/** A fresh directory with a mount point in it. Errors: IO, NO_SPACE. */
export function makeRunDirectory(env: Env, directory: string, image: string): string {
  const path = join(directory, `${image}.${env.randomBytes(discriminatorBytes).toString('hex')}`)
  env.mkdir(path)
  env.mkdir(mountDirectory(path))
  return path
}

/** Only once nothing is mounted in it: what is removed here is files of this host. */
export function removeRunDirectory(env: Env, runDirectory: string): void {
  if (!env.exists(runDirectory)) return
  env.rmdir(mountDirectory(runDirectory))
  removeTree(env, runDirectory)
}

export function writeJournal(env: Env, runDirectory: string, journal: Journal): void {
  const path = join(runDirectory, journalName)
  const temporary = `${path}.tmp`
  using file = env.open(temporary, 'create')
  file.truncate(0)
  file.write(Buffer.from(JSON.stringify(journal)), 0)
  env.rename(temporary, path)
}

/** The run directories of earlier daemons; those without a readable journal never got so far as to run. */
export function findJournals(env: Env, directory: string): { runDirectory: string; journal: Journal | null }[] {
  return env.readdir(directory)
    .map((name) => join(directory, name))
    .filter((path) => env.stat(path).kind === 'directory')
    .map((runDirectory) => ({ runDirectory, journal: readJournal(env, join(runDirectory, journalName)) }))
}

function readJournal(env: Env, path: string): Journal | null {
  try {
    const value = JSON.parse(Buffer.from(readWhole(env, path, journalBytesMax)).toString()) as Partial<Journal>
    return typeof value.image === 'string' && typeof value.handle === 'object' ? value as Journal : null
  } catch (error) {
    if (isCode(error, 'NOT_FOUND') || error instanceof SyntaxError) return null
    throw error
  }
}
