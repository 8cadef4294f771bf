/** The keys of an encrypted store, from `keys.json` and a secret. */
import { unlock, type Unlocked } from '../crypto/key-slots.ts'
import { decodeKeysFile, encodeKeysFile, type KeysFile } from '../crypto/keys-file.ts'
import type { DomainKeys } from '../crypto/domain-keys.ts'
import { checkSecret, type Secret } from '../crypto/secret.ts'
import type { Env } from '../env/env.ts'
import { readGiven } from '../env/given.ts'
import { publishFile, readWhole } from '../env/publish.ts'
import { HoldfastError, isCode } from '../errors.ts'
import { keyFileBytesMax, keysFileBytesMax } from '../limits.ts'
import { type StoreIdentity, readIdentity } from './identity.ts'
import { StoreLayout } from './layout.ts'

/** Null for a store that is not encrypted. Errors: KEY_NEEDED, KEY_WRONG, DAMAGED, BAD_FORMAT, NEWER_VERSION. */
export function keysOf(
  env: Env, layout: StoreLayout, identity: StoreIdentity, secret: Secret | undefined,
): DomainKeys | null {
  return identity.keyId === 0 ? null : unlockKeys(env, layout, secret).keys
}

/** Null for a store that is not encrypted. Errors: as keysOf, and NOT_FOUND (no store). */
export function storeKeys(env: Env, directory: string, secret: Secret | undefined): DomainKeys | null {
  const layout = new StoreLayout(directory)
  return keysOf(env, layout, readIdentity(env, layout), secret)
}

/**
 * Hexadecimal, for whoever goes on with a store that one secret has opened: it spares them the stretching of a
 * passphrase. Null for a store that is not encrypted. Errors: as keysOf, and NOT_FOUND (no store).
 */
export function rootOf(env: Env, directory: string, secret: Secret | undefined): string | null {
  return storeKeys(env, directory, secret)?.root.toString('hex') ?? null
}

/** As a caller names a secret: one of them. */
export interface GivenSecret {
  readonly passphrase?: string
  /** A path of this machine. */
  readonly keyFile?: string
}

/** Errors: USAGE (none, both, or one that cannot be a secret), NOT_FOUND (no such key file), IO. */
export function readSecret(env: Env, { passphrase, keyFile }: GivenSecret): Secret {
  if ((passphrase === undefined) === (keyFile === undefined)) {
    throw new HoldfastError('USAGE', 'give either a passphrase or a key file')
  }
  const secret: Secret = keyFile === undefined
    ? { kind: 'passphrase', passphrase: passphrase ?? '' }
    : { kind: 'keyFile', bytes: readGiven(env, keyFile, 'key file', keyFileBytesMax + 1) }
  checkSecret(secret)
  return secret
}

/** Whether opening the store takes a secret. */
export function isEncrypted(env: Env, directory: string): boolean {
  return env.exists(new StoreLayout(directory).keys)
}

/** For one more reader of a store that is open. */
export function secretOf(keys: DomainKeys | null): Secret | undefined {
  return keys === null ? undefined : { kind: 'root', root: keys.root.toString('hex') }
}

/** Errors: as keysOf. */
export function unlockKeys(env: Env, layout: StoreLayout, secret: Secret | undefined): Unlocked {
  const file = readKeysFile(env, layout)
  if (secret !== undefined) return unlock(file, secret)
  throw new HoldfastError('KEY_NEEDED', `${layout.directory} is encrypted: give its key file (--key-file, ` +
    'HOLDFAST_KEY_FILE) or its passphrase (at the prompt, HOLDFAST_PASSPHRASE, HOLDFAST_PASSPHRASE_FILE)')
}

/** Errors: DAMAGED, BAD_FORMAT, NEWER_VERSION. */
export function readKeysFile(env: Env, layout: StoreLayout): KeysFile {
  try {
    return decodeKeysFile(readWhole(env, layout.keys, keysFileBytesMax + 1))
  } catch (error) {
    if (!isCode(error, 'NOT_FOUND')) throw error
    const remedy = 'nothing can be read without it. Put a copy back, such as the one that each replica has'
    throw new HoldfastError('DAMAGED', `${layout.keys} is gone: ${remedy}`, { cause: error })
  }
}

/** On return it is durable. */
export function writeKeysFile(env: Env, layout: StoreLayout, file: KeysFile): void {
  publishFile(env, layout.keys, encodeKeysFile(file))
}
