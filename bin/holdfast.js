#!/usr/bin/env node
/**
 * Entry of the command line in a checkout. Plain JavaScript, because a TypeScript entry would be stripped of
 * its types before the compile cache is on: that alone takes longer than all the rest of a command.
 */
import { enableCompileCache } from 'node:module'
import { join } from 'node:path'

const { XDG_CACHE_HOME: cache, HOME: home } = process.env
const place = cache?.startsWith('/') ? cache : home?.startsWith('/') ? join(home, '.cache') : null
if (place !== null) enableCompileCache(join(place, 'holdfast', 'compiled'))
await import('../src/cli/main.ts')
