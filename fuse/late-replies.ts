import type { Errno } from './errno.ts'
import type { Ticket } from './requests.ts'
import type { Bytes } from './results.ts'

/**
 * The late side of a connection: how whoever has kept the ticket of a request that was answered
 * DEFERRED answers it, exactly once. Each transport has its own.
 *
 * Threads. Those of the kernel transport are usable in every thread of the process that has the
 * descriptor; those of the native transport only in the thread that serves.
 *
 * All return true when the reply was taken, false when nobody waits for it any more (the asker was
 * killed, the file system unmounted). FUSE_WRITE_FAILED when the kernel refuses it.
 */
export interface LateReplies {
  /** A negative errno. */
  failed(ticket: Ticket, errno: Errno): boolean
  /** Success without a value: fsync, unlink, rename, ... */
  done(ticket: Ticket): boolean
  written(ticket: Ticket, writtenBytes: number): boolean
  /** To read: at most as many bytes as the request asked for. */
  bytes(ticket: Ticket, bytes: Bytes): boolean
}
