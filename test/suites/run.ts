/**
 * Runs the suites of other people on a mounted image, in full.
 *
 *   npm run suites -- [--short] [--list] [SUITE...]
 *
 * Crates that are missing are built first where Rust is there. A suite that cannot run is named with what is
 * missing. The exit code is 0 when none failed. What is random is so each time, unless HOLDFAST_SEED repeats a run.
 */
import process from 'node:process'

import { direct } from './direct.ts'
import { fio } from './fio.ts'
import { fsx, fsxCrate } from './fsx.ts'
import { pjdfstest, pjdfstestCrate } from './pjdfstest.ts'
import { posixtest } from './posixtest.ts'
import { qemuImg } from './qemu-img.ts'
import { qemuIo } from './qemu-io.ts'
import { installCrate, missingCrate, missingProgram } from './suite.ts'
import type { Extent, Suite } from './suite.ts'
import { ServedStore } from '../mount/served.ts'

process.env['HOLDFAST_SEED'] ??= 'random'

const suites: readonly Suite[] = [pjdfstest, fsx, direct, fio, qemuIo, qemuImg, posixtest]

/** What is to be undone after the suite that runs, last things first. */
const teardowns: (() => unknown)[] = []

function print(text: string): void {
  process.stdout.write(`${text}\n`)
}

async function install(chosen: readonly Suite[]): Promise<void> {
  if (missingProgram('cargo', 'cargo') !== null) return
  for (const crate of [fsxCrate, pjdfstestCrate]) {
    if (missingCrate(crate) === null || !chosen.some(({ name }) => name === crate.name)) continue
    print(`building ${crate.name} ${crate.version}, which takes some minutes`)
    await installCrate(crate).catch((error: unknown) => print(String(error)))
  }
}

async function tearDown(): Promise<void> {
  for (let teardown = teardowns.pop(); teardown !== undefined; teardown = teardowns.pop()) await teardown()
}

/** True when the suite passed or cannot run here. */
async function run(suite: Suite, extent: Extent): Promise<boolean> {
  const missing = suite.missing()
  if (missing !== null) {
    print(`${suite.name}: skipped, ${missing}`)
    return true
  }
  try {
    const store = await ServedStore.start({ teardown: (done) => void teardowns.push(done) })
    const mounted = await store.make('suite', [], { grantsPrivileges: true })
    print(`${suite.name}: passed, ${await suite.run(mounted, extent)}`)
    return true
  } catch (error) {
    print(`${suite.name}: FAILED, ${String(error)}`)
    return false
  } finally {
    await tearDown()
  }
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => void tearDown().finally(() => process.exit(130)))
}

const words = process.argv.slice(2)
const extent = words.includes('--short') ? 'short' : 'full'
const wanted = words.filter((word) => !['--short', '--list'].includes(word))
const unknown = wanted.filter((word) => !suites.some(({ name }) => name === word))
if (unknown.length > 0 || words.includes('--list')) {
  if (unknown.length > 0) process.stderr.write(`not known: ${unknown.join(' ')}; there are:\n`)
  for (const { name } of suites) print(name)
  if (unknown.length > 0) process.exitCode = 2
} else await runAll()

async function runAll(): Promise<void> {
  const chosen = suites.filter(({ name }) => wanted.length === 0 || wanted.includes(name))
  await install(chosen)
  for (const suite of chosen) if (!await run(suite, extent)) process.exitCode = 1
}
