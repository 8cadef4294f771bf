/**
 * Rebuilds a head from the log that another server of the same mount left, so that it can go on at once and
 * the log be committed behind it. The records lead to the same state here as in a commit (changes.ts): what
 * they say is laid over the committed manifest, tagged with their segments.
 *
 * Nothing is lost when only the server's process ended: what it wrote is in the kernel's page cache. At most
 * the last record is torn, and its request was not answered.
 */
import { Buffer } from 'node:buffer'
import type { Env } from '../env/env.ts'
import { HoldfastError } from '../errors.ts'
import { decodeEffects } from '../format/effects.ts'
import type { Effect } from '../format/effects.ts'
import { decodeInode } from '../format/inode.ts'
import { recordType } from '../format/log.ts'
import { chunkBytes } from '../limits.ts'
import type { Head } from './head.ts'
import { offsetOf } from './offset.ts'
import type { InodeState } from './inode-state.ts'
import { ImageLayout } from './layout.ts'
import { LogReader } from './log-reader.ts'
import type { LogRecord } from './log-window.ts'
import type { HeadStart, Takeover } from './types.ts'

/**
 * Lays the log's records over the head and lets its log go on behind them. Returns the numbers of the
 * requests of `connection` that were carried out as a whole: those that the kernel sends again got no answer.
 * Errors: DAMAGED, IO.
 */
export function replayLog(
  env: Env, head: Head, start: HeadStart, takeover: Takeover, connection: number,
): Set<number> {
  const last = new LastRequests(connection)
  last.note(takeover.lastRequest)
  const layout = new ImageLayout(start.directory, start.image)
  using reader = new LogReader(env, layout, Buffer.from(start.imageId, 'hex'), head.log.keys)
  const from = { sequence: start.sequence, isWhole: true, isGlance: true }
  for (const record of reader.records(takeover.segments, from)) {
    head.log.adopt(record)
    redo(head, record)
    last.note(record)
  }
  return last.uniques()
}

/**
 * The numbers of a connection's last requests. One thread logs a request and then answers it, so that only the
 * last of all can have been left without its answer; a few more cost nothing.
 */
class LastRequests {
  readonly #connection: number
  readonly #kept: number[] = []
  #count = 0

  constructor(connection: number) {
    this.#connection = connection
  }

  note({ connection, unique }: { connection: number; unique: bigint | number }): void {
    if (connection !== this.#connection) return
    const number = Number(unique)
    if (number === 0) return
    this.#kept[this.#count % lastRequestsKept] = number
    this.#count += 1
  }

  uniques(): Set<number> {
    return new Set(this.#kept)
  }
}

const lastRequestsKept = 256

function redo(head: Head, record: LogRecord): void {
  if (record.type === recordType.effects) {
    for (const effect of decodeEffects(record.payload)) redoEffect(head, effect, record.segment)
    return
  }
  const state = required(head, record.inode)
  redoData(state, record)
  const { timeNs } = record
  state.modifiedNs = timeNs
  state.changedNs = timeNs
  head.markDirty(state, record.segment)
}

function redoData(state: InodeState, record: LogRecord): void {
  const { chunk, within, segment } = record
  switch (record.type) {
    case recordType.write: {
      const end = within + record.payloadBytes
      state.extents.write(chunk, within, record.payloadBytes, segment, record.position)
      return state.growTo(chunk + Math.floor(end / chunkBytes), end % chunkBytes)
    }
    case recordType.zero: {
      const end = offsetOf(BigInt(within) + record.payload.readBigUInt64LE(0))
      return state.extents.zero(chunk, within, chunk + end.chunk, end.within, segment)
    }
    case recordType.truncate:
      if (chunk < state.sizeChunk || (chunk === state.sizeChunk && within < state.sizeWithin)) {
        state.extents.cut(chunk, within, segment)
      }
      state.sizeChunk = chunk
      state.sizeWithin = within
  }
}

function redoEffect(head: Head, effect: Effect, segment: number): void {
  switch (effect.kind) {
    case 'inode': {
      const record = decodeInode(effect.record)
      const state = head.inode(effect.inode)
      if (state === null) return head.markDirty(head.addInode(effect.inode, record), segment)
      state.setAttributes(record)
      return head.markDirty(state, segment)
    }
    case 'inodeRemoved': {
      const state = head.inode(effect.inode)
      return state === null ? undefined : head.drop(state, segment)
    }
    case 'attributes': {
      const state = required(head, effect.inode)
      state.attributeBlock = Buffer.from(effect.block)
      return head.markDirty(state, segment)
    }
    case 'name':
    case 'nameRemoved': {
      const parent = required(head, effect.parent)
      const entry = effect.kind === 'name' ? { inode: effect.inode, type: effect.type } : null
      parent.names.set(Buffer.from(effect.name), entry, segment)
      return head.markDirty(parent, segment)
    }
  }
}

function required(head: Head, number: number): InodeState {
  const state = head.inode(number)
  if (state === null) throw new HoldfastError('DAMAGED', `the log changes inode ${number}, which does not exist`)
  return state
}
