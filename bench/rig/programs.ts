/** Programs that baselines are made of, run to their end or until the bench is over. */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Scratch } from './scratch.ts'

/** Runs a program, its input given; returns what it printed. Throws what it said on stderr. */
export function runToEnd(program: string, args: readonly string[], input?: string): string {
  return execFileSync(program, args, { encoding: 'utf8', input, maxBuffer: 2 ** 28, stdio: ['pipe', 'pipe', 'pipe'] })
}

/** As `runToEnd`, but this process's event loop turns meanwhile. */
export async function runBeside(
  program: string, args: readonly string[], options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<void> {
  const child = spawn(program, args, { ...options, stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
  const [code] = (await once(child, 'close')) as [number | null]
  if (code !== 0) throw new Error(`${program} ended with ${code}: ${said}`)
}

/** Starts a program that the bench ends. */
export function runUntilEnd(
  scratch: Scratch, program: string, args: readonly string[], signal: NodeJS.Signals = 'SIGTERM',
): { pid: number; end(): Promise<void> } {
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'inherit'] })
  if (child.pid === undefined) throw new Error(`${program} cannot be started`)
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  const end = (): Promise<void> => {
    child.kill(signal)
    return ended
  }
  scratch.defer(end)
  return { pid: child.pid, end }
}

export async function until(what: string, isSo: () => boolean, timeoutMs = 10_000): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs
  while (!isSo()) {
    if (performance.now() > deadlineMs) throw new Error(`${what} did not come within ${timeoutMs} ms`)
    await sleep(20)
  }
}
