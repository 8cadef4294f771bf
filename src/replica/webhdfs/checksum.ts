/**
 * What GETFILECHECKSUM says of an object of one block: an MD5 over the MD5 of the CRC-32C of every 512 bytes. Computed
 * here while an object is sent, so that nothing has to be read back.
 * Source: org.apache.hadoop.hdfs.FileChecksumHelper; the MD5 of blocks' MD5s covers the whole buffer that they were
 * gathered in, which for one block is 16 bytes of MD5 and 16 of zeros.
 */
import { Buffer } from 'node:buffer'
import { type Hash, createHash } from 'node:crypto'
import { hdfsChecksumSpanBytes } from '../limits.ts'
import { crc32c, crc32cOfWords } from './crc32c.ts'

/** What such a checksum is of: other spans, other sums or more blocks cannot be compared with ours. */
export const checksumAlgorithm = `MD5-of-0MD5-of-${hdfsChecksumSpanBytes}CRC32C`

const spanBytes = hdfsChecksumSpanBytes
const wordBytes = 4
const spanWords = spanBytes / wordBytes

export class HdfsChecksum {
  readonly #block: Hash = createHash('md5')
  readonly #rest = Buffer.alloc(spanBytes)
  #restBytes = 0

  update(piece: Uint8Array): void {
    const head = this.#fill(piece)
    const spans = Math.floor((piece.length - head) / spanBytes)
    if (spans > 0) this.#add(piece.subarray(head, head + spans * spanBytes))
    this.#restBytes += this.#keep(piece.subarray(head + spans * spanBytes))
  }

  /** In hexadecimal: bytes under a sum, sums a block (0: one block), MD5. Nothing can be added any more. */
  digest(): string {
    if (this.#restBytes > 0) this.#block.update(bigEndian([crc32c(this.#rest.subarray(0, this.#restBytes))]))
    const padding = Buffer.alloc(16)
    const sum = createHash('md5').update(this.#block.digest()).update(padding).digest('hex')
    return `${spanBytes.toString(16).padStart(8, '0')}${'0'.repeat(16)}${sum}`
  }

  /** Completes the span that the last piece began; returns how many bytes that took. */
  #fill(piece: Uint8Array): number {
    if (this.#restBytes === 0) return 0
    const bytes = this.#keep(piece.subarray(0, spanBytes - this.#restBytes))
    this.#restBytes += bytes
    if (this.#restBytes === spanBytes) {
      this.#add(this.#rest)
      this.#restBytes = 0
    }
    return bytes
  }

  #keep(bytes: Uint8Array): number {
    this.#rest.set(bytes, this.#restBytes)
    return bytes.length
  }

  /** Whole spans. */
  #add(spans: Uint8Array): void {
    const aligned = spans.byteOffset % wordBytes === 0 ? spans : Uint8Array.from(spans)
    const words = new Int32Array(aligned.buffer, aligned.byteOffset, aligned.length / wordBytes)
    const sums: number[] = []
    for (let at = 0; at < words.length; at += spanWords) sums.push(crc32cOfWords(words, at, spanWords))
    this.#block.update(bigEndian(sums))
  }
}

function bigEndian(sums: readonly number[]): Buffer {
  const bytes = Buffer.allocUnsafe(sums.length * wordBytes)
  sums.forEach((sum, at) => bytes.writeInt32BE(sum, at * wordBytes))
  return bytes
}
