/** The bytes of a put, counted and checksummed while they pass. */
import { crc32 } from 'node:zlib'
import { HoldfastError } from '../errors.ts'
import { objectBytesMax } from './limits.ts'
import type { ObjectSource, PutResult } from './replica.ts'

/** Errors: USAGE when it cannot be an object. */
export function sourceOf(source: ObjectSource | Uint8Array): ObjectSource {
  const checked = source instanceof Uint8Array ? { bytes: source.length, open: () => [source] } : source
  if (Number.isSafeInteger(checked.bytes) && checked.bytes >= 0 && checked.bytes <= objectBytesMax) return checked
  throw new HoldfastError('USAGE', `an object of ${checked.bytes} bytes: at most ${objectBytesMax} are possible`)
}

export class CountedSource {
  readonly #source: ObjectSource
  #crc32 = 0
  #bytes = 0

  constructor(source: ObjectSource) {
    this.#source = source
  }

  /** Every piece that is not empty. Errors: DAMAGED when there are more or fewer bytes, or others, than was said. */
  async *pieces(): AsyncIterable<Uint8Array> {
    const { bytes } = this.#source
    for await (const piece of this.#source.open()) {
      if (piece.length === 0) continue
      this.#bytes += piece.length
      if (this.#bytes > bytes) throw damaged(`has more than the ${bytes} bytes that were said`)
      this.#crc32 = crc32(piece, this.#crc32)
      yield piece
    }
    if (this.#bytes < bytes) throw damaged(`ended after ${this.#bytes} of ${bytes} bytes`)
    const expected = this.#source.crc32
    if (expected !== undefined && expected !== this.#crc32) throw damaged('does not have the checksum that was said')
  }

  /** Of what has passed. */
  result(): PutResult {
    return { bytes: this.#bytes, crc32: this.#crc32 }
  }
}

function damaged(what: string): HoldfastError {
  return new HoldfastError('DAMAGED', `what is to be put on a replica ${what}: check where it comes from`)
}
