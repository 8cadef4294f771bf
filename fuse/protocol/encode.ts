/**
 * Structures of replies, written into 32-bit words at a byte offset that is a multiple of 8 (the
 * kernel's alignment of every record). Each function returns the bytes it wrote, zeros where the
 * layout has padding. A value that the wire cannot hold is a defect of the file system and throws.
 */
import type { AbsentEntry, Attributes, Entry, FileSystemStatistics } from '../results.ts'
import { limits } from '../limits.ts'
import * as structures from './structures.ts'

const WORD = 4
const TWO_32 = 2 ** 32

export function putU32(words: Uint32Array, at: number, value: number): void {
  words[at / WORD] = value
}

/** A safe integer, in two's complement when negative. */
export function putU64(words: Uint32Array, at: number, value: number): void {
  if (!Number.isSafeInteger(value)) throw new RangeError(`${value} is no safe integer`)
  words[at / WORD] = value
  words[at / WORD + 1] = Math.floor(value / TWO_32)
}

/** An offset in its two parts. */
export function putOffset(words: Uint32Array, at: number, chunk: number, within: number): void {
  words[at / WORD] = (chunk % limits.chunkBytes) * limits.chunkBytes + within
  words[at / WORD + 1] = Math.floor(chunk / limits.chunkBytes)
}

export function putBig(words: Uint32Array, at: number, value: bigint): void {
  words[at / WORD] = Number(value & 0xffff_ffffn)
  words[at / WORD + 1] = Number((value >> 32n) & 0xffff_ffffn)
}

export function putAttributes(words: Uint32Array, start: number, attributes: Attributes): number {
  const { at, bytes } = structures.ATTR
  putU64(words, start + at.ino, attributes.inode)
  putOffset(words, start + at.size, attributes.sizeChunk, attributes.sizeWithin)
  putU64(words, start + at.blocks, attributes.blockCount)
  putU64(words, start + at.atime, attributes.accessed.seconds)
  putU64(words, start + at.mtime, attributes.modified.seconds)
  putU64(words, start + at.ctime, attributes.changed.seconds)
  putU32(words, start + at.atimensec, attributes.accessed.nanoseconds)
  putU32(words, start + at.mtimensec, attributes.modified.nanoseconds)
  putU32(words, start + at.ctimensec, attributes.changed.nanoseconds)
  putU32(words, start + at.mode, attributes.mode)
  putU32(words, start + at.nlink, attributes.linkCount)
  putU32(words, start + at.uid, attributes.uid)
  putU32(words, start + at.gid, attributes.gid)
  putU32(words, start + at.rdev, attributes.deviceNumber)
  putU32(words, start + at.blksize, attributes.ioBytes)
  putU32(words, start + at.flags, 0)
  return bytes
}

/** `validSeconds` holds for attributes, and for the name unless the entry says its own. */
export function putEntry(
  words: Uint32Array,
  start: number,
  entry: Entry | AbsentEntry,
  validSeconds: number,
): number {
  const { at, bytes } = structures.ENTRY_OUT
  words.fill(0, start / WORD, (start + bytes) / WORD)
  putU64(words, start + at.nodeid, entry.node)
  const nameSeconds = entry.validSeconds ?? validSeconds
  putDuration(words, start + at.entry_valid, start + at.entry_valid_nsec, nameSeconds)
  if (!('attributes' in entry)) return bytes
  putU64(words, start + at.generation, entry.generation ?? 0)
  putDuration(words, start + at.attr_valid, start + at.attr_valid_nsec, validSeconds)
  putAttributes(words, start + at.attr, entry.attributes)
  return bytes
}

export function putAttributesOut(
  words: Uint32Array,
  start: number,
  attributes: Attributes,
  validSeconds: number,
): number {
  const { at, bytes } = structures.ATTR_OUT
  putDuration(words, start + at.attr_valid, start + at.attr_valid_nsec, validSeconds)
  putU32(words, start + at.dummy, 0)
  putAttributes(words, start + at.attr, attributes)
  return bytes
}

export function putOpened(words: Uint32Array, start: number, flags: number): number {
  const { at, bytes } = structures.OPEN_OUT
  putU64(words, start + at.fh, 0)
  putU32(words, start + at.open_flags, flags)
  putU32(words, start + at.padding, 0)
  return bytes
}

export function putWritten(words: Uint32Array, start: number, writtenBytes: number): number {
  const { at, bytes } = structures.WRITE_OUT
  putU32(words, start + at.size, writtenBytes)
  putU32(words, start + at.padding, 0)
  return bytes
}

export function putXattrBytes(words: Uint32Array, start: number, valueBytes: number): number {
  const { at, bytes } = structures.GETXATTR_OUT
  putU32(words, start + at.size, valueBytes)
  putU32(words, start + at.padding, 0)
  return bytes
}

export function putLseek(words: Uint32Array, start: number, offset: bigint): number {
  putBig(words, start + structures.LSEEK_OUT.at.offset, offset)
  return structures.LSEEK_OUT.bytes
}

export function putStatistics(
  words: Uint32Array,
  start: number,
  statistics: FileSystemStatistics,
): number {
  const { at, bytes } = structures.STATFS_OUT
  words.fill(0, start / WORD, (start + bytes) / WORD)
  putU64(words, start + at.blocks, statistics.blockCount)
  putU64(words, start + at.bfree, statistics.freeBlockCount)
  putU64(words, start + at.bavail, statistics.availableBlockCount)
  putU64(words, start + at.files, statistics.inodeCount)
  putU64(words, start + at.ffree, statistics.freeInodeCount)
  putU32(words, start + at.bsize, statistics.blockBytes)
  putU32(words, start + at.namelen, statistics.nameBytesMax)
  putU32(words, start + at.frsize, statistics.blockBytes)
  return bytes
}

function putDuration(words: Uint32Array, at: number, nanosecondsAt: number, seconds: number): void {
  const whole = Math.floor(seconds)
  putU64(words, at, whole)
  putU32(words, nanosecondsAt, Math.floor((seconds - whole) * 1e9))
}
