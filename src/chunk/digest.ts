/** Chunks' names: BLAKE3-256 of the plain bytes (https://github.com/BLAKE3-team/BLAKE3-specs). */
import type { Buffer } from 'node:buffer'
import { blake3 } from '@napi-rs/blake-hash'
import type { DomainKeys } from '../crypto/domain-keys.ts'

/** 32 bytes. One shot: 5.6 GB/s at 64 KiB, where the streaming hasher costs 10 us a use. */
export function digest(plain: Uint8Array): Buffer {
  return blake3(plain)
}

/** A chunk's name in its domain: with keys it tells nothing to who has none. */
export function chunkIdOf(keys: DomainKeys | null, plain: Uint8Array): Buffer {
  return keys === null ? digest(plain) : keys.chunkId(plain)
}
