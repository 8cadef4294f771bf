/** XOR of two versions of a chunk, the one operation behind deltas. */
import { Buffer } from 'node:buffer'

/**
 * target ^= base, over target's length; a shorter base counts as padded with zeros, of a longer one the rest
 * is ignored. Words where both lie on words, which fresh buffers do: 8 us for 64 KiB instead of 55.
 */
export function xorInto(target: Uint8Array, base: Uint8Array): void {
  const length = Math.min(target.length, base.length)
  const words = aligned(target) && aligned(base) ? length >>> 2 : 0
  if (words > 0) xorWords(target, base, words)
  for (let at = words * 4; at < length; at++) target[at] ^= base[at]
}

/** plain XOR base in a fresh buffer of plain's length. */
export function xorOf(plain: Uint8Array, base: Uint8Array): Buffer {
  const result = Buffer.allocUnsafeSlow(plain.length)
  result.set(plain)
  xorInto(result, base)
  return result
}

function aligned(bytes: Uint8Array): boolean {
  return (bytes.byteOffset & 3) === 0
}

function xorWords(target: Uint8Array, base: Uint8Array, words: number): void {
  const into = new Uint32Array(target.buffer, target.byteOffset, words)
  const from = new Uint32Array(base.buffer, base.byteOffset, words)
  for (let at = 0; at < words; at++) into[at] ^= from[at]
}
