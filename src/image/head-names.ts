/**
 * Namespace operations on the head. The kernel has already checked permissions (default_permissions), that
 * names are names, and that a directory is not moved into itself; what it cannot know is checked here.
 * Every function returns what it made or found, or a negative errno, and then nothing happened.
 */
import { Buffer } from 'node:buffer'
import { constants } from 'node:os'
import { linkCountMax, nameBytesMax, symlinkBytesMax } from '../limits.ts'
import type { Head } from './head.ts'
import type { InodeState } from './inode-state.ts'
import { isEmptyDirectory, lookupName } from './listing.ts'
import { entryType, inherited } from './modes.ts'
import type { NamedInode } from './names.ts'
import { Transaction } from './transaction.ts'

const { EEXIST, EISDIR, EMLINK, ENAMETOOLONG, ENOENT, ENOTDIR, ENOTEMPTY, EPERM } = constants.errno

export interface NewInode {
  /** Type and permissions. */
  mode: number
  uid: number
  gid: number
  deviceNumber?: number
  target?: Buffer
  isMemory?: boolean
}

export function lookup(head: Head, parent: InodeState, name: Buffer): InodeState | number {
  if (!parent.isDirectory) return -ENOTDIR
  if (name.length > nameBytesMax) return -ENAMETOOLONG
  const found = lookupName(head, parent, name)
  return found === null ? -ENOENT : head.inode(found.inode) ?? -ENOENT
}

/** Makes a file, directory, link, device, pipe or socket. */
export function make(
  head: Head, parent: InodeState, name: Buffer, request: NewInode, unique: bigint,
): InodeState | number {
  const refused = refuseNewName(head, parent, name)
  if (refused !== 0) return refused
  if ((request.target?.length ?? 0) > symlinkBytesMax) return -ENAMETOOLONG
  const { mode, gid } = inherited(parent, request.mode, request.gid)
  const state = head.newInode({
    mode, gid, uid: request.uid, deviceNumber: request.deviceNumber ?? 0, isMemory: request.isMemory ?? false,
    target: request.target ?? Buffer.alloc(0), size: BigInt(request.target?.length ?? 0),
  })
  if (state.isDirectory) state.linkCount = 2
  const transaction = new Transaction()
  transaction.touch(state)
  if (state.isDirectory) transaction.touch(parent).linkCount += 1
  enter(head, transaction, parent, name, state)
  const failed = head.apply(transaction, unique)
  if (failed !== 0) head.discard(state)
  return failed === 0 ? state : failed
}

export interface NewUnnamed extends Pick<NewInode, 'mode' | 'uid' | 'gid'> {
  isLinkable: boolean
}

/** Makes a file that is in no directory: it goes with its last reference, unless it may be linked and is before. */
export function makeUnnamed(
  head: Head, parent: InodeState, request: NewUnnamed, unique: bigint,
): InodeState | number {
  if (!parent.isDirectory) return -ENOTDIR
  const { mode, gid } = inherited(parent, request.mode, request.gid)
  const state = head.newInode({ mode, gid, uid: request.uid, linkCount: 0, isLinkable: request.isLinkable })
  const transaction = new Transaction()
  transaction.touch(state)
  const failed = head.apply(transaction, unique)
  if (failed !== 0) head.discard(state)
  return failed === 0 ? state : failed
}

/** A file without a name may be linked only when it never had one: what was unlinked is on its way out. */
export function link(
  head: Head, state: InodeState, parent: InodeState, name: Buffer, unique: bigint,
): InodeState | number {
  if (state.isDirectory) return -EPERM
  if (state.linkCount === 0 && !state.isLinkable) return -ENOENT
  if (state.linkCount >= linkCountMax) return -EMLINK
  const refused = refuseNewName(head, parent, name)
  if (refused !== 0) return refused
  const transaction = new Transaction()
  transaction.touch(state).linkCount += 1
  state.isLinkable = false
  state.changedNs = head.nowNs()
  enter(head, transaction, parent, name, state)
  const failed = head.apply(transaction, unique)
  return failed === 0 ? state : failed
}

/** Removes a name: of a directory (rmdir) or of anything else (unlink). */
export function remove(
  head: Head, parent: InodeState, name: Buffer, wants: 'directory' | 'other', unique: bigint,
): number {
  const state = lookup(head, parent, name)
  if (typeof state === 'number') return state
  if (wants === 'directory' && !state.isDirectory) return -ENOTDIR
  if (wants === 'other' && state.isDirectory) return -EISDIR
  if (state.isDirectory && !isEmptyDirectory(head, state)) return -ENOTEMPTY
  const transaction = new Transaction({ isRelease: true })
  leave(head, transaction, parent, name)
  unname(head, transaction, parent, state)
  return head.apply(transaction, unique)
}

export interface RenameRequest {
  parent: InodeState
  name: Buffer
  newParent: InodeState
  newName: Buffer
  noReplace: boolean
  exchange: boolean
}

export function rename(head: Head, request: RenameRequest, unique: bigint): number {
  const { parent, name, newParent, newName } = request
  const source = lookup(head, parent, name)
  if (typeof source === 'number') return source
  const target = lookup(head, newParent, newName)
  if (typeof target === 'number' && target !== -ENOENT) return target
  if (request.exchange) {
    return typeof target === 'number' ? target : head.apply(exchange(head, request, source, target), unique)
  }
  if (typeof target === 'number') return head.apply(move(head, request, source), unique)
  if (request.noReplace) return -EEXIST
  if (source === target) return 0
  const refused = refuseReplacing(head, source, target)
  if (refused !== 0) return refused
  const transaction = new Transaction()
  unname(head, transaction, newParent, target)
  return head.apply(move(head, request, source, transaction), unique)
}

/** A transaction that lets go of an inode which has neither name nor reference. */
export function removal(state: InodeState): Transaction {
  const transaction = new Transaction({ isRelease: true })
  transaction.remove(state)
  return transaction
}

function refuseNewName(head: Head, parent: InodeState, name: Buffer): number {
  if (!parent.isDirectory) return -ENOTDIR
  if (name.length > nameBytesMax) return -ENAMETOOLONG
  if (parent.linkCount === 0) return -ENOENT
  return lookupName(head, parent, name) === null ? 0 : -EEXIST
}

function refuseReplacing(head: Head, source: InodeState, target: InodeState): number {
  if (target.isDirectory) {
    if (!source.isDirectory) return -EISDIR
    return isEmptyDirectory(head, target) ? 0 : -ENOTEMPTY
  }
  return source.isDirectory ? -ENOTDIR : 0
}

function move(head: Head, request: RenameRequest, source: InodeState, transaction = new Transaction()): Transaction {
  const { parent, name, newParent, newName } = request
  transaction.touch(source).changedNs = head.nowNs()
  leave(head, transaction, parent, name)
  enter(head, transaction, newParent, newName, source)
  if (source.isDirectory) moveDirectory(transaction, parent, newParent)
  return transaction
}

function exchange(head: Head, request: RenameRequest, source: InodeState, target: InodeState): Transaction {
  const { parent, name, newParent, newName } = request
  const transaction = new Transaction()
  for (const state of [source, target]) transaction.touch(state).changedNs = head.nowNs()
  enter(head, transaction, parent, name, target)
  enter(head, transaction, newParent, newName, source)
  if (source.isDirectory) moveDirectory(transaction, parent, newParent)
  if (target.isDirectory) moveDirectory(transaction, newParent, parent)
  return transaction
}

/** `..` of a moved directory counts as a link of its parent. */
function moveDirectory(transaction: Transaction, from: InodeState, to: InodeState): void {
  transaction.touch(from).linkCount -= 1
  transaction.touch(to).linkCount += 1
}

function enter(head: Head, transaction: Transaction, parent: InodeState, name: Buffer, state: InodeState): void {
  const entry: NamedInode = { inode: state.number, type: entryType(state.mode) }
  transaction.setName(parent, name, entry)
  stamp(head, transaction, parent)
}

function leave(head: Head, transaction: Transaction, parent: InodeState, name: Buffer): void {
  transaction.setName(parent, name, null)
  stamp(head, transaction, parent)
}

function stamp(head: Head, transaction: Transaction, parent: InodeState): void {
  transaction.touch(parent).modifiedNs = head.nowNs()
  parent.changedNs = parent.modifiedNs
}

/** One name less; without names and references the inode is gone at once. */
function unname(head: Head, transaction: Transaction, parent: InodeState, state: InodeState): void {
  transaction.touch(state).changedNs = head.nowNs()
  state.linkCount = state.isDirectory ? 0 : state.linkCount - 1
  if (state.isDirectory) transaction.touch(parent).linkCount -= 1
  if (state.linkCount === 0 && !head.isReferenced(state)) transaction.remove(state)
}
