/** Objects of a replica, or parts of them, read into memory. */
import { Buffer } from 'node:buffer'
import { HoldfastError } from '../errors.ts'
import type { CallOptions, Replica } from './replica.ts'

/** A whole object. Errors: NOT_FOUND, REPLICA_FAULT when it is larger, those of every call. */
export async function readObject(
  replica: Replica, path: string, bytesMax: number, options?: CallOptions,
): Promise<Buffer> {
  const bytes = await gather(replica.read(path, { ...options, bytes: bytesMax + 1 }))
  if (bytes.length <= bytesMax) return bytes
  throw new HoldfastError('REPLICA_FAULT', `${path} on ${replica.url} is larger than ${bytesMax} bytes`)
}

/** Exactly that range. Errors: NOT_FOUND, DAMAGED when the object ends before, those of every call. */
export async function readRange(
  replica: Replica, path: string, range: { offset: number; bytes: number }, options?: CallOptions,
): Promise<Buffer> {
  const bytes = await gather(replica.read(path, { ...options, ...range }))
  if (bytes.length === range.bytes) return bytes
  throw new HoldfastError('DAMAGED', `${path} on ${replica.url} ends before ${range.offset + range.bytes} bytes`)
}

async function gather(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  for await (const piece of source) pieces.push(piece)
  return pieces.length === 1 && Buffer.isBuffer(pieces[0]) ? pieces[0] : Buffer.concat(pieces)
}
