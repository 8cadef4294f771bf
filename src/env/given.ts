/** Files that a user names, such as one with a key. Unlike a store's own they may lie behind links. */
import { HoldfastError, isCode } from '../errors.ts'
import type { Env } from './env.ts'

/** The whole file, read only so far as `bytesMax`. Errors: NOT_FOUND, USAGE (it is no file), IO. */
export function readGiven(env: Env, path: string, what: string, bytesMax: number): Uint8Array {
  try {
    using file = env.open(path, 'read')
    const bytes = new Uint8Array(bytesMax)
    return bytes.subarray(0, file.read(bytes, 0))
  } catch (error) {
    const cause = error instanceof HoldfastError ? error.cause : undefined
    if (isCode(error, 'NOT_FOUND')) throw new HoldfastError('NOT_FOUND', `there is no ${what} ${path}`, { cause })
    if (!isCode(cause, 'EISDIR', 'ESPIPE', 'ENXIO')) throw error
    throw new HoldfastError('USAGE', `${path} cannot be a ${what}: it is no file`, { cause })
  }
}
