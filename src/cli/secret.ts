/**
 * Where a command takes secrets from, in this order: the key file that it names or HOLDFAST_KEY_FILE, a file with the
 * passphrase (HOLDFAST_PASSPHRASE_FILE, its last line feed left out), HOLDFAST_PASSPHRASE, the terminal.
 */
import { Buffer } from 'node:buffer'
import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import type { Secret } from '../crypto/secret.ts'
import { hostPath, usage } from '../daemon/kinds.ts'
import { secretVariables } from '../daemon/secrets.ts'
import { HoldfastError } from '../errors.ts'
import type { GivenSecret } from '../store/keys.ts'

/** The secret that opens a store; undefined where there is none to be had. Errors: USAGE, NOT_FOUND, IO, ABORTED. */
export async function commandSecret(keyFile: string | undefined): Promise<Secret | undefined> {
  const given = await replicaSecret(keyFile)
  if (given?.keyFile !== undefined) return fileSecret(given.keyFile)
  return given?.passphrase === undefined ? undefined : { kind: 'passphrase', passphrase: given.passphrase }
}

/** What opens a replica, as whoever reads it takes it; undefined where there is none to be had. Errors: as above. */
export async function replicaSecret(keyFile: string | undefined): Promise<GivenSecret | undefined> {
  const path = keyFile ?? process.env.HOLDFAST_KEY_FILE
  if (path !== undefined && path !== '') return { keyFile: hostPath.parse(path) }
  const passphrase = await variable(secretVariables.passphrase) ?? await ask('passphrase: ')
  return passphrase === undefined ? undefined : { passphrase }
}

/** The secret of a store that is made. Errors: as commandSecret, and KEY_NEEDED where there is none to be had. */
export async function firstSecret(keyFile: string | undefined): Promise<Secret> {
  const path = keyFile ?? process.env.HOLDFAST_KEY_FILE
  if (path !== undefined && path !== '') return fileSecret(path)
  return { kind: 'passphrase', passphrase: await variable(secretVariables.passphrase) ?? await askTwice() }
}

/** A passphrase for a key slot. Errors: as firstSecret. */
export async function newPassphrase(): Promise<string> {
  return await variable(secretVariables.newPassphrase) ?? await askTwice()
}

async function fileSecret(path: string): Promise<Secret> {
  const { readSecret } = await import('../store/keys.ts')
  const { systemEnv } = await import('../env/system.ts')
  return readSecret(systemEnv(), { keyFile: hostPath.parse(path) })
}

/** The variable, or the text of the file that the variable with `_FILE` behind it names. */
async function variable(name: string): Promise<string | undefined> {
  const path = process.env[`${name}_FILE`]
  if (path === undefined || path === '') return process.env[name]
  const { readGiven } = await import('../env/given.ts')
  const { systemEnv } = await import('../env/system.ts')
  const { passphraseBytesMax } = await import('../limits.ts')
  const text = Buffer.from(readGiven(systemEnv(), path, 'passphrase file', passphraseBytesMax + 2)).toString()
  return text.replace(/\r?\n$/, '')
}

async function askTwice(): Promise<string> {
  const passphrase = await ask('new passphrase: ')
  if (passphrase === undefined) {
    throw new HoldfastError('KEY_NEEDED', 'there is no terminal to ask for a passphrase: give a key file, or set ' +
      'HOLDFAST_PASSPHRASE_FILE (HOLDFAST_NEW_PASSPHRASE_FILE for a slot)')
  }
  if (await ask('once more: ') !== passphrase) throw usage('the two passphrases are not the same')
  return passphrase
}

/** Nothing that is typed is shown. Undefined where there is no terminal. */
async function ask(prompt: string): Promise<string | undefined> {
  if (!process.stdin.isTTY) return undefined
  process.stderr.write(prompt)
  const mute = new Writable({ write: (_bytes, _encoding, done) => done() })
  const lines = createInterface({ input: process.stdin, output: mute, terminal: true })
  try {
    return await new Promise((resolve, reject) => {
      lines.once('line', resolve)
      lines.once('SIGINT', () => reject(new HoldfastError('ABORTED', 'stopped on request')))
      lines.once('close', () => reject(new HoldfastError('ABORTED', 'no passphrase was given')))
    })
  } finally {
    lines.removeAllListeners('close')
    lines.close()
    process.stderr.write('\n')
  }
}
