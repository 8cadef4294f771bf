/**
 * Messages to the kernel that answer no request: a header with unique 0 and the notification's
 * code in the place of the error, then its structure, then a name or bytes.
 */
import { putOffset, putU32, putU64 } from './encode.ts'
import type { Layout } from './layout.ts'
import * as structures from './structures.ts'

export const NOTIFY = { INVAL_INODE: 2, INVAL_ENTRY: 3, STORE: 4, RETRIEVE: 5, DELETE: 6, RESEND: 7 } as const

const BODY = structures.OUT_HEADER.bytes
const NUL_BYTES = 1

/** Drops the cached attributes of a node, and its pages from `offset` on (`bytes` 0: to the end). */
export function invalidateInodeMessage(node: number, offset: number, bytes: number): Uint8Array {
  const { INVAL_INODE_OUT } = structures
  const words = message(NOTIFY.INVAL_INODE, INVAL_INODE_OUT, 0)
  putU64(words, BODY + INVAL_INODE_OUT.at.ino, node)
  putU64(words, BODY + INVAL_INODE_OUT.at.off, offset)
  putU64(words, BODY + INVAL_INODE_OUT.at.len, bytes)
  return finish(words, INVAL_INODE_OUT)
}

/** Drops a name from the kernel's cache. */
export function invalidateEntryMessage(parent: number, name: Uint8Array): Uint8Array {
  const { INVAL_ENTRY_OUT } = structures
  const words = message(NOTIFY.INVAL_ENTRY, INVAL_ENTRY_OUT, name.length + NUL_BYTES)
  putU64(words, BODY + INVAL_ENTRY_OUT.at.parent, parent)
  putU32(words, BODY + INVAL_ENTRY_OUT.at.namelen, name.length)
  return finish(words, INVAL_ENTRY_OUT, name)
}

/** Says that a name of `child` is gone: also drops it where it is in use. */
export function deleteMessage(parent: number, child: number, name: Uint8Array): Uint8Array {
  const { DELETE_OUT } = structures
  const words = message(NOTIFY.DELETE, DELETE_OUT, name.length + NUL_BYTES)
  putU64(words, BODY + DELETE_OUT.at.parent, parent)
  putU64(words, BODY + DELETE_OUT.at.child, child)
  putU32(words, BODY + DELETE_OUT.at.namelen, name.length)
  return finish(words, DELETE_OUT, name)
}

/** The head of a STORE; `storedBytes` bytes of contents follow it in the same write. */
export function storeHead(
  node: number,
  chunk: number,
  within: number,
  storedBytes: number,
): Uint8Array {
  const { STORE_OUT } = structures
  const words = message(NOTIFY.STORE, STORE_OUT, storedBytes, 0)
  putU64(words, BODY + STORE_OUT.at.nodeid, node)
  putOffset(words, BODY + STORE_OUT.at.offset, chunk, within)
  putU32(words, BODY + STORE_OUT.at.size, storedBytes)
  return finish(words, STORE_OUT)
}

/** Asks for cached pages of a node, past its end: none of them, but an answer in the queue of requests. */
export function retrieveNothingMessage(node: number): Uint8Array {
  const { RETRIEVE_OUT } = structures
  const words = message(NOTIFY.RETRIEVE, RETRIEVE_OUT, 0)
  putU64(words, BODY + RETRIEVE_OUT.at.nodeid, node)
  putU64(words, BODY + RETRIEVE_OUT.at.offset, Number.MAX_SAFE_INTEGER)
  return finish(words, RETRIEVE_OUT)
}

/** Asks for all requests that have been read and not answered, with their numbers marked. */
export function resendMessage(): Uint8Array {
  return finish(message(NOTIFY.RESEND, structures.NOTHING, 0), structures.NOTHING)
}

/** `tailBytes` count in the length; room is made for `tailRoomBytes` of them. */
function message(
  code: number,
  fixed: Layout<string>,
  tailBytes: number,
  tailRoomBytes: number = tailBytes,
): Uint32Array {
  const { at } = structures.OUT_HEADER
  const words = new Uint32Array(Math.ceil((BODY + fixed.bytes + tailRoomBytes) / 4))
  putU32(words, at.len, BODY + fixed.bytes + tailBytes)
  putU32(words, at.error, code)
  return words
}

function finish(words: Uint32Array, fixed: Layout<string>, name?: Uint8Array): Uint8Array {
  const nameBytes = name === undefined ? 0 : name.length + NUL_BYTES
  const bytes = new Uint8Array(words.buffer, 0, BODY + fixed.bytes + nameBytes)
  if (name !== undefined) bytes.set(name, BODY + fixed.bytes)
  return bytes
}
