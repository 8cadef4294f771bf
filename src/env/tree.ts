/** Directories as a whole. */
import { join } from 'node:path'
import { isCode } from '../errors.ts'
import type { Env } from './env.ts'

/** Makes one directory unless it is there. */
export function ensureDirectory(env: Env, path: string): void {
  if (env.exists(path)) return
  try {
    env.mkdir(path)
  } catch (error) {
    if (!isCode(error, 'EXISTS')) throw error
  }
}

/** Removes a directory and all below it, or a file; nothing happens where there is none. Links are not followed. */
export function removeTree(env: Env, path: string): void {
  if (!env.exists(path)) return
  if (env.stat(path).kind !== 'directory') return env.unlink(path)
  for (const name of env.readdir(path)) removeTree(env, join(path, name))
  env.rmdir(path)
}
