/**
 * The store's tests run on plain stores and, where `HOLDFAST_TEST_ENCRYPTED` is set (encrypted-*.test.ts), on encrypted
 * ones: they make and open stores through here.
 */
import type { Buffer } from 'node:buffer'
import { chunkIdOf } from '../../src/chunk/digest.ts'
import { PackSeal } from '../../src/crypto/pack-seal.ts'
import type { Env } from '../../src/env/env.ts'
import { systemEnv } from '../../src/env/system.ts'
import { decodePackHeader, packHeaderBytes } from '../../src/format/pack-header.ts'
import * as identity from '../../src/store/identity.ts'
import * as open from '../../src/store/open.ts'
import type { RecordSource } from '../../src/store/record-source.ts'
import { testKeys, testKeysFile, testSecret } from '../crypto/keys.ts'

export const isEncrypted = process.env['HOLDFAST_TEST_ENCRYPTED'] !== undefined
export const secret = isEncrypted ? testSecret : undefined
export const domainKeys = isEncrypted ? testKeys : null

export function initStore(env: Env, directory: string): identity.StoreIdentity {
  const domain = { domainId: testKeys.domainId, keys: testKeysFile }
  return identity.initStore(env, directory, isEncrypted ? { domain } : {})
}

export function openChunkStore(
  env: Env, directory: string, options: open.OpenOptions = {},
): ReturnType<typeof open.openChunkStore> {
  return open.openChunkStore(env, directory, { secret, ...options })
}

export function openChunkReader(
  env: Env, directory: string, source?: RecordSource,
): ReturnType<typeof open.openChunkReader> {
  return open.openChunkReader(env, directory, source, secret)
}

export function rebuildIndex(env: Env, directory: string, options: open.OpenOptions = {}): Promise<void> {
  return open.rebuildIndex(env, directory, { secret, ...options })
}

/** A chunk's name in the stores that are made here. */
export function digest(plain: Uint8Array): Buffer {
  return chunkIdOf(domainKeys, plain)
}

/** What opens and seals the records of the pack with these bytes. */
export function sealOfPack(pack: Buffer): PackSeal | null {
  if (!isEncrypted) return null
  const { packId, keyId } = decodePackHeader(pack.subarray(0, packHeaderBytes))
  return new PackSeal(systemEnv(), testKeys, packId, keyId)
}
