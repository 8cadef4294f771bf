/** The data half of the mount's operations: read, write, size, holes, sync. */
import { DEFERRED, ERRNO, modeWithoutPrivileges } from '../../fuse/index.ts'
import type * as fuse from '../../fuse/index.ts'
import type { Head } from '../image/head.ts'
import { changeAttributes, readAttributes, removeAttribute } from '../image/head-attributes.ts'
import { readData, seekData, truncateData, writeData, zeroData } from '../image/head-data.ts'
import { offsetOf } from '../image/offset.ts'
import type { InodeState } from '../image/inode-state.ts'
import { fileBytesMax } from '../limits.ts'
import type { FromServer } from './messages.ts'
import type { ParkedWrites } from './parked-writes.ts'
import type { ReadRecorder } from './read-recorder.ts'

export interface DataContext {
  head: Head
  parked: ParkedWrites
  recorder: ReadRecorder
  post: (message: FromServer) => void
}

/**
 * The request number in all records of a request but its last: a server that takes over must not believe
 * that a request of which only a part was logged has been carried out. Doing that part again is harmless.
 */
export const partOf = 0n

const capability = Buffer.from('security.capability')
const privileges = 0o6000

export function read(context: DataContext, request: fuse.ReadRequest): number {
  const state = context.head.inode(request.node)
  if (state === null) return -ERRNO.ESTALE
  if (!state.isRegular) return -ERRNO.EISDIR
  context.recorder.note(state, request.chunk, request.within, request.bytesMax)
  return readData(context.head, state, request.chunk, request.within, request.bytesMax, request.into)
}

export function write(
  context: DataContext, who: fuse.RequestContext, request: fuse.WriteRequest,
): number | fuse.Deferred {
  const { head } = context
  const state = head.inode(request.node)
  if (state === null) return -ERRNO.ESTALE
  if (!state.isRegular) return -ERRNO.EISDIR
  if (!state.isMemory && head.mustWait) return park(context, who, request, false)
  if (!state.isMemory && !context.parked.isRetrying && head.holdUpMs > 0) return holdUp(context, who, request)
  const unique = BigInt(who.unique)
  if (!state.isMemory && request.payloadBytes > 0) dropPrivileges(head, state, request.killsPrivileges, partOf)
  const { message, payloadAt, payloadBytes } = request
  const written = writeData(head, state, request, message, payloadAt, payloadBytes, unique)
  const lacksSpace = written === -ERRNO.ENOSPC && state.isMemory
  if (lacksSpace) return park(context, who, request, true)
  return written
}

export function resize(head: Head, state: InodeState, size: bigint, unique: bigint): number {
  if (size > fileBytesMax) return -ERRNO.EFBIG
  if (!state.isRegular) return state.isDirectory ? -ERRNO.EISDIR : -ERRNO.EINVAL
  return truncateData(head, state, offsetOf(size), unique)
}

export function fallocate(head: Head, request: fuse.FallocateRequest, unique: bigint): number {
  const state = head.inode(request.node)
  if (state === null) return -ERRNO.ESTALE
  if (!state.isRegular) return -ERRNO.ENODEV
  const end = request.offset + request.bytes
  if (end > fileBytesMax) return -ERRNO.EFBIG
  if (request.kind === 'allocate') {
    const refused = head.admit(Number(request.bytes < maxProbe ? request.bytes : maxProbe))
    if (refused !== 0) return refused
  } else {
    const isAll = request.keepSize || end <= state.size
    const failed = zeroData(head, state, offsetOf(request.offset), request.bytes, isAll ? unique : partOf)
    if (failed !== 0) return failed
  }
  return request.keepSize || end <= state.size ? 0 : truncateData(head, state, offsetOf(end), unique)
}

export function lseek(head: Head, request: fuse.LseekRequest): bigint | number {
  const state = head.inode(request.node)
  if (state === null) return -ERRNO.ESTALE
  return seekData(head, state, offsetOf(request.offset), request.whence)
}

/** Memory files are ordered, not durable, until their epoch is; all else waits for the lane's sync. */
export function sync(context: DataContext, who: fuse.RequestContext, node: number): fuse.Completion {
  const { head } = context
  if (head.isFailed) return -ERRNO.EIO
  const state = head.inode(node)
  if (state?.isMemory) return 0
  const { unique, resent, opcode } = who
  const at = { segment: head.log.segment, sequence: head.log.lastSequence('disk') }
  context.post({ type: 'sync', ticket: { unique, resent, opcode }, ...at })
  return DEFERRED
}

/** What a write, a truncation or a change of owner takes from a file: its privileges. */
export function dropPrivileges(head: Head, state: InodeState, isAsked: boolean, unique: bigint): void {
  const dropsCapability = hasCapability(head, state)
  if (isAsked && state.isRegular && (state.mode & privileges) !== 0) {
    const change = { mode: modeWithoutPrivileges(state.mode) }
    changeAttributes(head, state, change, dropsCapability ? partOf : unique)
  }
  if (dropsCapability) removeAttribute(head, state, capability, unique)
}

/** Whether `dropPrivileges` has anything to do. */
export function hasPrivileges(head: Head, state: InodeState, isAsked: boolean): boolean {
  return (isAsked && state.isRegular && (state.mode & privileges) !== 0) || hasCapability(head, state)
}

function hasCapability(head: Head, state: InodeState): boolean {
  const mayHave = state.attributesRoot !== null || state.attributeBlock !== null
  return mayHave && readAttributes(head, state).has(capability.toString('latin1'))
}

function park(
  context: DataContext, who: fuse.RequestContext, request: fuse.WriteRequest, memory: boolean,
): fuse.Deferred {
  if (context.parked.isNews(memory ? 'space' : 'commits')) context.post({ type: 'parked', memory })
  return context.parked.park(who, request)
}

/** The write is tried again when the owning thread says so, which it does after the time that it is told here. */
function holdUp(context: DataContext, who: fuse.RequestContext, request: fuse.WriteRequest): fuse.Deferred {
  if (context.parked.isNews('heldUp')) context.post({ type: 'heldUp', ms: context.head.holdUpMs })
  return context.parked.park(who, request)
}

/** An allocation is not a reservation: it is only refused when even a part of it would not fit. */
const maxProbe = 1n << 30n
