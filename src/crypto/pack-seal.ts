/**
 * Seals the records of one pack. What is sealed is the payload; the header stays readable, so that packs can be
 * scanned, moved and collected without a key, and is bound to it: kind, codec, depths, lengths, ids. Pack and place
 * are bound by key and nonce: a record works nowhere else.
 *
 * Key: HKDF of the data key, salted with the pack id. Nonce: 8 random bytes of the writing session, then the record's
 * offset in the pack. An offset alone would come twice: after an unclean stop the torn tail is written over, and
 * what stood there may have reached the disk, a snapshot or a copy of the store that goes on by itself. A session is
 * one opening of the pack for appending, in which each offset is written once; that two sessions that both write at
 * one offset of one pack draw the same 64 bits is what is left to chance.
 */
import { Buffer } from 'node:buffer'
import type { KeyObject } from 'node:crypto'
import type { Env } from '../env/env.ts'
import { HoldfastError } from '../errors.ts'
import {
  boundBytesOf, recordBytesOf, recordSaltBytes, sealOf, storedPayloadOf, writeRecord,
} from '../format/pack-record.ts'
import type { RecordHeader, RecordSeal } from '../format/pack-record.ts'
import { decrypt, encrypt, nonceBytes, subkey } from './aead.ts'
import type { DomainKeys } from './domain-keys.ts'

export class PackSeal {
  readonly keyId: number
  readonly #key: KeyObject
  readonly #session: Buffer

  /** Errors: KEY_NEEDED. */
  constructor(env: Env, keys: DomainKeys, packId: Buffer, keyId: number) {
    this.keyId = keyId
    this.#key = subkey(keys.dataKey(keyId), packId, 'pack')
    this.#session = env.randomBytes(recordSaltBytes)
  }

  /** To be called once for each offset. `bound` are the header's bytes. */
  seal(bound: Buffer, payload: Uint8Array, offset: number): RecordSeal {
    const { body, tag } = encrypt(this.#key, nonceOf(this.#session, offset), bound, payload)
    return { body, salt: this.#session, tag }
  }

  /** The payload of a whole record that lies at `offset`, in a fresh buffer. Errors: DAMAGED. */
  open(bytes: Buffer, header: RecordHeader, offset: number): Buffer {
    if (!header.isSealed) throw new HoldfastError('DAMAGED', 'a record of an encrypted store is not sealed')
    const { body, salt, tag } = sealOf(bytes, header)
    const payload = decrypt(this.#key, nonceOf(salt, offset), boundBytesOf(bytes, header), body, tag)
    if (payload !== undefined) return payload
    throw new HoldfastError('DAMAGED', 'a record was changed, or is not where it was written')
  }
}

/** The payload of a whole record at `offset` of a pack with that seal; null for a pack of a plain store. */
export function payloadOf(seal: PackSeal | null, bytes: Buffer, header: RecordHeader, offset: number): Buffer {
  if (seal !== null) return seal.open(bytes, header, offset)
  if (header.isSealed) throw new HoldfastError('DAMAGED', 'a record is sealed, and this store has no keys')
  return storedPayloadOf(bytes, header)
}

/**
 * A record as a plain store would hold it, checksum and all: for what leaves its place in a pack. Errors: DAMAGED.
 */
export function unsealedRecord(seal: PackSeal | null, bytes: Buffer, header: RecordHeader, offset: number): Buffer {
  const payload = payloadOf(seal, bytes, header, offset)
  const record = Buffer.alloc(recordBytesOf(header))
  return record.subarray(0, writeRecord(record, 0, header, payload))
}

function nonceOf(salt: Uint8Array, offset: number): Buffer {
  const nonce = Buffer.alloc(nonceBytes)
  nonce.set(salt)
  nonce.writeUInt32LE(offset, recordSaltBytes)
  return nonce
}
