/** What the directory replica asks of the file system. */
import { Buffer } from 'node:buffer'
import { dirname, join } from 'node:path'
import { HoldfastError, isCode } from '../errors.ts'
import type { Env } from '../env/env.ts'
import { ensureDirectory } from '../env/tree.ts'
import type { Call } from './call.ts'
import { isObjectName } from './paths.ts'
import type { ReplicaEntry } from './replica.ts'

/** Runs a step, also one that ends later; what the system does not permit is REPLICA_DENIED. */
export function attempt<T>(run: () => T): T {
  try {
    const result = run()
    return result instanceof Promise ? (result.catch((error: unknown) => { throw denied(error) }) as T) : result
  } catch (error) {
    throw denied(error)
  }
}

/** Null when there is nothing that a replica shows. */
export function entryOf(env: Env, path: string, name: string): ReplicaEntry | null {
  if (!env.exists(path)) return null
  const { kind, bytes, mtimeNs } = env.stat(path)
  if (kind !== 'file' && kind !== 'directory') return null
  const isFile = kind === 'file'
  return { name, kind: isFile ? 'object' : kind, bytes: isFile ? bytes : 0, modifiedMs: Number(mtimeNs / 1_000_000n) }
}

/** By their bytes. */
export function sortedNames(env: Env, directory: string): string[] {
  return env.readdir(directory).sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
}

export function sizesBelow(env: Env, directory: string, call: Call): { objectCount: number; objectBytes: number } {
  call.check()
  let objectCount = 0
  let objectBytes = 0
  for (const name of env.readdir(directory).filter(isObjectName)) {
    const entry = entryOf(env, join(directory, name), name)
    if (entry === null) continue
    const sizes = entry.kind === 'object'
      ? { objectCount: 1, objectBytes: entry.bytes } : sizesBelow(env, join(directory, name), call)
    objectCount += sizes.objectCount
    objectBytes += sizes.objectBytes
  }
  return { objectCount, objectBytes }
}

/** With its parents, durably. Errors: EXISTS (an object is in the way). */
export function makeDirectories(env: Env, place: string): void {
  if (env.exists(place)) {
    if (env.stat(place).kind === 'directory') return
    throw new HoldfastError('EXISTS', `making ${place}: an object is in the way`)
  }
  makeDirectories(env, dirname(place))
  ensureDirectory(env, place)
  env.syncDirectory(dirname(place))
}

/** Somebody else may have done it. */
export function unlinkDurably(env: Env, place: string): void {
  try {
    env.unlink(place)
  } catch (error) {
    if (!isCode(error, 'NOT_FOUND')) throw error
  }
  env.syncDirectory(dirname(place))
}

/** Lets others have the thread between two pieces. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

function denied(error: unknown): unknown {
  const cause = error instanceof HoldfastError ? error.cause : undefined
  if (!(error instanceof HoldfastError) || !isCode(cause, 'EACCES', 'EPERM', 'EROFS')) return error
  return new HoldfastError('REPLICA_DENIED', error.message, { cause })
}

export function rootless(root: string): HoldfastError {
  return new HoldfastError('NOT_FOUND', `there is no directory ${root}: mount the disk that it lies on, or make it`)
}

export function absent(path: string): HoldfastError {
  return new HoldfastError('NOT_FOUND', `there is no ${path} on the replica`)
}
