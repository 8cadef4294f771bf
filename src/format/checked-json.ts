/**
 * Small files of JSON that carry a checksum: an object whose last field, `checksum`, is the CRC-32 (8 hex digits) of
 * the object without it, written without blanks. One flipped bit can be found by trying each.
 */
import { Buffer } from 'node:buffer'
import { crc32 } from 'node:zlib'
import { KIB } from '../limits.ts'

/** Each bit is a parse: a longer file would take seconds. */
const correctedBytesMax = 4 * KIB

export type JsonFields = Record<string, unknown>

export function encodeCheckedJson(fields: JsonFields): Buffer {
  return Buffer.from(`${JSON.stringify({ ...fields, checksum: checksumOf(fields) })}\n`)
}

export type CheckedJson =
  | { readonly type: 'sound'; readonly fields: JsonFields }
  /** Of a version that wrote no checksum. */
  | { readonly type: 'unchecked'; readonly fields: JsonFields }
  | { readonly type: 'damaged'; readonly fields: JsonFields }
  | { readonly type: 'noObject' }

export function decodeCheckedJson(bytes: Buffer): CheckedJson {
  const found = objectOf(bytes.toString())
  if (found === null) return { type: 'noObject' }
  const { checksum, ...fields } = found
  if (checksum === undefined) return { type: 'unchecked', fields }
  return { type: checksum === checksumOf(fields) ? 'sound' : 'damaged', fields }
}

/** What the bytes were before one bit of them was flipped; null where no bit explains it. Only for small files. */
export function correctCheckedJson(spoilt: Buffer): Buffer | null {
  if (spoilt.length > correctedBytesMax) return null
  const bytes = Buffer.from(spoilt)
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    bytes[bit >> 3] ^= 1 << (bit & 7)
    if (decodeCheckedJson(bytes).type === 'sound') return bytes
    bytes[bit >> 3] ^= 1 << (bit & 7)
  }
  return null
}

function checksumOf(fields: JsonFields): string {
  return crc32(JSON.stringify(fields)).toString(16).padStart(8, '0')
}

function objectOf(text: string): JsonFields | null {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : null
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    return null
  }
}
