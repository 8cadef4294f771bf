/** What `pack-v1.bin` holds. */
import { Buffer } from 'node:buffer'

export const goldenHeader = {
  keyId: 0,
  storeId: Buffer.alloc(16, 0x11),
  domainId: Buffer.alloc(16, 0x22),
  packId: Buffer.alloc(16, 0x33),
  createdMs: 1_700_000_000_123,
  isCopied: false,
}

const raw = Buffer.from(Array.from({ length: 64 }, (_, at) => (at * 167 + 13) & 0xff))
const text = Buffer.from('a chunk is named by its content; '.repeat(8))
const pieces = [text.subarray(0, 100), Buffer.from('CHANGED'), text.subarray(107), Buffer.from(' and longer')]
const changed = Buffer.concat(pieces)

/** Stored raw, as LZ4, as a delta of the second; a void of 100 bytes lies before the last. */
export const goldenPlains = [raw, text, changed] as const
