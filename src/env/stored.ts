/**
 * Files and directories of a store's own. A link, a pipe or a device in their place was put there by somebody else: a
 * link could make us write or remove elsewhere, a pipe wait for ever. They are refused, with what to do about it.
 */
import { HoldfastError } from '../errors.ts'
import type { Env, EnvFile, OpenMode, PathKind } from './env.ts'

/** Errors: DAMAGED (it is no file), and as `Env.open`. */
export function openStored(env: Env, path: string, mode: OpenMode): EnvFile {
  requireKind(env, path, 'file')
  return env.open(path, mode)
}

/** Nothing there is no fault. Errors: DAMAGED. */
export function requireKind(env: Env, path: string, kind: 'file' | 'directory'): void {
  if (!env.exists(path)) return
  const found = env.stat(path).kind
  if (found === kind) return
  const message = `${path} is ${words[found]}, not a ${kind} as in every store: move it away`
  throw new HoldfastError('DAMAGED', message, { info: { path } })
}

const words: Record<PathKind, string> = {
  file: 'a file', directory: 'a directory', link: 'a symbolic link', other: 'a pipe or a device',
}
