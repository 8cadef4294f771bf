/**
 * Seals the records of one segment's file of the log. The headers stay readable and are bound, payloads are sealed.
 *
 * Key: HKDF of the data key, salted with 16 random bytes that are drawn when the file is made, for a purpose that
 * spells out the file's header: a record works in no other file, under no other header. Nonce: a counter in the
 * record of all that this writer has sealed in this file. The file is written by the one process that made it and
 * never continued by another, and the counter grows also when the write fails that it was for, so none comes twice.
 */
import { Buffer } from 'node:buffer'
import { createDecipheriv } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { assert } from '../errors.ts'
import { decrypt, encrypt, nonceBytes, subkey, tagBytes } from './aead.ts'
import type { DomainKeys } from './domain-keys.ts'

/** Of AES, and of the counter that GCM puts behind the nonce: 1 is the tag's, 2 the first block's. */
const blockBytes = 16
const firstBlock = 2

export class SegmentSeal {
  readonly #key: KeyObject

  /** `header` is the whole header of the file, `salt` a part of it. Errors: KEY_NEEDED. */
  constructor(keys: DomainKeys, keyId: number, salt: Uint8Array, header: Buffer) {
    this.#key = subkey(keys.dataKey(keyId), salt, `log ${header.toString('base64')}`)
  }

  seal(bound: Uint8Array, payload: Uint8Array, counter: number): { body: Buffer; tag: Buffer } {
    return encrypt(this.#key, nonceOf(counter), bound, payload)
  }

  /** `sealed` is body and tag. The payload in a fresh buffer; undefined where it was changed. */
  open(bound: Uint8Array, sealed: Uint8Array, counter: number): Buffer | undefined {
    const end = sealed.length - tagBytes
    assert(end >= 0, 'a sealed payload ends in its tag')
    return decrypt(this.#key, nonceOf(counter), bound, sealed.subarray(0, end), sealed.subarray(end))
  }

  /**
   * Turns a part of a sealed payload, which begins `start` bytes behind the payload's begin, into plain bytes in
   * place. It is not authenticated: for bytes that this process wrote, or has opened as a whole before. GCM
   * encrypts as counter mode does, so any place can be reached.
   */
  reveal(part: Uint8Array, start: number, counter: number): void {
    const skipped = start % blockBytes
    const initial = Buffer.alloc(blockBytes)
    nonceOf(counter).copy(initial)
    initial.writeUInt32BE(firstBlock + Math.floor(start / blockBytes), nonceBytes)
    const decipher = createDecipheriv('aes-256-ctr', this.#key, initial)
    if (skipped > 0) decipher.update(Buffer.alloc(skipped))
    part.set(decipher.update(part))
  }
}

function nonceOf(counter: number): Buffer {
  const nonce = Buffer.alloc(nonceBytes)
  nonce.writeUInt32LE(counter)
  return nonce
}
