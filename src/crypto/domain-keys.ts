/**
 * A domain's keys, unlocked. The *root* opens the ring (key-slots.ts) and nothing else; the *id key* names chunks;
 * each *data key* has a number, which stands in the header of whatever was sealed with it. What is new is sealed
 * with the newest.
 *
 * The id key stays when the data keys are changed: with it every chunk id would change, and so every manifest and
 * every epoch.
 */
import { Buffer } from 'node:buffer'
import { blake3 } from '@napi-rs/blake-hash'
import { HoldfastError } from '../errors.ts'
import { digestBytes } from '../limits.ts'
import { keyBytes } from './aead.ts'

export interface KeyRing {
  readonly idKey: Buffer
  /** By key id; at least one. */
  readonly dataKeys: ReadonlyMap<number, Buffer>
  /** Of those: nothing in the store is sealed with them any more, but replicas hold what is. */
  readonly kept: ReadonlySet<number>
}

export class DomainKeys {
  readonly domainId: Buffer
  readonly root: Buffer
  readonly ring: KeyRing
  /** Key, then digest: what an id is the digest of. */
  readonly #named: Buffer

  constructor(domainId: Buffer, root: Buffer, ring: KeyRing) {
    this.domainId = domainId
    this.root = root
    this.ring = ring
    this.#named = Buffer.concat([ring.idKey, Buffer.alloc(digestBytes)])
  }

  /** Of the data key for all that is new. */
  get keyId(): number {
    return Math.max(...this.ring.dataKeys.keys())
  }

  /**
   * A chunk's name: BLAKE3 of the id key and of the BLAKE3 of the plain bytes. Without the key nobody can tell whether
   * a chunk that he can guess is in the store. (BLAKE3's own keyed mode says the same, but is reached only through
   * an object of which each use costs 10 us, and memory until the event loop turns.)
   */
  chunkId(plain: Uint8Array): Buffer {
    blake3(plain).copy(this.#named, keyBytes)
    return blake3(this.#named)
  }

  /** Errors: KEY_NEEDED (what is sealed is of another domain, or of a key that was given up). */
  dataKey(keyId: number): Buffer {
    const key = this.ring.dataKeys.get(keyId)
    if (key !== undefined) return key
    throw new HoldfastError('KEY_NEEDED', `what was sealed with key ${keyId} cannot be read: this domain's keys ` +
      `are ${[...this.ring.dataKeys.keys()].join(', ')}`)
  }
}
