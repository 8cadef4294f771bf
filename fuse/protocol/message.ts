import { endianness } from 'node:os'
import { IN_HEADER } from './structures.ts'
import { UNIQUE } from './flags.ts'

if (endianness() !== 'LE') throw new Error('the FUSE transport is written for little-endian machines')

const WORD = 4
const TWO_32 = 2 ** 32
/** A number above this in the upper half of a 64-bit field makes no safe integer. */
const SAFE_UPPER_MAX = 0x1f_ffff

/**
 * One message from the kernel in a buffer that is used again for the next. Reads never throw:
 * what does not fit sets `malformed`, and the reader asks for that once at the end.
 */
export class Message {
  readonly buffer: Buffer
  readonly #words: Uint32Array
  /** Bytes of the message in the buffer. */
  length = 0
  /** A field lay outside the message or held what we cannot represent. */
  malformed = false
  /** Where the next name or the payload starts. */
  #next = 0

  /** `buffer` starts at a multiple of 4 in its memory. */
  constructor(buffer: Buffer) {
    this.buffer = buffer
    this.#words = new Uint32Array(buffer.buffer, buffer.byteOffset, Math.floor(buffer.length / WORD))
  }

  /** Starts on a message of `length` bytes; false when it is not one whole message. */
  start(length: number): boolean {
    this.length = length
    this.malformed = false
    this.#next = IN_HEADER.bytes
    return length >= IN_HEADER.bytes && length <= this.buffer.length && this.#words[0] === length
  }

  get opcode(): number {
    return this.#words[IN_HEADER.at.opcode / WORD]
  }

  get unique(): number {
    const upper = (this.#words[IN_HEADER.at.unique / WORD + 1] & ~UNIQUE.RESENT) >>> 0
    return this.#number(this.#words[IN_HEADER.at.unique / WORD], upper)
  }

  get resent(): boolean {
    return (this.#words[IN_HEADER.at.unique / WORD + 1] & UNIQUE.RESENT) !== 0
  }

  get node(): number {
    const word = IN_HEADER.at.nodeid / WORD
    return this.#number(this.#words[word], this.#words[word + 1])
  }

  get uid(): number {
    return this.#words[IN_HEADER.at.uid / WORD]
  }

  get gid(): number {
    return this.#words[IN_HEADER.at.gid / WORD]
  }

  get pid(): number {
    return this.#words[IN_HEADER.at.pid / WORD]
  }

  /** Halves of `unique` as they must stand in the reply. */
  get uniqueLower(): number {
    return this.#words[IN_HEADER.at.unique / WORD]
  }

  get uniqueUpper(): number {
    return this.#words[IN_HEADER.at.unique / WORD + 1]
  }

  /** Reserves the fixed structure behind the header; names and payload follow it. */
  fixed(bytes: number): boolean {
    this.#next = IN_HEADER.bytes + bytes
    return this.#next <= this.length
  }

  /** A field of the fixed structure, by its offset there. */
  u32(at: number): number {
    return this.#words[(IN_HEADER.bytes + at) / WORD]
  }

  u64(at: number): number {
    const word = (IN_HEADER.bytes + at) / WORD
    return this.#number(this.#words[word], this.#words[word + 1])
  }

  i64(at: number): number {
    const word = (IN_HEADER.bytes + at) / WORD
    const upper = this.#words[word + 1] | 0
    if (upper > SAFE_UPPER_MAX || upper < -SAFE_UPPER_MAX - 1) this.malformed = true
    return upper * TWO_32 + this.#words[word]
  }

  big(at: number): bigint {
    return this.buffer.readBigUInt64LE(IN_HEADER.bytes + at)
  }

  /** Chunk number of a 64-bit offset: never above 2^48. */
  chunk(at: number): number {
    const word = (IN_HEADER.bytes + at) / WORD
    return this.#words[word + 1] * 65_536 + (this.#words[word] >>> 16)
  }

  /** The offset within its chunk. */
  within(at: number): number {
    return this.#words[(IN_HEADER.bytes + at) / WORD] & 0xffff
  }

  /** The next NUL-ended name, as a copy. */
  name(): Buffer {
    const end = this.buffer.indexOf(0, this.#next)
    if (end < 0 || end >= this.length) {
      this.malformed = true
      return Buffer.alloc(0)
    }
    const name = Buffer.from(this.buffer.subarray(this.#next, end))
    this.#next = end + 1
    return name
  }

  /** Where the payload of `bytes` starts. */
  payload(bytes: number): number {
    if (this.#next + bytes > this.length) this.malformed = true
    return this.#next
  }

  #number(lower: number, upper: number): number {
    if (upper > SAFE_UPPER_MAX) this.malformed = true
    return upper * TWO_32 + lower
  }
}
