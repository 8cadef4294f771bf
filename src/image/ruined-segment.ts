/**
 * A file of the log whose header cannot be read, so that nothing in it is taken for a record. A power loss leaves such
 * a file where it was not synced: empty, cut off, or with zeros where bytes were. It can also be what a bad disk made
 * of one that was; then its records may tell.
 */
import { Buffer } from 'node:buffer'
import type { Env, EnvFile } from '../env/env.ts'
import { announcedBytes, isRecordWhole, segmentHeaderBytes } from '../format/log.ts'
import { KIB, logRecordBytesMax, segmentReadBytesMax } from '../limits.ts'
import { StoreLayout } from '../store/layout.ts'
import { quarantineFile } from '../store/quarantine.ts'

const pieceBytes = 64 * KIB
const nonceAt = 16

/**
 * Nothing was ever written behind the header, or nothing of it is left: it holds no record. What is longer than any
 * segment may be without end, and is not read. Errors: IO.
 */
export function isWithoutRecords(file: EnvFile): boolean {
  if (file.size() > segmentReadBytesMax) return false
  const piece = Buffer.alloc(pieceBytes)
  for (let at = segmentHeaderBytes; ;) {
    const bytes = file.read(piece, at)
    if (bytes === 0) return true
    if (piece.subarray(0, bytes).some((byte) => byte !== 0)) return false
    at += bytes
  }
}

/**
 * The nonce of the file's records, as the first of them has it; null where that is not whole. Further on what looks
 * like a record may be what a guest wrote. Errors: IO.
 */
export function nonceOfRecords(file: EnvFile): number | null {
  const bytes = Buffer.alloc(Math.min(logRecordBytesMax, Math.max(nonceAt + 4, file.size() - segmentHeaderBytes)))
  const read = file.read(bytes, segmentHeaderBytes)
  const nonce = bytes.readUInt32LE(nonceAt)
  const lengthBytes = announcedBytes(bytes.subarray(0, read), 0, nonce)
  return lengthBytes > 0 && isRecordWhole(bytes.subarray(0, read), 0, lengthBytes) ? nonce : null
}

/**
 * Moves such files to the store's quarantine, durably: a sentence for each. To be called before a record is published
 * that covers them, as what it covers is removed. Errors: NO_SPACE, IO.
 */
export function setAside(env: Env, storeDirectory: string, paths: readonly string[]): string[] {
  const layout = new StoreLayout(storeDirectory)
  const note = 'a segment of a log without a header that can be read: nothing in it was committed'
  return paths.map((path) => {
    const target = quarantineFile(env, layout, path, note)
    return `${path} begins with no header, as after a power loss, and nothing of it was read: it lies in ${target} now`
  })
}
