/**
 * `npm run demo`: a Debian guest is checkpointed, its hypervisor killed, the guest resumed and forked, with the
 * command line of this checkout. Exit codes: 0 all was as it must be, 1 something was not, 2 usage, 130 interrupted.
 */
import { mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import { cleanUp } from './cleanup.ts'
import { runDemo } from './demo.ts'
import { DemoFailure } from './failure.ts'
import { runHdfsDemo } from './hdfs.ts'
import { Holdfast } from './holdfast.ts'
import { help, readOptions } from './options.ts'
import type { DemoOptions } from './options.ts'
import { Story } from './story.ts'

process.exitCode = await main(process.argv.slice(2))

async function main(words: readonly string[]): Promise<number> {
  let options: DemoOptions
  try {
    options = readOptions(words)
  } catch (error) {
    if (!(error instanceof DemoFailure)) throw error
    process.stderr.write(`demo: ${error.message}\n`)
    return 2
  }
  if (!options.help) return await perform(options)
  process.stdout.write(help)
  return 0
}

async function perform(options: DemoOptions): Promise<number> {
  const interrupt = new AbortController()
  // Not `once`: a second Ctrl-C must not leave a half cleaned host behind.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => interrupt.abort())
  const story = new Story(options.json ? process.stderr : process.stdout)
  // Not in /tmp, which may be memory, and the store holds the guest's.
  const directory = mkdtempSync(join(process.env.TMPDIR ?? '/var/tmp', 'holdfast-demo-'))
  const store = join(directory, 'store')
  introduce(story, options, store)
  try {
    const holdfast = new Holdfast(store, story, interrupt.signal)
    const run = options.hdfs ? runHdfsDemo : runDemo
    const result = await run({ options, story, holdfast, directory, signal: interrupt.signal })
    if (options.json) process.stdout.write(`${JSON.stringify(result)}\n`)
    return 0
  } catch (error) {
    return interrupt.signal.aborted ? 130 : fail(error)
  } finally {
    story.say(`\nCleaning up: the machines and the daemon end${options.keep ? '' : `, ${directory} is removed`}.`)
    const forced = await cleanUp(new Holdfast(store, story), directory, options.keep)
    for (const what of forced) story.seen(`by force: ${what}`)
    if (options.keep) story.say(`The store is kept: HOLDFAST_STORE=${store} npm run -s holdfast -- log debian`)
  }
}

function introduce(story: Story, options: DemoOptions, store: string): void {
  story.say('A virtual machine under Holdfast: checkpointed, killed, resumed, forked.')
  story.say(`The store is ${store} (${options.keep ? 'kept' : 'removed at the end; --keep keeps it'}).`)
  story.say('Commands are shown as they run; in this checkout, "holdfast" is "npm run -s holdfast --".')
}

/** What is not a DemoFailure is a defect of the demo or of the rig: its stack helps. */
function fail(error: unknown): number {
  const message = error instanceof DemoFailure ? error.message : (error as Error).stack ?? String(error)
  process.stderr.write(`\n✘ THE DEMO FAILED: ${message}\n`)
  return 1
}
