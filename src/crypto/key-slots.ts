/**
 * `keys.json` of an encrypted store: the domain's keys, wrapped. One JSON object; bytes are hexadecimal.
 *
 *   {"magic": "holdfast keys", "version": 1, "domainId": 16 bytes, "revision": 1,
 *    "slots": [{"id": 1, "kind": "passphrase" | "keyFile", "salt": 32 bytes, "costLog2": 17, "wrapped": 48 bytes,
 *               "createdMs": 1700000000000}],
 *    "ring": {"salt": 32 bytes, "sealed": bytes}}
 *
 * A slot holds the root, encrypted with a key from one secret (secret.ts) and the slot's salt; domain, id, kind and
 * cost are bound to it. The ring holds {"idKey": 32 bytes, "dataKeys": {"1": 32 bytes}} as JSON, encrypted with a key
 * from the root and the ring's salt; the domain is bound. "kept": [1] in it names data keys that only replicas need.
 * Salts are drawn anew for each encryption, so that each has a key of its own and its nonce is zero. Changing a secret
 * writes one slot; changing keys writes the ring. Each change raises the revision, which is 1 where it does not stand.
 */
import { Buffer } from 'node:buffer'
import type { KeyObject } from 'node:crypto'
import type { Env } from '../env/env.ts'
import { HoldfastError } from '../errors.ts'
import { keySlotsMax } from '../limits.ts'
import { decrypt, encrypt, keyBytes, nonceBytes, subkey, tagBytes } from './aead.ts'
import { DomainKeys } from './domain-keys.ts'
import type { KeyRing } from './domain-keys.ts'
import type { KeysFile, KeySlot } from './keys-file.ts'
import { checkSecret, slotKeyOf, stretchCostLog2 } from './secret.ts'
import type { Secret } from './secret.ts'

const saltBytes = 32
const zeroNonce = Buffer.alloc(nonceBytes)

export interface Unlocked {
  readonly keys: DomainKeys
  /** The slot that the secret opened; null for the root itself. */
  readonly slotId: number | null
}

/** A new domain's keys, with one slot. Errors: USAGE. */
export function makeKeys(env: Env, domainId: Buffer, secret: Secret): KeysFile {
  const root = env.randomBytes(keyBytes)
  const ring = { idKey: env.randomBytes(keyBytes), dataKeys: new Map([[1, env.randomBytes(keyBytes)]]), kept: noKeys }
  const slots = [wrapRoot(env, domainId, root, secret, 1)]
  return withRing(env, { domainId, revision: 0, slots, ring: noRing }, root, ring)
}

/** Errors: KEY_WRONG, DAMAGED, USAGE. */
export function unlock(file: KeysFile, secret: Secret): Unlocked {
  checkSecret(secret)
  if (secret.kind === 'root') return { keys: openRing(file, Buffer.from(secret.root, 'hex')), slotId: null }
  for (const slot of file.slots) {
    const key = slotKeyOf(secret, slot)
    if (key === undefined) continue
    const root = unwrap(key, slotBound(file.domainId, slot), slot.wrapped)
    if (root !== undefined) return { keys: openRing(file, root), slotId: slot.id }
  }
  const name = secret.kind === 'passphrase' ? 'passphrase' : 'key file'
  const kinds = file.slots.map(({ kind }) => (kind === 'passphrase' ? 'a passphrase' : 'a key file'))
  throw new HoldfastError('KEY_WRONG', `this ${name} opens none of the key slots (${kinds.join(', ')}) of this domain`)
}

/** One more secret opens the domain; the number of its slot. Errors: USAGE (no slot is free, or no secret). */
export function addSlot(
  env: Env, file: KeysFile, root: Buffer, secret: Secret,
): { file: KeysFile; slotId: number } {
  if (file.slots.length >= keySlotsMax) {
    throw new HoldfastError('USAGE', `all ${keySlotsMax} key slots are taken: remove one (key remove) first`)
  }
  const slotId = Math.max(0, ...file.slots.map(({ id }) => id)) + 1
  const slots = [...file.slots, wrapRoot(env, file.domainId, root, secret, slotId)]
  return { file: revised({ ...file, slots }), slotId }
}

/** Errors: NOT_FOUND, USAGE (it is the last). */
export function removeSlot(file: KeysFile, slotId: number): KeysFile {
  const slots = file.slots.filter(({ id }) => id !== slotId)
  if (slots.length === file.slots.length) {
    throw new HoldfastError('NOT_FOUND', `there is no key slot ${slotId}: "holdfast key list" names them`)
  }
  if (slots.length > 0) return revised({ ...file, slots })
  throw new HoldfastError('USAGE', 'the last key slot cannot be removed: nothing could be read any more')
}

/** Puts another secret into a slot. Errors: NOT_FOUND, USAGE. */
export function changeSlot(env: Env, file: KeysFile, root: Buffer, slotId: number, secret: Secret): KeysFile {
  const index = file.slots.findIndex(({ id }) => id === slotId)
  if (index < 0) throw new HoldfastError('NOT_FOUND', `there is no key slot ${slotId}`)
  return revised({ ...file, slots: file.slots.with(index, wrapRoot(env, file.domainId, root, secret, slotId)) })
}

/**
 * A new root and one data key more, which are only in the secret's slot: the secrets of the others are not here, and
 * who may know the old root is to learn nothing of what comes. Errors: USAGE.
 */
export function renewKeys(env: Env, file: KeysFile, keys: DomainKeys, secret: Secret, slotId: number): KeysFile {
  const root = env.randomBytes(keyBytes)
  const dataKeys = new Map(keys.ring.dataKeys).set(keys.keyId + 1, env.randomBytes(keyBytes))
  const slots = [wrapRoot(env, file.domainId, root, secret, slotId)]
  return withRing(env, { ...file, slots }, root, { ...keys.ring, dataKeys })
}

/** Whether a new data key was made, and what the older ones sealed is not yet sealed with it. */
export function isRenewing({ ring: { dataKeys, kept } }: DomainKeys): boolean {
  return dataKeys.size > kept.size + 1
}

/** Notes that all data keys but the newest are only there for what replicas hold. */
export function keepOldKeys(env: Env, file: KeysFile, keys: DomainKeys): KeysFile {
  const kept = new Set([...keys.ring.dataKeys.keys()].filter((id) => id !== keys.keyId))
  return withRing(env, file, keys.root, { ...keys.ring, kept })
}

/** Gives up all data keys but the newest: nothing is sealed with them any more. */
export function dropOldKeys(env: Env, file: KeysFile, keys: DomainKeys): KeysFile {
  const dataKeys = new Map([[keys.keyId, keys.dataKey(keys.keyId)]])
  return withRing(env, file, keys.root, { ...keys.ring, dataKeys, kept: noKeys })
}

const noKeys: ReadonlySet<number> = new Set()
const noRing = { salt: Buffer.alloc(0), sealed: Buffer.alloc(0) }

function wrapRoot(env: Env, domainId: Buffer, root: Buffer, secret: Secret, id: number): KeySlot {
  checkSecret(secret)
  if (secret.kind === 'root') throw new HoldfastError('USAGE', 'a slot takes a passphrase or a key file')
  const slot = {
    id, kind: secret.kind, salt: env.randomBytes(saltBytes), createdMs: Math.round(env.wallMs()),
    costLog2: secret.kind === 'passphrase' ? stretchCostLog2 : 0, wrapped: Buffer.alloc(0),
  }
  return { ...slot, wrapped: wrap(slotKeyOf(secret, slot)!, slotBound(domainId, slot), root) }
}

function withRing(env: Env, file: KeysFile, root: Buffer, { idKey, dataKeys, kept }: KeyRing): KeysFile {
  const salt = env.randomBytes(saltBytes)
  const numbered = [...dataKeys].map(([id, key]) => [String(id), key.toString('hex')])
  const text = JSON.stringify({
    idKey: idKey.toString('hex'), dataKeys: Object.fromEntries(numbered), kept: kept.size === 0 ? undefined : [...kept],
  })
  const sealed = wrap(subkey(root, salt, 'ring'), file.domainId, Buffer.from(text))
  return revised({ ...file, ring: { salt, sealed } })
}

function revised(file: KeysFile): KeysFile {
  return { ...file, revision: file.revision + 1 }
}

/** Errors: KEY_WRONG (a root that was given up), DAMAGED. */
function openRing({ domainId, ring }: KeysFile, root: Buffer): DomainKeys {
  const text = unwrap(subkey(root, ring.salt, 'ring'), domainId, ring.sealed)
  if (text === undefined) {
    throw new HoldfastError('KEY_WRONG', 'keys.json was changed, or the keys were rotated since they were opened here')
  }
  const { idKey, dataKeys, kept } = JSON.parse(text.toString()) as WrittenRing
  const numbered = Object.entries(dataKeys).map(([id, key]): [number, Buffer] => [Number(id), Buffer.from(key, 'hex')])
  return new DomainKeys(domainId, root, {
    idKey: Buffer.from(idKey, 'hex'), dataKeys: new Map(numbered), kept: new Set(kept),
  })
}

interface WrittenRing {
  idKey: string
  dataKeys: Record<string, string>
  kept?: number[]
}

function slotBound(domainId: Buffer, { id, kind, costLog2 }: Pick<KeySlot, 'id' | 'kind' | 'costLog2'>): Buffer {
  return Buffer.from(`${domainId.toString('hex')} ${id} ${kind} ${costLog2}`)
}

function wrap(key: KeyObject, bound: Buffer, plain: Buffer): Buffer {
  const { body, tag } = encrypt(key, zeroNonce, bound, plain)
  return Buffer.concat([body, tag])
}

function unwrap(key: KeyObject, bound: Buffer, wrapped: Buffer): Buffer | undefined {
  return decrypt(key, zeroNonce, bound, wrapped.subarray(0, -tagBytes), wrapped.subarray(-tagBytes))
}
