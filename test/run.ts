/**
 * The one test command: the type check, ava over the test files, and a look for what they left behind.
 *
 *   node test/run.ts [ARGUMENTS OF AVA...]
 *
 * The last line of stdout is always `N passed, N failed, N skipped`; the exit code is 0 only when
 * something passed and nothing failed.
 */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmodSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Tally } from './run/tally.ts'
import { Leftovers, runVariable } from './run/leftovers.ts'

const root = join(import.meta.dirname, '..')
const runId = randomBytes(8).toString('hex')
const tally = new Tally()
let current: ChildProcess | undefined
let interrupted = false

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    interrupted = true
    current?.kill(signal)
  })
}

/** Runs a command of node_modules; its stdout goes to `line` line by line, its stderr to ours. Returns how it ended. */
async function run(command: string, args: string[], environment: NodeJS.ProcessEnv, line: (text: string) => void): Promise<string> {
  const child = spawn(join(root, 'node_modules/.bin', command), args, {
    cwd: root, env: environment, stdio: ['ignore', 'pipe', 'inherit'],
  })
  current = child
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('close', (code, signal) => resolve(code === 0 ? '' : signal ?? `exit code ${code}`))
  })
  let rest = ''
  child.stdout.setEncoding('utf8')
  for await (const text of child.stdout) {
    const lines = (rest + text).split('\n')
    rest = lines.pop()!
    lines.forEach(line)
  }
  if (rest !== '') line(rest)
  return await ended
}

function print(text: string): void {
  process.stdout.write(`${text}\n`)
}

async function checkTypes(): Promise<void> {
  const output: string[] = []
  const failure = await run('tsc', ['--noEmit', '--pretty', 'false'], process.env, (text) => output.push(text))
  output.forEach(print)
  print(failure === '' ? '  ✔ types' : '  ✘ [fail]: types')
  tally.add(failure === '' ? 'passed' : 'failed', 'types')
}

async function runAva(args: string[], directory: string): Promise<void> {
  // npm and others would put their compiled modules below TMPDIR otherwise.
  const compiled = join(root, 'node_modules', '.cache', 'compiled')
  const environment = { ...process.env, [runVariable]: runId, TMPDIR: directory, NODE_COMPILE_CACHE: compiled }
  const failedBefore = tally.failed.length
  const passedBefore = tally.passedCount
  const failure = await run('ava', ['--no-color', ...args], environment, (text) => {
    print(text)
    tally.line(text)
  })
  if (tally.failed.length > failedBefore) return
  if (failure !== '') tally.add('failed', `ava ended with ${failure}`)
  else if (tally.passedCount === passedBefore) tally.add('failed', 'no test ran')
}

const directory = mkdtempSync(join(tmpdir(), 'hf-'))
// A short name, for sockets below it. Tests that act as another user must get through it; each makes a directory of its own below.
chmodSync(directory, 0o711)
const leftovers = new Leftovers(runId, directory)
if (!interrupted) await checkTypes()
if (!interrupted) await runAva(process.argv.slice(2), directory)
for (const found of await leftovers.clean()) {
  print(`  ✘ left over: ${found}`)
  tally.add('failed', `left over: ${found}`)
}
if (interrupted) tally.add('failed', 'interrupted')
tally.failed.forEach((name) => print(`  failed: ${name}`))
print(tally.toString())
process.exitCode = tally.failed.length === 0 ? 0 : 1
