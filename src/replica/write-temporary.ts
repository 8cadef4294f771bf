/** An object of a directory replica under a temporary name: written, synced, read back and compared. */
import { crc32 } from 'node:zlib'
import { HoldfastError } from '../errors.ts'
import type { Env } from '../env/env.ts'
import type { Call } from './call.ts'
import { nextTurn } from './directory-parts.ts'
import { pieceBytes } from './limits.ts'
import type { ObjectSource, PutResult } from './replica.ts'
import { CountedSource } from './source.ts'
import type { Throttle } from './throttle.ts'

export interface WriteParts {
  readonly env: Env
  readonly throttle: Throttle
  readonly call: Call
}

/** On return its bytes are durable, its name is not. Errors: DAMAGED, EXISTS, NOT_FOUND, NO_SPACE, IO. */
export async function writeTemporary(parts: WriteParts, path: string, source: ObjectSource): Promise<PutResult> {
  const { env, throttle, call } = parts
  const counted = new CountedSource(source)
  {
    using file = env.open(path, 'createNew')
    let at = 0
    for await (const piece of counted.pieces()) {
      await throttle.pass(piece.length, call.signal)
      await nextTurn()
      call.check()
      file.write(piece, at)
      at += piece.length
    }
    file.sync()
  }
  await compare(parts, path, counted.result())
  return counted.result()
}

/** Through a new descriptor, so that a file system on the network shows what it has. */
async function compare({ env, call }: WriteParts, path: string, expected: PutResult): Promise<void> {
  using file = env.open(path, 'read')
  const piece = new Uint8Array(Math.min(pieceBytes, expected.bytes))
  let sum = 0
  for (let at = 0; at < expected.bytes; at += piece.length) {
    sum = crc32(piece.subarray(0, file.read(piece, at)), sum)
    await nextTurn()
    call.check()
  }
  if (file.size() === expected.bytes && sum === expected.crc32) return
  throw new HoldfastError('DAMAGED', `${path} does not have the bytes that were written: look at the disk below it`)
}
