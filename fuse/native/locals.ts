/**
 * The one thing that is read from the waiting thread's structure itself: the modification time of a
 * utimens. The binding passes the access time twice (fuse-native 2.2.6), the right one lies in
 *
 *   0 self  8 op  16 op_fn  24 path  32 dest  40 linkname  48 info  56 buf  64 offset  72 len
 *   80 mode  88 dev  96 uid  100 gid  104 atime  112 mtime  120 res ...      (64-bit, in bytes)
 *
 * as signed milliseconds. The access time beside it must be the one that was passed: where it is not,
 * the layout is another, and the call is refused instead of setting a wrong time.
 */
import type { Timestamp } from '../results.ts'

const ATIME = 104
const MTIME = 112
const MILLISECONDS = 1000
const NANOSECONDS = 1_000_000

export interface Times {
  readonly accessed: Timestamp
  readonly modified: Timestamp
}

/** `low` and `high` are the words of the access time that were passed; null when they do not match. */
export function timesOf(locals: Buffer, low: number, high: number): Times | null {
  if (locals.length < MTIME + 8) return null
  if (locals.readUInt32LE(ATIME) !== low || locals.readUInt32LE(ATIME + 4) !== high) return null
  return { accessed: timestamp(locals.readBigInt64LE(ATIME)), modified: timestamp(locals.readBigInt64LE(MTIME)) }
}

function timestamp(wide: bigint): Timestamp {
  const ms = Number(wide)
  const seconds = Math.floor(ms / MILLISECONDS)
  return { seconds, nanoseconds: (ms - seconds * MILLISECONDS) * NANOSECONDS }
}
