/**
 * Cursors over a buffer, shared by every format that is not on a hot path. Integers are little-endian.
 * The reader trusts nothing: each length is compared with its limit and with what is left before a byte is
 * taken, and what does not fit is DAMAGED, never an exception of the language.
 */
import { Buffer } from 'node:buffer'
import { HoldfastError, assert } from '../errors.ts'

export class ByteReader {
  readonly #bytes: Buffer
  readonly #what: string
  #offset = 0

  /** `what` names the format in messages: "pack footer". The bytes are not copied. */
  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#what = what
  }

  get offset(): number {
    return this.#offset
  }

  get left(): number {
    return this.#bytes.length - this.#offset
  }

  u8(): number {
    return this.#bytes.readUInt8(this.#take(1))
  }

  u16(): number {
    return this.#bytes.readUInt16LE(this.#take(2))
  }

  u32(): number {
    return this.#bytes.readUInt32LE(this.#take(4))
  }

  u64(): bigint {
    return this.#bytes.readBigUInt64LE(this.#take(8))
  }

  /** A 64-bit field that this program holds as a number. Errors: DAMAGED above 2^53 - 1. */
  safe64(): number {
    const value = this.u64()
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw this.damaged('holds a number that is too large')
    return Number(value)
  }

  /** A view of the next `length` bytes, not a copy. */
  bytes(length: number): Buffer {
    const start = this.#take(length)
    return this.#bytes.subarray(start, start + length)
  }

  /** A 16-bit length and that many bytes. Errors: DAMAGED above `bytesMax`. */
  bytes16(bytesMax: number): Buffer {
    return this.bytes(this.#checked(this.u16(), bytesMax))
  }

  /** A 32-bit length and that many bytes. Errors: DAMAGED above `bytesMax`. */
  bytes32(bytesMax: number): Buffer {
    return this.bytes(this.#checked(this.u32(), bytesMax))
  }

  /** A 32-bit count of things that each weigh at least `itemBytesMin`. */
  count32(countMax: number, itemBytesMin: number): number {
    const count = this.#checked(this.u32(), countMax)
    if (count * itemBytesMin > this.left) throw this.damaged('is shorter than its count says')
    return count
  }

  /** The bytes must end here: what follows a format's last field is damage too. */
  end(): void {
    if (this.left !== 0) throw this.damaged(`has ${this.left} bytes too many`)
  }

  damaged(why: string): HoldfastError {
    return new HoldfastError('DAMAGED', `${this.#what} ${why}`, { info: { offset: this.#offset } })
  }

  #take(length: number): number {
    if (length > this.left) throw this.damaged('ends too early')
    const start = this.#offset
    this.#offset += length
    return start
  }

  #checked(length: number, lengthMax: number): number {
    if (length > lengthMax) throw this.damaged(`holds the length ${length}, above ${lengthMax}`)
    return length
  }
}

/** Grows as it is written to, up to `bytesMax`; writing past it is a broken promise of the caller. */
export class ByteWriter {
  readonly #bytesMax: number
  #bytes: Buffer
  #length = 0

  constructor(bytesMax: number, bytesFirst = 256) {
    this.#bytesMax = bytesMax
    this.#bytes = Buffer.allocUnsafe(Math.min(bytesMax, bytesFirst))
  }

  get length(): number {
    return this.#length
  }

  u8(value: number): this {
    const at = this.#room(1)
    this.#bytes.writeUInt8(value, at)
    return this
  }

  u16(value: number): this {
    const at = this.#room(2)
    this.#bytes.writeUInt16LE(value, at)
    return this
  }

  u32(value: number): this {
    const at = this.#room(4)
    this.#bytes.writeUInt32LE(value, at)
    return this
  }

  u64(value: number | bigint): this {
    const at = this.#room(8)
    this.#bytes.writeBigUInt64LE(BigInt(value), at)
    return this
  }

  bytes(source: Uint8Array): this {
    const at = this.#room(source.length)
    this.#bytes.set(source, at)
    return this
  }

  bytes16(source: Uint8Array): this {
    return this.u16(source.length).bytes(source)
  }

  bytes32(source: Uint8Array): this {
    return this.u32(source.length).bytes(source)
  }

  zeros(length: number): this {
    const start = this.#room(length)
    this.#bytes.fill(0, start, start + length)
    return this
  }

  /** A view of what was written; valid until the next write. */
  view(): Buffer {
    return this.#bytes.subarray(0, this.#length)
  }

  #room(length: number): number {
    const start = this.#length
    const end = start + length
    assert(end <= this.#bytesMax, `a format wrote ${end} bytes of at most ${this.#bytesMax}`)
    if (end > this.#bytes.length) this.#grow(end)
    this.#length = end
    return start
  }

  #grow(bytesNeeded: number): void {
    const grown = Buffer.allocUnsafe(Math.min(this.#bytesMax, Math.max(bytesNeeded, this.#bytes.length * 2)))
    this.#bytes.copy(grown, 0, 0, this.#length)
    this.#bytes = grown
  }
}
