/** How a store becomes one of a replica's domain, and how whoever has only a secret gets at an encrypted one. */
import type { Buffer } from 'node:buffer'
import type { DomainKeys } from '../../crypto/domain-keys.ts'
import { unlock } from '../../crypto/key-slots.ts'
import { type KeysFile, encodeKeysFile } from '../../crypto/keys-file.ts'
import type { Env } from '../../env/env.ts'
import { HoldfastError, isCode } from '../../errors.ts'
import { type Domain, readDomain } from '../../replica/domain.ts'
import { readKeys } from '../../replica/keys-object.ts'
import type { CallOptions, Replica } from '../../replica/replica.ts'
import { type GivenSecret, readSecret, unlockKeys } from '../../store/keys.ts'
import { StoreLayout } from '../../store/layout.ts'
import type { Engine } from '../engine.ts'

export interface Joined {
  /** Null where nothing is encrypted. */
  readonly keys: DomainKeys | null
  /** The store was empty, and of another domain before. */
  readonly isNew: boolean
}

/**
 * Makes the store one of the replica's domain, or finds that it is. Nothing is written where that cannot be.
 * Errors: NOT_FOUND (no replica there), WRONG_DOMAIN, KEY_NEEDED, KEY_WRONG, DAMAGED, those of every call.
 */
export async function joinReplica(
  { env, engine, replica }: { env: Env; engine: Engine; replica: Replica }, given: GivenSecret, call: CallOptions,
): Promise<Joined> {
  const { domainId, keyId } = await domainOf(replica, given, call)
  const domain = { domainId: domainId.toString('hex'), keyId }
  try {
    const { isNew } = await engine.joinDomain(domain)
    return { keys: keyId === 0 ? null : await openedKeys(env, engine), isNew }
  } catch (error) {
    if (!isCode(error, 'KEY_NEEDED')) throw error
  }
  const { keys, file } = await unlocked(env, replica, domainId, given, call)
  await engine.joinDomain({ ...domain, keys: { file: encodeKeysFile(file), root: keys.root.toString('hex') } })
  return { keys, isNew: true }
}

/** Those of an open store; null where nothing is encrypted. */
export async function openedKeys(env: Env, engine: Engine): Promise<DomainKeys | null> {
  const secret = await engine.readerSecret()
  return secret === undefined ? null : unlockKeys(env, new StoreLayout(engine.directory), secret).keys
}

/** Null where nothing is encrypted. Errors: as joinReplica. */
export async function replicaKeys(
  env: Env, replica: Replica, given: GivenSecret, call: CallOptions,
): Promise<DomainKeys | null> {
  const { domainId, keyId } = await domainOf(replica, given, call)
  return keyId === 0 ? null : (await unlocked(env, replica, domainId, given, call)).keys
}

/** Whoever gives a secret expects an encrypted replica, and may not be given what anybody can have made. */
async function domainOf(replica: Replica, given: GivenSecret, call: CallOptions): Promise<Domain> {
  const domain = await readDomain(replica, call)
  if (domain === null) {
    throw new HoldfastError('NOT_FOUND', `there is no replica at ${replica.url}: check the URL`)
  }
  if (domain.keyId !== 0 || !isGiven(given)) return domain
  throw new HoldfastError('WRONG_DOMAIN', `${replica.url} is not encrypted, and a secret was given for it: if that ` +
    'is as it should be, leave the secret out')
}

function isGiven({ passphrase, keyFile }: GivenSecret): boolean {
  return passphrase !== undefined || keyFile !== undefined
}

async function unlocked(
  env: Env, replica: Replica, domainId: Buffer, given: GivenSecret, call: CallOptions,
): Promise<{ keys: DomainKeys; file: KeysFile }> {
  if (!isGiven(given)) {
    throw new HoldfastError('KEY_NEEDED', `${replica.url} is encrypted: give its key file (--key-file, ` +
      'HOLDFAST_KEY_FILE) or its passphrase (at the prompt, HOLDFAST_PASSPHRASE, HOLDFAST_PASSPHRASE_FILE)')
  }
  const file = await readKeys(replica, domainId, call)
  return { keys: unlock(file, readSecret(env, given)).keys, file }
}
