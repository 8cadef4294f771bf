/** Where compiled modules are kept between runs; loading from there halves a command's start. */
import { join } from 'node:path'

/** Undefined when the environment names no place of the user's own. */
export function compileCacheDirectory(environment: NodeJS.ProcessEnv): string | undefined {
  const { XDG_CACHE_HOME: cache, HOME: home } = environment
  if (cache !== undefined && cache.startsWith('/')) return join(cache, 'holdfast', 'compiled')
  return home !== undefined && home.startsWith('/') ? join(home, '.cache', 'holdfast', 'compiled') : undefined
}
