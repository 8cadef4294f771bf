/**
 * Notifications to the kernel, from a thread that serves no requests: the kernel takes its own
 * page and directory locks meanwhile, and a holder of one may be waiting for the serving thread.
 *
 * All return true when the kernel did it, false when it does not know the node or name (nothing
 * is cached then), or when the file system has been unmounted or its connection ended by force.
 * FUSE_WRITE_FAILED otherwise.
 */
import { writeSync, writevSync } from 'node:fs'
import { FuseError, systemCode } from './errors.ts'
import { limits } from './limits.ts'
import * as notification from './protocol/notification.ts'
import { totalBytes } from './protocol/reply.ts'

/**
 * Puts contents into the page cache of a node that the kernel knows (it was looked up), so that a
 * reader finds them there without asking. Whole pages, or up to the end of the file: the kernel
 * remembers nothing of a part of a page, and a store past the end makes the file longer. At most
 * 1 MiB in at most 1,023 pieces. Pages that are there already, dirty ones too, are overwritten:
 * never into a file that is in use.
 */
export function storeSync(
  descriptor: number,
  node: number,
  chunk: number,
  within: number,
  pieces: readonly Uint8Array[],
): boolean {
  const storedBytes = totalBytes(pieces)
  if (storedBytes > limits.storeBytesMax || pieces.length >= limits.piecesMax) {
    throw new FuseError(
      'FUSE_BAD_OPTION',
      `a store of ${storedBytes} bytes in ${pieces.length} pieces is more than one notification takes`,
    )
  }
  if (storedBytes === 0) return true
  return send(descriptor, [notification.storeHead(node, chunk, within, storedBytes), ...pieces])
}

/** Drops cached attributes, and pages from `offset` on: `bytes` of them, or with 0 all. */
export function invalidateInode(descriptor: number, node: number, offset = 0, bytes = 0): boolean {
  return send(descriptor, [notification.invalidateInodeMessage(node, offset, bytes)])
}

/** Forgets what the kernel believes about a name. */
export function invalidateEntry(descriptor: number, parent: number, name: Uint8Array): boolean {
  return send(descriptor, [notification.invalidateEntryMessage(parent, name)])
}

/** Tells that the name of `child` has gone. */
export function deleteEntry(
  descriptor: number,
  parent: number,
  child: number,
  name: Uint8Array,
): boolean {
  return send(descriptor, [notification.deleteMessage(parent, child, name)])
}

/**
 * Makes the kernel send again, marked, all requests that were read and not answered. For a server
 * that takes over a descriptor, before its session runs, and only after the process that served
 * before is gone: two answers to one request confuse neither, but it would carry both out.
 */
export function resend(descriptor: number): boolean {
  return send(descriptor, [notification.resendMessage()])
}

/**
 * Makes the kernel put a NOTIFY_REPLY, which carries nothing, into the queue of requests: its answer to a
 * question for cached pages of a regular file that it knows. Nobody waits for it.
 */
export function askForNothing(descriptor: number, node: number): boolean {
  return send(descriptor, [notification.retrieveNothingMessage(node)])
}

/** ENOTCONN: nobody has let go of the file system yet (a file is open), but its connection was ended by force. */
const gone: ReadonlySet<string | undefined> = new Set(['ENOENT', 'ENODEV', 'ENOTCONN'])

function send(descriptor: number, pieces: readonly Uint8Array[]): boolean {
  try {
    if (pieces.length === 1) writeSync(descriptor, pieces[0])
    else writevSync(descriptor, pieces)
    return true
  } catch (error) {
    const code = systemCode(error)
    if (gone.has(code)) return false
    throw new FuseError('FUSE_WRITE_FAILED', `the kernel refused a notification (${code})`, { cause: error })
  }
}
