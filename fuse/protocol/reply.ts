import type { Errno } from '../errno.ts'
import { limits } from '../limits.ts'
import type { AbsentEntry, Attributes, Bytes, Entry, FileSystemStatistics } from '../results.ts'
import { DirectoryWriter, EntryWriter } from './directory.ts'
import * as encode from './encode.ts'
import { FOPEN } from './flags.ts'
import type { Message } from './message.ts'
import { OUT_HEADER } from './structures.ts'

const WORD = 4
const BODY = OUT_HEADER.bytes

/**
 * The reply under construction, in one buffer used for all of them. When `pieces` is not null the
 * bytes behind the header lie there instead and leave in one writev.
 */
export class Reply {
  readonly buffer: Buffer
  /** Room for the body, lent to reads. */
  readonly into: Buffer
  /** Bytes of the buffer to send; 0 for no reply. */
  bytes = 0
  pieces: Uint8Array[] | null = null
  readonly #words: Uint32Array
  readonly #validSeconds: number
  readonly #directory: DirectoryWriter
  readonly #entries: EntryWriter
  #uniqueLower = 0
  #uniqueUpper = 0

  constructor(validSeconds: number) {
    this.buffer = Buffer.from(new ArrayBuffer(BODY + limits.readBytesMax))
    this.into = this.buffer.subarray(BODY)
    this.#words = new Uint32Array(this.buffer.buffer)
    this.#validSeconds = validSeconds
    this.#directory = new DirectoryWriter(this.buffer, BODY)
    this.#entries = new EntryWriter(this.buffer, BODY, validSeconds)
  }

  /** Takes the request's number now: a WRITE may overwrite its own header. No reply so far. */
  begin(message: Message): void {
    this.#uniqueLower = message.uniqueLower
    this.#uniqueUpper = message.uniqueUpper
    this.none()
  }

  none(): void {
    this.bytes = 0
    this.pieces = null
  }

  /** Success with the first `bodyBytes` of the body, or with `pieces` of that many bytes. */
  send(bodyBytes: number, pieces: Uint8Array[] | null = null): void {
    this.#header(BODY + bodyBytes, 0)
    this.bytes = pieces === null ? BODY + bodyBytes : BODY
    this.pieces = pieces
  }

  error(errno: Errno): void {
    this.#header(BODY, errno)
    this.bytes = BODY
    this.pieces = null
  }

  directory(bytesMax: number): DirectoryWriter {
    this.#directory.restart(bytesMax)
    return this.#directory
  }

  entries(bytesMax: number): EntryWriter {
    this.#entries.restart(bytesMax)
    return this.#entries
  }

  /** A field of a structure in the body (INIT). */
  putU32(at: number, value: number): void {
    encode.putU32(this.#words, BODY + at, value)
  }

  entry(entry: Entry | AbsentEntry): void {
    this.send(encode.putEntry(this.#words, BODY, entry, this.#validSeconds))
  }

  created(entry: Entry): void {
    const entryBytes = encode.putEntry(this.#words, BODY, entry, this.#validSeconds)
    const openBytes = encode.putOpened(this.#words, BODY + entryBytes, FOPEN.KEEP_CACHE)
    this.send(entryBytes + openBytes)
  }

  attributes(attributes: Attributes): void {
    this.send(encode.putAttributesOut(this.#words, BODY, attributes, this.#validSeconds))
  }

  opened(flags: number): void {
    this.send(encode.putOpened(this.#words, BODY, flags))
  }

  written(writtenBytes: number): void {
    this.send(encode.putWritten(this.#words, BODY, writtenBytes))
  }

  statistics(statistics: FileSystemStatistics): void {
    this.send(encode.putStatistics(this.#words, BODY, statistics))
  }

  offset(offset: bigint): void {
    this.send(encode.putLseek(this.#words, BODY, offset))
  }

  xattrBytes(valueBytes: number): void {
    this.send(encode.putXattrBytes(this.#words, BODY, valueBytes))
  }

  /** Copies what is small, sends the rest from where it lies; more than `bytesMax` is a defect. */
  bytesOf(bytes: Bytes, bytesMax: number): void {
    const total = totalBytes(bytes)
    if (total > bytesMax) throw new RangeError(`an answer of ${total} bytes to a request of ${bytesMax}`)
    if (total > limits.replyCopyBytesMax) {
      this.send(total, bytes instanceof Uint8Array ? [bytes] : [...bytes])
    } else {
      this.#copy(bytes)
      this.send(total)
    }
  }

  #copy(bytes: Bytes): void {
    if (bytes instanceof Uint8Array) {
      this.into.set(bytes)
      return
    }
    let next = 0
    for (const piece of bytes) {
      this.into.set(piece, next)
      next += piece.length
    }
  }

  #header(length: number, error: number): void {
    this.#words[OUT_HEADER.at.len / WORD] = length
    this.#words[OUT_HEADER.at.error / WORD] = error
    this.#words[OUT_HEADER.at.unique / WORD] = this.#uniqueLower
    this.#words[OUT_HEADER.at.unique / WORD + 1] = this.#uniqueUpper
  }
}

/** Bytes of an answer in one or several pieces. */
export function totalBytes(bytes: Bytes): number {
  if (bytes instanceof Uint8Array) return bytes.length
  let total = 0
  for (const piece of bytes) total += piece.length
  return total
}
