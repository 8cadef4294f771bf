/** Runs the command line over a fake host in a process of its own. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'

export interface CommandResult {
  code: number | null
  out: string
  err: string
}

const entry = fileURLToPath(new URL('./fake-cli.ts', import.meta.url))
/** Compiled once, not by each of the processes; under node_modules, where nothing is left in the way. */
const compiled = fileURLToPath(new URL('../../node_modules/.cache/holdfast-compiled', import.meta.url))

export function startCli(words: readonly string[], environment: NodeJS.ProcessEnv = {}): ChildProcess {
  const { HOLDFAST_STORE: _, ...inherited } = process.env
  return spawn(process.execPath, [entry, ...words], {
    stdio: ['ignore', 'pipe', 'pipe'], env: { ...inherited, NODE_COMPILE_CACHE: compiled, ...environment },
  })
}

export async function resultOf(child: ChildProcess): Promise<CommandResult> {
  const { stdout, stderr } = child
  if (stdout === null || stderr === null) throw new Error('the output is not piped')
  const [out, err, [code]] = await Promise.all([text(stdout), text(stderr), once(child, 'close')])
  return { code: code as number | null, out, err }
}

export function runCli(words: readonly string[], environment?: NodeJS.ProcessEnv): Promise<CommandResult> {
  return resultOf(startCli(words, environment))
}
