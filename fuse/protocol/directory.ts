/**
 * Entries of a directory as the kernel reads them, one behind the other:
 *
 *   READDIR      +-------------+------------------+------------+
 *                | fuse_dirent | name (namelen)   | 0 to mod 8 |
 *                +-------------+------------------+------------+
 *   READDIRPLUS  +----------------+-------------+------+------------+
 *                | fuse_entry_out | fuse_dirent | name | 0 to mod 8 |
 *                +----------------+-------------+------+------------+
 *
 * `off` of an entry is where the next one is looked for: the cookie that a later request brings.
 */
import type { DirectorySink } from '../directory-sink.ts'
import type { Entry } from '../results.ts'
import { limits } from '../limits.ts'
import { putEntry, putU32, putU64 } from './encode.ts'
import * as structures from './structures.ts'

const ALIGNMENT = 8
const WORD = 4
/** Bits of a mode that say the type, and their distance from the type of a dirent (DT_*). */
const TYPE_SHIFT = 12

function alignedBytes(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT
}

/** Room for entries in a buffer that someone else sends. */
class Records {
  readonly #buffer: Buffer
  readonly words: Uint32Array
  readonly #start: number
  #end: number
  next: number

  constructor(buffer: Buffer, start: number) {
    this.#buffer = buffer
    this.words = new Uint32Array(buffer.buffer, buffer.byteOffset, Math.floor(buffer.length / WORD))
    this.#start = start
    this.#end = start
    this.next = start
  }

  restart(bytesMax: number): void {
    this.next = this.#start
    this.#end = Math.min(this.#start + bytesMax, this.#buffer.length)
  }

  get bytes(): number {
    return this.next - this.#start
  }

  fits(headBytes: number, name: Uint8Array): boolean {
    if (name.length === 0 || name.length > limits.nameBytesMax) throw new RangeError('bad name length')
    return this.next + alignedBytes(headBytes + name.length) <= this.#end
  }

  /** A dirent at `at`; the record ends, padded, behind it. */
  dirent(at: number, name: Uint8Array, cookie: number, inode: number, mode: number): void {
    const { DIRENT } = structures
    putU64(this.words, at + DIRENT.at.ino, inode)
    putU64(this.words, at + DIRENT.at.off, cookie)
    putU32(this.words, at + DIRENT.at.namelen, name.length)
    putU32(this.words, at + DIRENT.at.type, (mode >>> TYPE_SHIFT) & 0xf)
    const end = at + DIRENT.bytes + name.length
    this.#buffer.set(name, at + DIRENT.bytes)
    this.next = this.#start + alignedBytes(end - this.#start)
    this.#buffer.fill(0, end, this.next)
  }
}

/** Collects the answer to one READDIR. */
export class DirectoryWriter implements DirectorySink {
  readonly #records: Records

  /** Writes into `buffer` from `start`, a multiple of 8, at most what `restart` says. */
  constructor(buffer: Buffer, start = 0) {
    this.#records = new Records(buffer, start)
  }

  restart(bytesMax: number): void {
    this.#records.restart(bytesMax)
  }

  /** Bytes written so far. */
  get bytes(): number {
    return this.#records.bytes
  }

  /** False when there is no room left: the entry was not taken. Of `mode` only the type counts. */
  add(name: Uint8Array, cookie: number, inode: number, mode: number): boolean {
    const records = this.#records
    if (!records.fits(structures.DIRENT.bytes, name)) return false
    records.dirent(records.next, name, cookie, inode, mode)
    return true
  }
}

/** Collects the answer to one READDIRPLUS. Each entry taken is a reference, `.` and `..` are not. */
export class EntryWriter {
  readonly #records: Records
  readonly #validSeconds: number

  constructor(buffer: Buffer, start = 0, validSeconds: number = limits.cacheValidSeconds) {
    this.#records = new Records(buffer, start)
    this.#validSeconds = validSeconds
  }

  restart(bytesMax: number): void {
    this.#records.restart(bytesMax)
  }

  get bytes(): number {
    return this.#records.bytes
  }

  /** False when there is no room left: the entry was not taken. */
  add(name: Uint8Array, cookie: number, entry: Entry): boolean {
    const records = this.#records
    const { DIRENTPLUS } = structures
    if (!records.fits(DIRENTPLUS.bytes, name)) return false
    const { inode, mode } = entry.attributes
    putEntry(records.words, records.next + DIRENTPLUS.at.entry_out, entry, this.#validSeconds)
    records.dirent(records.next + DIRENTPLUS.at.dirent, name, cookie, inode, mode)
    return true
  }
}
