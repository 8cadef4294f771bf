/**
 * Replies to requests that an operation has answered DEFERRED. Any thread of the process may send
 * them: each is one write to the descriptor of the connection.
 *
 * All return true when the kernel took the reply, false when nobody waits for it any more (the
 * asker was killed, the file system unmounted). FUSE_WRITE_FAILED when the kernel refuses it.
 */
import { writeSync, writevSync } from 'node:fs'
import type { Errno } from './errno.ts'
import { FuseError, systemCode } from './errors.ts'
import { limits } from './limits.ts'
import * as encode from './protocol/encode.ts'
import { FOPEN, UNIQUE } from './protocol/flags.ts'
import { totalBytes } from './protocol/reply.ts'
import * as structures from './protocol/structures.ts'
import type { Ticket } from './requests.ts'
import type { AbsentEntry, Attributes, Bytes, Entry, FileSystemStatistics } from './results.ts'

const BODY = structures.OUT_HEADER.bytes
const TWO_32 = 2 ** 32
const BIGGEST_BODY = structures.ENTRY_OUT.bytes + structures.OPEN_OUT.bytes

/** A negative errno, or 0 for an operation that answers nothing but success. */
export function replyError(descriptor: number, ticket: Ticket, errno: Errno): boolean {
  const head = new Uint32Array(BODY / 4)
  putHeader(head, ticket, BODY, errno)
  return send(descriptor, [bytesOf(head, BODY)])
}

/** Success without a value: fsync, unlink, rename, ... */
export function replyDone(descriptor: number, ticket: Ticket): boolean {
  return replyError(descriptor, ticket, 0)
}

/**
 * To read, readlink, readdir and readdirplus (with the bytes of a writer of one's own): at most as
 * many bytes as the request asked for.
 */
export function replyBytes(descriptor: number, ticket: Ticket, bytes: Bytes): boolean {
  const pieces = bytes instanceof Uint8Array ? [bytes] : bytes
  const head = new Uint32Array(BODY / 4)
  putHeader(head, ticket, BODY + totalBytes(bytes), 0)
  return send(descriptor, [bytesOf(head, BODY), ...pieces])
}

export function replyWritten(descriptor: number, ticket: Ticket, writtenBytes: number): boolean {
  return reply(descriptor, ticket, (words) => encode.putWritten(words, BODY, writtenBytes))
}

export function replyEntry(
  descriptor: number,
  ticket: Ticket,
  entry: Entry | AbsentEntry,
  validSeconds: number = limits.cacheValidSeconds,
): boolean {
  return reply(descriptor, ticket, (words) => encode.putEntry(words, BODY, entry, validSeconds))
}

/** To create. */
export function replyCreated(
  descriptor: number,
  ticket: Ticket,
  entry: Entry,
  validSeconds: number = limits.cacheValidSeconds,
): boolean {
  return reply(descriptor, ticket, (words) => {
    const entryBytes = encode.putEntry(words, BODY, entry, validSeconds)
    return entryBytes + encode.putOpened(words, BODY + entryBytes, FOPEN.KEEP_CACHE)
  })
}

/** To getattr and setattr. */
export function replyAttributes(
  descriptor: number,
  ticket: Ticket,
  attributes: Attributes,
  validSeconds: number = limits.cacheValidSeconds,
): boolean {
  return reply(descriptor, ticket, (words) =>
    encode.putAttributesOut(words, BODY, attributes, validSeconds),
  )
}

export function replyStatistics(
  descriptor: number,
  ticket: Ticket,
  statistics: FileSystemStatistics,
): boolean {
  return reply(descriptor, ticket, (words) => encode.putStatistics(words, BODY, statistics))
}

/** To lseek. */
export function replyOffset(descriptor: number, ticket: Ticket, offset: bigint): boolean {
  return reply(descriptor, ticket, (words) => encode.putLseek(words, BODY, offset))
}

function reply(descriptor: number, ticket: Ticket, put: (words: Uint32Array) => number): boolean {
  const words = new Uint32Array((BODY + BIGGEST_BODY) / 4)
  const length = BODY + put(words)
  putHeader(words, ticket, length, 0)
  return send(descriptor, [bytesOf(words, length)])
}

/** The kernel knows a resent request by its number with the mark. */
function putHeader(words: Uint32Array, ticket: Ticket, length: number, errno: Errno): void {
  const { at } = structures.OUT_HEADER
  encode.putU32(words, at.len, length)
  encode.putU32(words, at.error, errno)
  encode.putU32(words, at.unique, ticket.unique)
  const upper = Math.floor(ticket.unique / TWO_32) | (ticket.resent ? UNIQUE.RESENT : 0)
  encode.putU32(words, at.unique + 4, upper)
}

function bytesOf(words: Uint32Array, length: number): Uint8Array {
  return new Uint8Array(words.buffer, words.byteOffset, length)
}

function send(descriptor: number, pieces: readonly Uint8Array[]): boolean {
  try {
    if (pieces.length === 1) writeSync(descriptor, pieces[0])
    else writevSync(descriptor, pieces)
    return true
  } catch (error) {
    const code = systemCode(error)
    if (code === 'ENOENT' || code === 'ENODEV') return false
    throw new FuseError('FUSE_WRITE_FAILED', 'the kernel refused a late reply', { cause: error })
  }
}
