/**
 * `store.json`: what makes a directory a store. One JSON object:
 *
 *   {"magic": "holdfast store", "version": 1, "storeId": HEX 32, "domainId": HEX 32, "keyId": 0 | 1, "checksum": HEX 8}
 */
import { Buffer } from 'node:buffer'
import { dirname } from 'node:path'
import { makeKeys } from '../crypto/key-slots.ts'
import { encodeKeysFile, type KeysFile } from '../crypto/keys-file.ts'
import type { Secret } from '../crypto/secret.ts'
import type { Env } from '../env/env.ts'
import { publishFile, readWhole } from '../env/publish.ts'
import { ensureDirectory } from '../env/tree.ts'
import { HoldfastError, isCode } from '../errors.ts'
import { correctCheckedJson, decodeCheckedJson, encodeCheckedJson } from '../format/checked-json.ts'
import { identityBytes, identityFileBytesMax } from '../limits.ts'
import { StoreLayout } from './layout.ts'
import { quarantineCopy } from './quarantine.ts'

export const storeVersion = 1
const storeMagic = 'holdfast store'

export interface StoreIdentity {
  readonly storeId: Buffer
  /** Chunks are named and deduplicated within a domain. */
  readonly domainId: Buffer
  /** 0: nothing is encrypted. 1: the domain has keys; which data keys they are says its ring (src/crypto). */
  readonly keyId: number
}

export interface InitOptions {
  /** Encrypts the store, in a domain of its own, with this as the first secret. */
  readonly secret?: Secret
  /** Makes the store one of a domain that there is; `keys` are null where it is not encrypted. */
  readonly domain?: { readonly domainId: Buffer; readonly keys: KeysFile | null }
}

/**
 * Makes `directory` a store; it may exist, and hold nothing but what an interrupted `initStore` left.
 * Durable on return; `store.json` comes last, so a crash leaves no half store.
 * Errors: EXISTS (it is a store), USAGE (no proper secret), IO, NO_SPACE.
 */
export function initStore(env: Env, directory: string, options: InitOptions = {}): StoreIdentity {
  const layout = new StoreLayout(directory)
  if (env.exists(layout.identity)) throw new HoldfastError('EXISTS', `${directory} is a store already`)
  const { domainId, keys } = options.domain ?? newDomain(env, options.secret)
  ensureDirectory(env, directory)
  env.syncDirectory(dirname(directory))
  for (const path of [layout.packs, layout.temporary]) ensureDirectory(env, path)
  if (keys !== null) publishFile(env, layout.keys, encodeKeysFile(keys))
  const identity = { storeId: env.randomBytes(identityBytes), domainId, keyId: keys === null ? 0 : 1 }
  publishFile(env, layout.identity, encodeIdentity(identity))
  return identity
}

/** Of a store that nobody has open, and that holds nothing that another domain would make wrong. */
export function writeIdentity(env: Env, directory: string, identity: StoreIdentity): void {
  publishFile(env, new StoreLayout(directory).identity, encodeIdentity(identity))
}

/** One flipped bit does no harm. Errors: NOT_FOUND, BAD_FORMAT, NEWER_VERSION, DAMAGED. */
export function readIdentity(env: Env, layout: StoreLayout): StoreIdentity {
  const bytes = readBytes(env, layout)
  const corrected = correctedBytes(bytes)
  return identityOf(corrected ?? bytes, layout)
}

/** Writes `store.json` anew where one bit of it was flipped; what it was goes to quarantine. The store is locked. */
export function mendIdentity(env: Env, layout: StoreLayout): void {
  const corrected = correctedBytes(readBytes(env, layout))
  if (corrected === null) return
  quarantineCopy(env, layout, layout.identity, 'one bit was wrong')
  publishFile(env, layout.identity, corrected)
}

function identityOf(bytes: Buffer, layout: StoreLayout): StoreIdentity {
  const json = decodeCheckedJson(bytes)
  if (json.type === 'noObject') throw new HoldfastError('BAD_FORMAT', 'store.json is not JSON, or no object')
  const { fields } = json
  if (fields.magic !== storeMagic) throw new HoldfastError('BAD_FORMAT', `${layout.identity} is not a store's`)
  if (typeof fields.version !== 'number' || fields.version < 1) throw damaged('version')
  if (fields.version > storeVersion) {
    const versions = `store version ${fields.version} is newer than ${storeVersion}`
    throw new HoldfastError('NEWER_VERSION', `${versions}: update Holdfast`)
  }
  if (json.type === 'damaged') throw damaged('checksum')
  if (fields.keyId !== 0 && fields.keyId !== 1) throw damaged('keyId')
  return { storeId: hex(fields.storeId, 'storeId'), domainId: hex(fields.domainId, 'domainId'), keyId: fields.keyId }
}

/** Null where nothing needs correcting, or nothing helps. */
function correctedBytes(bytes: Buffer): Buffer | null {
  const { type } = decodeCheckedJson(bytes)
  return type === 'sound' || type === 'unchecked' ? null : correctCheckedJson(bytes)
}

function newDomain(env: Env, secret: Secret | undefined): NonNullable<InitOptions['domain']> {
  const domainId = env.randomBytes(identityBytes)
  return { domainId, keys: secret === undefined ? null : makeKeys(env, domainId, secret) }
}

function encodeIdentity(identity: StoreIdentity): Buffer {
  return encodeCheckedJson({
    magic: storeMagic,
    version: storeVersion,
    storeId: identity.storeId.toString('hex'),
    domainId: identity.domainId.toString('hex'),
    keyId: identity.keyId,
  })
}

function readBytes(env: Env, layout: StoreLayout): Buffer {
  try {
    return Buffer.from(readWhole(env, layout.identity, identityFileBytesMax))
  } catch (error) {
    if (!isCode(error, 'NOT_FOUND')) throw error
    throw new HoldfastError('NOT_FOUND', `${layout.directory} is not a store: make one with init`, { cause: error })
  }
}

function hex(value: unknown, field: string): Buffer {
  if (typeof value !== 'string' || !/^[0-9a-f]{32}$/.test(value)) throw damaged(field)
  return Buffer.from(value, 'hex')
}

function damaged(field: string): HoldfastError {
  return new HoldfastError('DAMAGED', `store.json has no proper ${field}`)
}
