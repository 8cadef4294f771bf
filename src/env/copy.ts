/** What one file holds, written to another. */
import { Buffer } from 'node:buffer'
import { MIB } from '../limits.ts'
import type { EnvFile } from './env.ts'

/** From end to end, a piece at a time; holes become zeros, and nothing is synced. Errors: those of both files. */
export function copyContents(from: EnvFile, to: EnvFile): void {
  const piece = Buffer.allocUnsafe(MIB)
  for (let position = 0; ;) {
    const bytes = from.read(piece, position)
    if (bytes === 0) return
    to.write(piece.subarray(0, bytes), position)
    position += bytes
  }
}
