/**
 * Data operations on the head: read, write, truncate, zero, seek. Offsets are as `offset.ts` has them.
 */
import { Buffer } from 'node:buffer'
import { constants } from 'node:os'
import { HoldfastError } from '../errors.ts'
import { recordType, logRecordHeaderBytes } from '../format/log.ts'
import { chunkBytes } from '../limits.ts'
import type { Head } from './head.ts'
import type { InodeState } from './inode-state.ts'
import { type Offset, bytesOf, offsetOf } from './offset.ts'
import { get, nextGap, nextKey } from './tree/get.ts'

const { ENXIO } = constants.errno

/** Reads up to `bytesMax` into `into`; returns the bytes, fewer only at the end. Throws DAMAGED, IO. */
export function readData(
  head: Head, state: InodeState, chunk: number, within: number, bytesMax: number, into: Buffer,
): number {
  const bytes = Math.min(bytesMax, Math.max(0, bytesLeft(state, chunk, within)))
  const reading = new LogRun(head, state)
  let done = 0
  while (done < bytes) {
    const take = Math.min(chunkBytes - within, bytes - done)
    readWithinChunk(head, state, reading, chunk, within, into.subarray(done, done + take))
    done += take
    chunk += 1
    within = 0
  }
  reading.flush()
  return bytes
}

/**
 * Writes the payload of `message`, whose bytes before it may be overwritten (log-writer.ts). Returns the
 * bytes taken, all of them, or a negative errno.
 */
export function writeData(
  head: Head, state: InodeState, at: Offset, message: Buffer, payloadAt: number, bytes: number, unique: bigint,
): number {
  const refused = head.admit(bytes)
  if (refused !== 0) return refused
  const timeNs = head.nowNs()
  const place = { inode: state.number, chunk: at.chunk, within: at.within, timeNs }
  const position = head.append(state.lane, recordType.write, place, unique, message, payloadAt, bytes)
  if (position < 0) return position
  state.extents.write(at.chunk, at.within, bytes, head.log.segment, position)
  const end = at.within + bytes
  state.growTo(at.chunk + Math.floor(end / chunkBytes), end % chunkBytes)
  state.modifiedNs = timeNs
  state.changedNs = timeNs
  head.afterWrite(state, bytes)
  return bytes
}

/** Sets the size; what lay beyond reads as zeros if the file grows again. 0 or a negative errno. */
export function truncateData(head: Head, state: InodeState, size: Offset, unique: bigint): number {
  const shrinks = size.chunk < state.sizeChunk || (size.chunk === state.sizeChunk && size.within < state.sizeWithin)
  const failed = note(head, state, recordType.truncate, size, unique, Buffer.alloc(0))
  if (failed !== 0) return failed
  if (shrinks) state.extents.cut(size.chunk, size.within, head.log.segment)
  state.sizeChunk = size.chunk
  state.sizeWithin = size.within
  head.afterWrite(state, 0)
  return 0
}

/** The range reads as zeros; the size stays. 0 or a negative errno. */
export function zeroData(head: Head, state: InodeState, from: Offset, bytes: bigint, unique: bigint): number {
  const end = bytesOf(from) + bytes
  const limit = end < state.size ? end : state.size
  const length = limit - bytesOf(from)
  if (length <= 0n) return 0
  const payload = Buffer.alloc(8)
  payload.writeBigUInt64LE(length)
  const failed = note(head, state, recordType.zero, from, unique, payload)
  if (failed !== 0) return failed
  const to = offsetOf(limit)
  state.extents.zero(from.chunk, from.within, to.chunk, to.within, head.log.segment)
  head.afterWrite(state, 0)
  return 0
}

/** The next offset at or after `from` with data, or in a hole (the end is one). -ENXIO past the end. */
export function seekData(head: Head, state: InodeState, from: Offset, whence: 'data' | 'hole'): bigint | number {
  if (bytesLeft(state, from.chunk, from.within) <= 0) return -ENXIO
  const found = whence === 'data' ? nextDataChunk(head, state, from.chunk) : nextHoleChunk(head, state, from.chunk)
  if (found === from.chunk) return bytesOf(from)
  if (found !== null && bytesLeft(state, found, 0) > 0) return bytesOf({ chunk: found, within: 0 })
  return whence === 'data' ? -ENXIO : state.size
}

function note(
  head: Head, state: InodeState, type: (typeof recordType)['truncate' | 'zero'], at: Offset, unique: bigint,
  payload: Buffer,
): number {
  const timeNs = head.nowNs()
  const message = Buffer.concat([Buffer.alloc(logRecordHeaderBytes), payload])
  const refused = head.admitRelease(message.length)
  if (refused !== 0) return refused
  const place = { inode: state.number, chunk: at.chunk, within: at.within, timeNs }
  const position = head.append('disk', type, place, unique, message, logRecordHeaderBytes)
  if (position < 0) return position
  state.modifiedNs = timeNs
  state.changedNs = timeNs
  return 0
}

/** Bytes from the offset to the end, at most 2^52, 0 or less past the end. */
function bytesLeft(state: InodeState, chunk: number, within: number): number {
  const chunks = Math.min(state.sizeChunk - chunk, 2 ** 36)
  return chunks * chunkBytes + state.sizeWithin - within
}

function nextDataChunk(head: Head, state: InodeState, from: number): number | null {
  const overlaid = state.extents.nextTouched(from, (chunk) => hasData(head, state, chunk))
  for (let chunk: number | null = from; ; chunk += 1) {
    chunk = nextKey(head.nodes, state.dataRoot, chunk)
    if (chunk === null || (overlaid !== null && overlaid <= chunk)) return overlaid
    if (state.extents.committedBytes(chunk) > 0) return chunk
  }
}

/** Committed data is passed over a leaf of its tree at a time, what lies over it chunk by chunk. */
function nextHoleChunk(head: Head, state: InodeState, from: number): number {
  for (let chunk = from; ; chunk += 1) {
    const touched = state.extents.nextTouched(chunk, () => true)
    const gap = Math.min(nextGap(head.nodes, state.dataRoot, chunk), state.extents.nextHidden(chunk))
    if (touched === null || gap < touched) return gap
    if (!hasData(head, state, touched)) return touched
    chunk = touched
  }
}

/** Not all zeros, as far as it is known without looking at the bytes. */
export function hasData(head: Head, state: InodeState, chunk: number): boolean {
  if (state.extents.pieces(chunk)?.some((piece) => piece.position >= 0)) return true
  return state.extents.committedBytes(chunk) > 0 && get(head.nodes, state.dataRoot, chunk) !== null
}

function readWithinChunk(
  head: Head, state: InodeState, reading: LogRun, chunk: number, within: number, into: Buffer,
): void {
  const pieces = state.extents.pieces(chunk)
  const end = within + into.length
  let at = within
  for (const piece of pieces ?? []) {
    if (piece.to <= at) continue
    if (piece.from >= end) break
    if (piece.from > at) readCommitted(head, state, chunk, at, into.subarray(at - within, piece.from - within))
    const from = Math.max(piece.from, at)
    const to = Math.min(piece.to, end)
    const part = into.subarray(from - within, to - within)
    if (piece.position < 0) part.fill(0)
    else reading.add(piece.segment, piece.position + from - piece.from, part)
    at = to
  }
  if (at < end) readCommitted(head, state, chunk, at, into.subarray(at - within))
}

function readCommitted(head: Head, state: InodeState, chunk: number, from: number, into: Buffer): void {
  const valid = Math.min(state.extents.committedBytes(chunk), from + into.length)
  const id = valid > from ? get(head.nodes, state.dataRoot, chunk) : null
  if (id === null) {
    into.fill(0)
    return
  }
  const plain = head.reader.read(id)
  if (plain.length < valid) throw new HoldfastError('DAMAGED', `chunk ${id.toString('hex')} is none of a file's data`)
  plain.copy(into, 0, from, valid)
  if (valid < from + into.length) into.fill(0, valid - from)
}

/** Joins reads that are adjacent in the log and in the target: a large write is read back in one call. */
class LogRun {
  readonly #head: Head
  readonly #state: InodeState
  #segment = 0
  #position = 0
  #target: Buffer | null = null

  constructor(head: Head, state: InodeState) {
    this.#head = head
    this.#state = state
  }

  add(segment: number, position: number, target: Buffer): void {
    const last = this.#target
    const continues = last !== null && segment === this.#segment && position === this.#position + last.length &&
      target.byteOffset === last.byteOffset + last.length
    if (continues) {
      this.#target = Buffer.from(last.buffer, last.byteOffset, last.length + target.length)
      return
    }
    this.flush()
    this.#segment = segment
    this.#position = position
    this.#target = target
  }

  flush(): void {
    if (this.#target === null) return
    this.#head.log.read(this.#state.lane, this.#segment, this.#target, this.#position)
    this.#target = null
  }
}
