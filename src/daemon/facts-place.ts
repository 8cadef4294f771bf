/** Where what was found out about this host's hypervisor is kept. */
import { dirname, join } from 'node:path'
import type { Env } from '../env/env.ts'
import { ensureDirectory } from '../env/tree.ts'
import { HoldfastError } from '../errors.ts'
import { hypervisorFactsPath } from './user-cache.ts'

/** For all stores of the user; undefined where the user has no place for it that can be written. */
export function factsPlace(env: Env, environment: NodeJS.ProcessEnv): string | undefined {
  const path = hypervisorFactsPath(environment)
  if (path === undefined) return undefined
  const directory = dirname(path)
  try {
    ensureDirectory(env, dirname(directory))
    ensureDirectory(env, directory)
    const trial = join(directory, `trial-${env.randomBytes(8).toString('hex')}`)
    env.mkdir(trial)
    env.rmdir(trial)
    return path
  } catch (error) {
    // Then each store finds it out for itself.
    if (!(error instanceof HoldfastError)) throw error
    return undefined
  }
}
