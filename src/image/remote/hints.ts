/**
 * Places of records as bytes, for threads and for prefetch lists:
 *
 *     0  32  chunk id
 *    32  16  pack id
 *    48   8  place, as bytes 32 to 39 of an entry of a pack's footer
 */
import { Buffer } from 'node:buffer'
import type { RunEntry } from '../../format/index-run.ts'
import { placeBytes, readPlace, writePlace } from '../../format/pack-footer.ts'
import { digestBytes, identityBytes } from '../../limits.ts'

const packAt = digestBytes
const placeAt = packAt + identityBytes
const entryBytes = placeAt + placeBytes

export function packHints(entries: readonly RunEntry[]): Uint8Array<ArrayBuffer> {
  const bytes = Buffer.allocUnsafeSlow(entries.length * entryBytes)
  for (const [index, { id, packId, place }] of entries.entries()) {
    const at = index * entryBytes
    id.copy(bytes, at)
    packId.copy(bytes, at + packAt)
    writePlace(bytes, at + placeAt, place)
  }
  return bytes
}

export function hintsFrom(bytes: Uint8Array): RunEntry[] {
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return Array.from({ length: Math.floor(all.length / entryBytes) }, (_, index) => {
    const at = index * entryBytes
    const id = all.subarray(at, at + packAt)
    return { id, packId: all.subarray(at + packAt, at + placeAt), place: readPlace(all, at + placeAt) }
  })
}
