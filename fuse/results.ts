/** What the operations of `operations.ts` answer when they succeed. */
import type { Errno } from './errno.ts'

/** "Another thread will answer": the operation has kept the ticket of the request. */
export const DEFERRED: unique symbol = Symbol('deferred')
export type Deferred = typeof DEFERRED

/** A result, a negative errno, or later. */
export type Outcome<Value> = Value | Errno | Deferred

/** 0 for done, a negative errno, or later. */
export type Completion = Errno | Deferred

/** Since 1970; negative before. Nanoseconds from 0 to 999,999,999. */
export interface Timestamp {
  readonly seconds: number
  readonly nanoseconds: number
}

export interface Attributes {
  readonly inode: number
  /** The size is `sizeChunk * 65536 + sizeWithin` bytes. */
  readonly sizeChunk: number
  readonly sizeWithin: number
  /** Of 512 bytes, as in st_blocks. */
  readonly blockCount: number
  readonly accessed: Timestamp
  readonly modified: Timestamp
  readonly changed: Timestamp
  /** Type and permissions. */
  readonly mode: number
  readonly linkCount: number
  readonly uid: number
  readonly gid: number
  readonly deviceNumber: number
  /** Preferred size of I/O (st_blksize). */
  readonly ioBytes: number
}

/** Each one given to the kernel is a reference, dropped by `forget`. */
export interface Entry {
  readonly node: number
  readonly attributes: Attributes
  /** 0 when absent. Never needed when nodeids are never used again. */
  readonly generation?: number
  /** How long the kernel may believe the name; the session's default when absent. */
  readonly validSeconds?: number
}

/** "There is no such name, and you may remember that": no reference is given. */
export interface AbsentEntry {
  readonly node: 0
  readonly validSeconds?: number
}

/** FOPEN flags. There are no handles: opens are stateless. */
export interface Opened {
  readonly flags: number
}

export interface FileSystemStatistics {
  readonly blockBytes: number
  readonly blockCount: number
  readonly freeBlockCount: number
  readonly availableBlockCount: number
  readonly inodeCount: number
  readonly freeInodeCount: number
  readonly nameBytesMax: number
}

/** Bytes of an answer, whole or in pieces, sent without being joined. */
export type Bytes = Uint8Array | readonly Uint8Array[]
