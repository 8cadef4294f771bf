/** The demo as it is started by a user, in its short form: the test from end to end. */
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import type { DemoResult } from '../../rig/demo/demo.ts'

/** The first run on a machine builds the guest, and a guest under TCG takes its time. */
const testTimeoutMs = 600_000
const SHORT = ['--epochs', '2', '--every', '2s']
const main = join(import.meta.dirname, '../../rig/demo/main.ts')

interface Run {
  child: ChildProcess
  out: Promise<string>
  err: Promise<string>
  ended: Promise<unknown[]>
  /** Where the demo makes its directory. */
  top: string
}

function start(t: ExecutionContext, words: readonly string[]): Run {
  t.timeout(testTimeoutMs)
  const top = mkdtempSync(join(tmpdir(), 'demo-'))
  const child = spawn(process.execPath, [main, ...words], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, TMPDIR: top } })
  const ended = once(child, 'close')
  t.teardown(async () => {
    // It cleans up when it is asked to end.
    child.kill('SIGTERM')
    await ended
    rmSync(top, { recursive: true, force: true })
  })
  return { child, out: text(child.stdout!), err: text(child.stderr!), ended, top }
}

/** Nothing of the demo is there any more: no process, no mount, no file. */
function leavesNothing(t: ExecutionContext, top: string): void {
  t.deepEqual(readdirSync(top), [])
  t.false(readFileSync('/proc/self/mountinfo', 'utf8').includes(top))
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  t.deepEqual(pids.map(commandLine).filter((words) => words.includes(top)), [])
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
  } catch {
    return ''
  }
}

test.serial('a guest is checkpointed, killed, resumed and forked, and nothing is left', async (t) => {
  const run = start(t, [...SHORT, '--json'])
  const [code] = await run.ended
  t.log(await run.err)
  t.is(code, 0)
  const { epochs, checks, steps } = JSON.parse(await run.out) as DemoResult
  const paused = epochs.filter(({ pauseMs }) => pauseMs !== null)
  t.true(paused.length >= 2)
  t.true(paused.every(({ writtenBytes, storedBytes }) => storedBytes! > 0 && storedBytes! < writtenBytes))
  t.is(epochs.filter(({ resumeMs }) => resumeMs !== null).length, 2, 'one was resumed in place, an older one as a fork')
  t.is(checks.filter(({ what }) => what.startsWith('the guest goes on at ')).length, 2)
  t.is(checks.filter(({ what, seen }) => what.startsWith('pragma integrity_check') && seen === 'ok').length, 2)
  t.true(checks.some(({ what }) => what.startsWith('it only replayed the journal')))
  t.is(steps.length, 8)
  leavesNothing(t, run.top)
})

test.serial('an interrupted demo says so and leaves nothing', async (t) => {
  const run = start(t, SHORT)
  let story = ''
  run.child.stdout!.setEncoding('utf8').on('data', (piece: string) => {
    const before = story
    story += piece
    // The daemon, the mount and the machine are there by then.
    if (!before.includes('vm checkpoint') && story.includes('vm checkpoint')) run.child.kill('SIGINT')
  })
  t.deepEqual(await run.ended, [130, null])
  t.regex(story, /Cleaning up/)
  t.notRegex(story, /killed$/m)
  leavesNothing(t, run.top)
})

test.serial('what goes wrong fails the demo, and leaves nothing', async (t) => {
  const run = start(t, [...SHORT, '--memory', '1K'])
  const [code] = await run.ended
  t.is(code, 1)
  t.regex(await run.err, /THE DEMO FAILED: holdfast vm start ended with 2: .*"1K" is out of range/)
  leavesNothing(t, run.top)
})

test.serial('a wrong option is told before anything is done', async (t) => {
  const run = start(t, ['--epochs', 'many'])
  t.is((await run.ended)[0], 2)
  t.regex(await run.err, /--epochs takes a whole number from 2, not "many"/)
  t.is(await run.out, '')
})
