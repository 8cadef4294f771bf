/**
 * One command from its words to its exit code. What comes after the request is sent (texts, progress) is
 * imported then, so that a command reaches the daemon soon.
 */
import { openCaller, localAccess, type Access } from '../daemon/access.ts'
import type { VerbCaller } from '../daemon/caller.ts'
import { hostPath, usage } from '../daemon/kinds.ts'
import type { SecretSource } from '../daemon/secrets.ts'
import { verbNamed, type VerbName } from '../daemon/verbs.ts'
import { version } from '../daemon/version.ts'
import { isCode } from '../errors.ts'
import type { CallOptions } from '../image/types.ts'
import { readCommandLine, type CommandLine, type CommonOptions } from './arguments.ts'
import { exitCodeOfResult, exitCodes } from './exit-codes.ts'
import { Interrupt } from './interrupt.ts'
import { print, reportError } from './output.ts'
import { ProgressReport } from './progress-report.ts'

type VerbLine = Extract<CommandLine, { type: 'verb' }>

/** Runs the command that the words say and prints what it gives; returns the exit code, never rejects. */
export async function runProgram(words: readonly string[], access: Access = localAccess): Promise<number> {
  const common: CommonOptions = {
    store: undefined, keyFile: undefined, json: asksForJson(words), quiet: false, progress: false,
  }
  try {
    const line = readCommandLine(words, common)
    if (line.type === 'verb') return await runVerb(line, common, access)
    await print(line.type === 'version' ? `${version}\n` : (await import('./help.ts')).helpOn(line.topic))
    return exitCodes.done
  } catch (error) {
    return await reportError(error, common.json)
  }
}

async function runVerb(line: VerbLine, common: CommonOptions, access: Access): Promise<number> {
  const { place } = verbNamed(line.verb)
  const store = place === 'aside' ? '' : storeOf(common)
  const toStandardOutput = line.verb === 'export' && line.given.file === '-'
  if (toStandardOutput && common.json) throw usage('--json and "-" both want standard output')
  using interrupt = new Interrupt()
  await using caller = await openCaller(store, place, { ...access, secret: secretSource(line, common) })
  await fillInPassphrase(line)
  using report = new ProgressReport(common)
  const options = { signal: interrupt.begin(), progress: report.note }
  if (toStandardOutput) return await exportToStandardOutput(caller, line, options)
  const result = await callWithSecret(caller, line, common, options)
  report.close()
  await printResult(line.verb, result, common)
  if (line.verb === 'vm console' && !common.json) return await attach(result, interrupt)
  return exitCodeOfResult(line.verb, result)
}

/** Loaded when a secret is wanted, which is seldom. */
function secretSource({ verb, given }: VerbLine, { keyFile }: CommonOptions): SecretSource {
  return async () => {
    if (verb === 'init' && given.encrypt !== true) return undefined
    const { commandSecret, firstSecret } = await import('./secret.ts')
    return verb === 'init' ? firstSecret(keyFile) : commandSecret(keyFile)
  }
}

/** A verb that takes a new secret gets a passphrase where no key file is named. */
async function fillInPassphrase({ verb, given }: VerbLine): Promise<void> {
  if (!('newPassphrase' in verbNamed(verb).parameters) || given.newKeyFile !== undefined) return
  given.newPassphrase = await (await import('./secret.ts')).newPassphrase()
}

/** A verb that reads a replica is given a key file that is named, other secrets when the replica needs one. */
async function callWithSecret(
  caller: VerbCaller, { verb, given }: VerbLine, { keyFile }: CommonOptions, options: CallOptions,
): Promise<unknown> {
  const takesSecret = 'passphrase' in verbNamed(verb).parameters
  if (takesSecret && keyFile !== undefined) given.keyFile = hostPath.parse(keyFile)
  try {
    return await caller.call(verb, given, options)
  } catch (error) {
    if (!isCode(error, 'KEY_NEEDED') || !takesSecret) throw error
    const secret = await (await import('./secret.ts')).replicaSecret(keyFile)
    if (secret === undefined) throw error
    return caller.call(verb, { ...given, ...secret }, options)
  }
}

async function printResult(verb: VerbName, result: unknown, common: CommonOptions): Promise<void> {
  if (common.json) return await print(`${JSON.stringify(result)}\n`)
  if (verb === 'vm console') return
  const { resultText } = await import('./text/results.ts')
  const { systemEnv } = await import('../env/system.ts')
  await print(`${resultText(verb, result, systemEnv().wallMs())}\n`)
}

async function exportToStandardOutput(caller: VerbCaller, line: VerbLine, options: CallOptions): Promise<number> {
  const { exportTo } = await import('./export-output.ts')
  await exportTo(process.stdout, (file) => caller.call('export', { ...line.given, file }, options))
  return exitCodes.done
}

async function attach(result: unknown, interrupt: Interrupt): Promise<number> {
  const { attachConsole } = await import('./console.ts')
  const { console: path } = result as { console: string }
  await attachConsole(path, interrupt.begin())
  return exitCodes.done
}

function storeOf(common: CommonOptions): string {
  const store = common.store ?? process.env.HOLDFAST_STORE
  if (store === undefined || store === '') throw usage('no store is named: give --store DIR or set HOLDFAST_STORE')
  return hostPath.parse(store)
}

/** Known before the words are read, so that an error in them is told as JSON too. */
function asksForJson(words: readonly string[]): boolean {
  const end = words.indexOf('--')
  return (end < 0 ? words : words.slice(0, end)).includes('--json')
}
