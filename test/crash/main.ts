/**
 * The crash tests in their long form, and one line that sums up what was tried.
 *
 *   npm run crash -- [ARGUMENTS OF AVA...]
 *
 * HOLDFAST_CRASHES: recordings of each use of a store, default 3. HOLDFAST_KILLS: times that processes are killed in
 * each test that does so, default 100. Each run is another one, unless HOLDFAST_SEED repeats it. Exit codes as of
 * `npm test`.
 */
import { spawn } from 'node:child_process'
import { globSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { createInterface } from 'node:readline'

const root = join(import.meta.dirname, '..', '..')
const environment = { ...process.env }
environment.HOLDFAST_CRASHES ??= '3'
environment.HOLDFAST_KILLS ??= '100'
environment.HOLDFAST_SEED ??= 'random'

const sums = { points: 0, states: 0, faults: 0, killed: 0 }

/** As the tests log them. */
function add(line: string): void {
  for (const [, count, what] of line.matchAll(/(\d+) (points|states|faults)\b/g)) sums[what as 'points'] += Number(count)
  if (!line.includes('killed')) return
  for (const [, count] of line.matchAll(/(\d+) (?:serving|daemons|hypervisors)/g)) sums.killed += Number(count)
}

const files = process.argv.length > 2 ? [] : globSync('test/crash/*.test.ts', { cwd: root })
const args = [join(root, 'test', 'run.ts'), '--verbose', ...files, ...process.argv.slice(2)]
const child = spawn(process.execPath, args, { cwd: root, env: environment, stdio: ['ignore', 'pipe', 'inherit'] })
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal))
const ended = new Promise<number>((resolve) => child.once('close', (code) => resolve(code ?? 1)))
for await (const line of createInterface({ input: child.stdout })) {
  process.stdout.write(`${line}\n`)
  add(line)
}
process.exitCode = await ended
process.stdout.write(`crash: ${sums.points} points, ${sums.states} states, ${sums.faults} faults, ` +
  `${sums.killed} processes killed\n`)
