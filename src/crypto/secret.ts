/**
 * What opens a domain's keys: a passphrase, the bytes of a key file, or the root itself, which is what is handed on
 * to other threads and processes once one of the others was good.
 *
 * A passphrase is stretched with scrypt (RFC 7914; 128 MiB, some 0.3 s a guess); a key file is expected to be
 * random, so HKDF is enough for it.
 */
import { Buffer } from 'node:buffer'
import { createSecretKey, scryptSync } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { HoldfastError } from '../errors.ts'
import { MIB, keyFileBytesMax, keyFileBytesMin, passphraseBytesMax } from '../limits.ts'
import { keyBytes, subkey } from './aead.ts'

export type Secret =
  | { readonly kind: 'passphrase'; readonly passphrase: string }
  | { readonly kind: 'keyFile'; readonly bytes: Uint8Array }
  /** Hexadecimal. */
  | { readonly kind: 'root'; readonly root: string }

export type SlotKind = Exclude<Secret['kind'], 'root'>

/** How a passphrase is stretched: N = 2^costLog2, with 8-block mixing and no parallelism. */
export const stretchCostLog2 = 17

/** Errors: USAGE (it cannot be a secret). */
export function checkSecret(secret: Secret): void {
  if (secret.kind === 'passphrase') {
    const bytes = Buffer.byteLength(secret.passphrase)
    if (bytes > 0 && bytes <= passphraseBytesMax) return
    throw new HoldfastError('USAGE', `a passphrase has 1 to ${passphraseBytesMax} bytes`)
  }
  if (secret.kind === 'root') return
  const bytes = secret.bytes.length
  if (bytes >= keyFileBytesMin && bytes <= keyFileBytesMax) return
  throw new HoldfastError('USAGE', `a key file holds ${keyFileBytesMin} to ${keyFileBytesMax} random bytes, as ` +
    `"head -c 32 /dev/urandom" gives them, not ${bytes}`)
}

/** The key that a slot's content is wrapped with; undefined where the secret is of another kind. */
export function slotKeyOf(
  secret: Secret, slot: { kind: SlotKind; salt: Uint8Array; costLog2: number },
): KeyObject | undefined {
  if (secret.kind === 'passphrase' && slot.kind === 'passphrase') {
    const text = secret.passphrase.normalize('NFC')
    const options = { N: 2 ** slot.costLog2, r: 8, p: 1, maxmem: 2 ** slot.costLog2 * 1024 + MIB }
    return createSecretKey(scryptSync(text, slot.salt, keyBytes, options))
  }
  if (secret.kind === 'keyFile' && slot.kind === 'keyFile') return subkey(secret.bytes, slot.salt, 'key file')
  return undefined
}
