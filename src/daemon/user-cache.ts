/** What may be kept between runs for all stores of a user: it can be deleted at any time. */
import { join } from 'node:path'

/** Where compiled modules are kept; loading from there halves a command's start. Undefined: as `userCache`. */
export function compileCacheDirectory(environment: NodeJS.ProcessEnv): string | undefined {
  return below(userCache(environment), 'compiled')
}

/**
 * Where what was found out about this host's hypervisor is kept, so that a new store need not find it out again: a
 * processor that pretends to virtualize is told from one that does by waiting three seconds. Undefined: as `userCache`.
 */
export function hypervisorFactsPath(environment: NodeJS.ProcessEnv): string | undefined {
  return below(userCache(environment), 'hypervisor.json')
}

/** Undefined when the environment names no place of the user's own. */
function userCache({ XDG_CACHE_HOME: cache, HOME: home }: NodeJS.ProcessEnv): string | undefined {
  if (cache !== undefined && cache.startsWith('/')) return join(cache, 'holdfast')
  return home !== undefined && home.startsWith('/') ? join(home, '.cache', 'holdfast') : undefined
}

function below(directory: string | undefined, name: string): string | undefined {
  return directory === undefined ? undefined : join(directory, name)
}
