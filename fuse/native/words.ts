/**
 * Attributes and statistics as the binding takes them: 32-bit words, two for what is longer, the
 * lower first, times in milliseconds since 1970.
 *
 *   stat     mode uid gid size:2 dev nlink ino rdev blksize blocks:2 atime:2 mtime:2 ctime:2
 *   statvfs  bsize frsize blocks bfree bavail files ffree favail fsid flag namemax
 */
import type { Attributes, FileSystemStatistics, Timestamp } from '../results.ts'

export const STAT_WORDS = 18
export const STATVFS_WORDS = 11

const WORD_MAX = 0xffff_ffff
const WORD_COUNT = WORD_MAX + 1
const CHUNKS_IN_WORD = 65_536

/** True when the binding's 32 bits can hold the inode number, by which links are known as the same. */
export function isShowable({ inode }: Attributes): boolean {
  return inode <= WORD_MAX
}

export function statWords(attributes: Attributes): Uint32Array {
  const { sizeChunk, sizeWithin } = attributes
  const words = new Uint32Array(STAT_WORDS)
  words[0] = attributes.mode
  words[1] = attributes.uid
  words[2] = attributes.gid
  words[3] = (sizeChunk % CHUNKS_IN_WORD) * CHUNKS_IN_WORD + sizeWithin
  words[4] = Math.floor(sizeChunk / CHUNKS_IN_WORD)
  words[6] = attributes.linkCount
  words[7] = attributes.inode
  words[8] = attributes.deviceNumber
  words[9] = attributes.ioBytes
  putLong(words, 10, attributes.blockCount)
  putLong(words, 12, milliseconds(attributes.accessed))
  putLong(words, 14, milliseconds(attributes.modified))
  putLong(words, 16, milliseconds(attributes.changed))
  return words
}

/** What a directory's entry shows: type and inode number. */
export function entryWords(mode: number, inode: number): Uint32Array {
  const words = new Uint32Array(STAT_WORDS)
  words[0] = mode
  words[7] = inode <= WORD_MAX ? inode : 0
  return words
}

/** Counts of blocks above 32 bits are told in larger blocks. */
export function statvfsWords(statistics: FileSystemStatistics): Uint32Array {
  let scale = 1
  while (statistics.blockCount / scale > WORD_MAX) scale *= 2
  const blocks = (count: number): number => Math.floor(count / scale)
  const bytes = statistics.blockBytes * scale
  const files = Math.min(statistics.inodeCount, WORD_MAX)
  const freeFiles = Math.min(statistics.freeInodeCount, WORD_MAX)
  return Uint32Array.of(
    bytes,
    bytes,
    blocks(statistics.blockCount),
    blocks(statistics.freeBlockCount),
    blocks(statistics.availableBlockCount),
    files,
    freeFiles,
    freeFiles,
    0,
    0,
    statistics.nameBytesMax,
  )
}

/** The binding has no sign: what lies before 1970 shows as 1970. */
function milliseconds({ seconds, nanoseconds }: Timestamp): number {
  return Math.max(0, seconds * 1000 + Math.floor(nanoseconds / 1_000_000))
}

function putLong(words: Uint32Array, at: number, value: number): void {
  words[at] = value % WORD_COUNT
  words[at + 1] = Math.floor(value / WORD_COUNT)
}
