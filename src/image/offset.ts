/** Offsets in a file as (chunk number, offset within the chunk), because 8 EiB exceeds what a number holds exactly. */
import { chunkBytes } from '../limits.ts'

export interface Offset {
  chunk: number
  within: number
}

const chunkBits = BigInt(Math.log2(chunkBytes))
const withinMask = BigInt(chunkBytes - 1)

export function offsetOf(bytes: bigint): Offset {
  return { chunk: Number(bytes >> chunkBits), within: Number(bytes & withinMask) }
}

export function bytesOf({ chunk, within }: Offset): bigint {
  return BigInt(chunk) * BigInt(chunkBytes) + BigInt(within)
}
