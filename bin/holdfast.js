#!/usr/bin/env node
/**
 * Entry of the command line in a checkout. Plain JavaScript, because a TypeScript entry would be stripped of
 * its types before the compile cache is on: that alone takes longer than all the rest of a command.
 *
 * A Node that is too old hands over to the one of the lockfile.
 */
import { existsSync } from 'node:fs'
import module from 'node:module'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

if (Number(process.versions.node.split('.')[0]) < 24) await handOver()
const { XDG_CACHE_HOME: cache, HOME: home } = process.env
const place = cache?.startsWith('/') ? cache : home?.startsWith('/') ? join(home, '.cache') : null
if (place !== null) module.enableCompileCache(join(place, 'holdfast', 'compiled'))
await import('../src/cli/main.ts')

async function handOver() {
  const entry = fileURLToPath(import.meta.url)
  const own = join(dirname(entry), '../node_modules/.bin/node')
  if (!existsSync(own)) {
    process.stderr.write(`holdfast needs Node 24 or newer, this is ${process.version}: 'npm install' brings one\n`)
    process.exit(1)
  }
  const { spawn } = await import('node:child_process')
  const child = spawn(own, [entry, ...process.argv.slice(2)], { stdio: 'inherit' })
  // A terminal interrupts both.
  process.on('SIGINT', () => undefined)
  process.on('SIGTERM', () => child.kill('SIGTERM'))
  await new Promise((resolve) => child.once('exit', (code, signal) => {
    process.exitCode = code ?? 128 + constants.signals[signal]
    resolve()
  }))
  process.exit()
}
