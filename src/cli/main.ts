#!/usr/bin/env node
/** Entry of the command line. The compile cache is set before anything else is loaded, so that all is cached. */
import { enableCompileCache } from 'node:module'
import { compileCacheDirectory } from '../daemon/user-cache.ts'

const cache = compileCacheDirectory(process.env)
if (cache !== undefined) enableCompileCache(cache)
const { runProgram } = await import('./program.ts')
process.exitCode = await runProgram(process.argv.slice(2))
