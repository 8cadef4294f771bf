/** A chunk's name: BLAKE3-256 of its plain bytes (https://github.com/BLAKE3-team/BLAKE3-specs). */
import type { Buffer } from 'node:buffer'
import { blake3 } from '@napi-rs/blake-hash'

/** 32 bytes. One shot: 5.6 GB/s at 64 KiB, where the streaming hasher costs 10 us a use. */
export function digest(plain: Uint8Array): Buffer {
  return blake3(plain)
}
