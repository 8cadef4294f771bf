/** Where objects are before they have a name: a directory of the root that no caller can name. */
import type { Env } from '../env/env.ts'

export const temporaryDirectory = '.tmp'

/** Nobody else's, ever. */
export function temporaryName(env: Env): string {
  return env.randomBytes(16).toString('hex')
}
