/**
 * A whole file, sealed: records of epochs and heads, working sets. Integers are little-endian.
 *
 *      0   4  magic "HFSO"
 *      4   2  version (1)
 *      6   2  0
 *      8  16  domain id
 *     24   4  key id
 *     28   4  0
 *     32  16  salt, random
 *     48      the file, encrypted
 *    -16  16  tag
 *
 * Bytes 0 to 47 are bound to it, and what the file is (its kind, image and number), so that one cannot stand in for
 * another. The salt gives each sealing a key of its own, and so the nonce is zero.
 */
import { Buffer } from 'node:buffer'
import type { Env } from '../env/env.ts'
import { HoldfastError } from '../errors.ts'
import { decrypt, encrypt, nonceBytes, subkey, tagBytes } from './aead.ts'
import type { DomainKeys } from './domain-keys.ts'

const magic = Buffer.from('HFSO', 'latin1')
const objectVersion = 1
const domainAt = 8
const keyIdAt = 24
const saltAt = 32
const saltBytes = 16
const bodyAt = saltAt + saltBytes
/** What sealing adds to a file. */
export const sealedObjectBytes = bodyAt + tagBytes

export function isSealedObject(bytes: Buffer): boolean {
  return bytes.length >= sealedObjectBytes && bytes.subarray(0, magic.length).equals(magic)
}

/** Null for what is no sealed object. */
export function keyIdOfObject(bytes: Buffer): number | null {
  return isSealedObject(bytes) ? bytes.readUInt32LE(keyIdAt) : null
}

/** `what` is bound: the same words are needed to open it. */
export function sealObject(env: Env, keys: DomainKeys, what: string, plain: Uint8Array): Buffer {
  const head = Buffer.alloc(bodyAt)
  magic.copy(head)
  head.writeUInt16LE(objectVersion, magic.length)
  keys.domainId.copy(head, domainAt)
  head.writeUInt32LE(keys.keyId, keyIdAt)
  env.randomBytes(saltBytes).copy(head, saltAt)
  const { body, tag } = encrypt(objectKey(keys, head), zeroNonce, boundOf(head, what), plain)
  return Buffer.concat([head, body, tag])
}

/** Errors: BAD_FORMAT (not sealed), NEWER_VERSION, WRONG_DOMAIN, KEY_NEEDED, DAMAGED. */
export function openObject(keys: DomainKeys, what: string, bytes: Buffer): Buffer {
  if (!isSealedObject(bytes)) throw new HoldfastError('BAD_FORMAT', `${what} is not sealed, as this store's files are`)
  const version = bytes.readUInt16LE(magic.length)
  if (version > objectVersion) {
    throw new HoldfastError('NEWER_VERSION', `${what} was sealed by a newer Holdfast: update Holdfast`)
  }
  const head = bytes.subarray(0, bodyAt)
  if (!keys.domainId.equals(head.subarray(domainAt, keyIdAt))) {
    throw new HoldfastError('WRONG_DOMAIN', `${what} belongs to another domain than this store`)
  }
  const body = bytes.subarray(bodyAt, bytes.length - tagBytes)
  const plain = decrypt(objectKey(keys, head), zeroNonce, boundOf(head, what), body, bytes.subarray(-tagBytes))
  if (plain !== undefined) return plain
  throw new HoldfastError('DAMAGED', `${what} was changed, or is not what its name says: restore it from a replica`)
}

const zeroNonce = Buffer.alloc(nonceBytes)

function objectKey(keys: DomainKeys, head: Buffer): ReturnType<typeof subkey> {
  return subkey(keys.dataKey(head.readUInt32LE(keyIdAt)), head.subarray(saltAt, bodyAt), 'object')
}

function boundOf(head: Buffer, what: string): Buffer {
  return Buffer.concat([head, Buffer.from(what)])
}
