/**
 * What the operations of `operations.ts` are asked.
 *
 * - A nodeid, an inode number and a readdir cookie are safe integers.
 * - A name is bytes without a NUL and without a slash, not always UTF-8; the Buffer is a copy and
 *   belongs to the receiver.
 * - An offset in a file is `chunk * 65536 + within` where a number would be too small and BigInt
 *   too slow (READ, WRITE, sizes), and a bigint where it is rare.
 */
import type { DirectorySink } from './directory-sink.ts'
import type { EntryWriter } from './protocol/directory.ts'
import type { Timestamp } from './results.ts'

/** Names a request so that another thread can answer it later; may be posted to that thread. */
export interface Ticket {
  /** The kernel's number of the request, without the mark of a resent one. */
  readonly unique: number
  /**
   * The kernel sent this request before, to a server that did not answer (FUSE_NOTIFY_RESEND). It
   * may have been carried out. The kernel marks it with the top bit of its number, and wants that
   * bit back in the reply.
   */
  readonly resent: boolean
  readonly opcode: number
}

/** Who asks. With `default_permissions` the kernel has already checked the permission. */
export interface RequestContext extends Ticket {
  readonly uid: number
  readonly gid: number
  /** 0 where the asker is not in our pid namespace, or is the kernel itself. */
  readonly pid: number
}

export interface NodeRequest {
  readonly node: number
}

export interface NameRequest {
  readonly parent: number
  readonly name: Buffer
}

/** The kernel drops `count` of the references that entry replies gave it. */
export interface ForgetRequest {
  readonly node: number
  readonly count: number
}

export interface BatchForgetRequest {
  readonly forgets: readonly ForgetRequest[]
}

/** Absent fields stay as they are. */
export interface SetattrRequest {
  readonly node: number
  readonly mode?: number
  readonly uid?: number
  readonly gid?: number
  readonly size?: bigint
  readonly accessed?: Timestamp | 'now'
  readonly modified?: Timestamp | 'now'
  readonly changed?: Timestamp
  /** See `FileOperations.setattr`. */
  readonly killsPrivileges: boolean
}

export interface SymlinkRequest extends NameRequest {
  readonly target: Buffer
}

export interface MakeRequest extends NameRequest {
  /** Type and permissions; the asker's umask is already applied. */
  readonly mode: number
}

export interface MknodRequest extends MakeRequest {
  readonly deviceNumber: number
}

/** The directory says only in which file system, and what is inherited. */
export interface TmpfileRequest {
  readonly parent: number
  readonly mode: number
  /** It is never to be linked. */
  readonly exclusive: boolean
  readonly openFlags: number
}

export interface CreateRequest extends MakeRequest {
  readonly exclusive: boolean
  readonly openFlags: number
}

export interface RenameRequest extends NameRequest {
  readonly newParent: number
  readonly newName: Buffer
  readonly noReplace: boolean
  readonly exchange: boolean
}

export interface LinkRequest extends NameRequest {
  /** The inode that gets the name. */
  readonly node: number
}

export interface OpenRequest {
  readonly node: number
  readonly openFlags: number
}

export interface ReadRequest {
  readonly node: number
  readonly chunk: number
  readonly within: number
  /** At most so many bytes; fewer mean the end of the file. */
  readonly bytesMax: number
  /** Room for an answer without a copy, valid only until the method returns. */
  readonly into: Buffer
}

export interface WriteRequest {
  readonly node: number
  readonly chunk: number
  readonly within: number
  /** The payload is `message.subarray(payloadAt, payloadAt + payloadBytes)`. */
  readonly payloadBytes: number
  readonly payloadAt: number
  /**
   * The whole message, valid only until the method returns. The method may overwrite the
   * `payloadAt` bytes before the payload (at least 80), so that a header of its own and the
   * payload leave in one write.
   */
  readonly message: Buffer
  /** From the page cache (writeback of a mapping), so not from the process in the context. */
  readonly fromCache: boolean
  /** See `FileOperations.write`. */
  readonly killsPrivileges: boolean
}

export interface FsyncRequest {
  readonly node: number
  readonly dataOnly: boolean
}

export interface ReaddirRequest {
  readonly node: number
  /** 0 for the start, else the cookie of the last entry that the kernel has. */
  readonly cookie: number
  readonly into: DirectorySink
}

export interface ReaddirplusRequest {
  readonly node: number
  readonly cookie: number
  readonly into: EntryWriter
}

export interface SetxattrRequest {
  readonly node: number
  readonly name: Buffer
  readonly value: Buffer
  readonly createOnly: boolean
  readonly replaceOnly: boolean
}

export interface XattrRequest {
  readonly node: number
  readonly name: Buffer
}

export interface FallocateRequest {
  readonly node: number
  readonly kind: 'allocate' | 'punch' | 'zero'
  readonly keepSize: boolean
  readonly offset: bigint
  readonly bytes: bigint
}

export interface LseekRequest {
  readonly node: number
  readonly whence: 'data' | 'hole'
  readonly offset: bigint
}

export interface AccessRequest {
  readonly node: number
  readonly mask: number
}

export interface InterruptRequest {
  /** `unique` of the request whose asker was interrupted. */
  readonly target: number
}

export interface CopyFileRangeRequest {
  readonly node: number
  readonly offset: bigint
  readonly newNode: number
  readonly newOffset: bigint
  readonly bytes: bigint
}
