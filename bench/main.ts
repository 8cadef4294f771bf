/**
 * Runs the benches: `npm run bench -- [NAME...] [--quick] [--json] [--list]`, all of them without a name.
 * Text and progress go to stderr and the tables to stdout; with `--json` stdout is one JSON document.
 * The exit code is 1 when a bench could not run; a missed target is said, and is no failure.
 */
import { messageOf } from '../src/errors.ts'
import { compare } from './compare.ts'
import { daemonMemory } from './daemon-memory.ts'
import { encryption } from './encryption.ts'
import { epochSize } from './epoch-size.ts'
import { gc } from './gc.ts'
import { many } from './many.ts'
import { mount } from './mount.ts'
import { pause } from './pause.ts'
import { replacement } from './replacement.ts'
import { replica } from './replica.ts'
import { replication } from './replication.ts'
import { restore } from './restore.ts'
import { resume } from './resume.ts'
import type { Bench, BenchResult } from './rig/bench.ts'
import { headerText, makeHeader } from './rig/header.ts'
import { resultText } from './rig/report.ts'
import { Scratch } from './rig/scratch.ts'
import { seal } from './seal.ts'
import { store } from './store.ts'
import { transports } from './transports.ts'

const benches: readonly Bench[] = [
  store, gc, mount, seal, encryption, replica, replication, daemonMemory, epochSize, pause, resume, restore, compare,
  transports, replacement, many,
]

const words = process.argv.slice(2)
const names = words.filter((word) => !word.startsWith('--'))
const options = new Set(words.filter((word) => word.startsWith('--')))
const unknown = [
  ...names.filter((name) => !benches.some((bench) => bench.name === name)),
  ...[...options].filter((option) => !['--quick', '--json', '--list'].includes(option)),
]

if (unknown.length > 0) {
  say(`not known: ${unknown.join(' ')}\n${list()}`)
  process.exitCode = 2
} else if (options.has('--list')) process.stdout.write(`${list()}\n`)
else await runAll(benches.filter((bench) => names.length === 0 || names.includes(bench.name)))

async function runAll(chosen: readonly Bench[]): Promise<void> {
  const header = makeHeader()
  const isJson = options.has('--json')
  if (!isJson) process.stdout.write(`${headerText(header)}\n`)
  const results: ({ bench: string; question: string } & (BenchResult | { failure: string }))[] = []
  for (const bench of chosen) {
    const { name, question } = bench
    try {
      const result = await runOne(bench)
      results.push({ bench: name, question, ...result })
      if (!isJson) process.stdout.write(`\n${resultText(bench, result)}\n`)
    } catch (error) {
      results.push({ bench: name, question, failure: messageOf(error) })
      say(`${name} failed: ${error instanceof Error ? error.stack : messageOf(error)}`)
      process.exitCode = 1
    }
  }
  if (isJson) process.stdout.write(`${JSON.stringify({ header, quick: options.has('--quick'), results }, null, 2)}\n`)
}

async function runOne(bench: Bench): Promise<BenchResult> {
  await using scratch = new Scratch()
  const interrupted = (): void => {
    say('interrupted: cleaning up')
    scratch.close().then(() => process.exit(130), (error: unknown) => {
      say(messageOf(error))
      process.exit(130)
    })
  }
  process.on('SIGINT', interrupted).on('SIGTERM', interrupted)
  try {
    const quick = options.has('--quick')
    return await bench.run({ quick, scratch, note: (text) => say(`${bench.name}: ${text}`) })
  } finally {
    process.off('SIGINT', interrupted).off('SIGTERM', interrupted)
  }
}

function list(): string {
  return benches.map(({ name, question }) => `${name.padEnd(14)} ${question}`).join('\n')
}

function say(text: string): void {
  process.stderr.write(`bench: ${text}\n`)
}
