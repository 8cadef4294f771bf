/** Zero chunks are never stored: a manifest without an id reads as zeros. */
import { Buffer } from 'node:buffer'
import { chunkBytes } from '../limits.ts'

/** Shared: never to be written to. */
export const zeroChunk: Buffer = Buffer.alloc(chunkBytes)

/** Whether all of up to 64 KiB are zero: one comparison of memory, over at the first byte that is not. */
export function isZero(bytes: Uint8Array): boolean {
  return Buffer.compare(bytes, bytes.length === chunkBytes ? zeroChunk : zeroChunk.subarray(0, bytes.length)) === 0
}
