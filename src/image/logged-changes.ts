/**
 * What a run of log records did, without the manifest below it: for each inode what was written over its data, the
 * names set and removed in it, and its attributes as far as the records say them. It can be collected by who cannot
 * read the store yet, while the log is being written, and is laid over a head in the end (`layOver`).
 *
 * Everything is tagged with its segment, as in the head itself: what a commit has covered meanwhile is dropped.
 */
import { Buffer } from 'node:buffer'
import { HoldfastError } from '../errors.ts'
import { decodeEffects } from '../format/effects.ts'
import type { Effect } from '../format/effects.ts'
import { decodeInode } from '../format/inode.ts'
import type { InodeRecord } from '../format/inode.ts'
import { recordType } from '../format/log.ts'
import { chunkBytes } from '../limits.ts'
import { ExtentMap } from './extents.ts'
import type { Head } from './head.ts'
import type { LogRecord } from './log-window.ts'
import { NameOverlay } from './names.ts'
import { offsetOf } from './offset.ts'

/** Numbers of requests that are remembered: only the last of all can have been left without its answer. */
const lastRequestsKept = 256

class LoggedInode {
  readonly extents = new ExtentMap()
  readonly names = new NameOverlay()
  /** As the last effect says them; null: only the manifest knows. */
  attributes: InodeRecord | null = null
  attributeBlock: Buffer | null = null
  /** The file ends here; unless `isSizeKnown` that is where it ends at least. */
  sizeChunk = 0
  sizeWithin = 0
  isSizeKnown = false
  /** Of the last change of its data since those attributes. */
  timeNs: bigint | null = null
  /** Newest segment that changes it. */
  segment = 0

  growTo(chunk: number, within: number): void {
    if (chunk < this.sizeChunk || (chunk === this.sizeChunk && within <= this.sizeWithin)) return
    this.sizeChunk = chunk
    this.sizeWithin = within
  }

  setSize(chunk: number, within: number): void {
    this.sizeChunk = chunk
    this.sizeWithin = within
    this.isSizeKnown = true
  }

  setAttributes(record: InodeRecord): void {
    this.attributes = record
    this.timeNs = null
    const { chunk, within } = offsetOf(record.size)
    this.setSize(chunk, within)
  }
}

export class LoggedChanges {
  readonly #inodes = new Map<number, LoggedInode>()
  /** Numbers of inodes that were removed, by segment. */
  readonly #gone = new Map<number, number>()
  readonly #connection: number | null
  readonly #uniques: number[] = []
  #requestCount = 0

  /** `connection`: whose requests are to be known; null: all of them are of one. */
  constructor(connection: number | null) {
    this.#connection = connection
  }

  /** Records come in the order of their sequence. Errors: DAMAGED. */
  add(record: LogRecord): void {
    if (this.#connection === null || record.connection === this.#connection) this.#noteRequest(Number(record.unique))
    const { segment } = record
    if (record.type === recordType.effects) {
      for (const effect of decodeEffects(record.payload)) this.#effect(effect, segment)
      return
    }
    const inode = this.#inode(record.inode, segment)
    layData(inode, record)
    inode.timeNs = record.timeNs
  }

  /** A commit covers segments up to this one. */
  retire(segment: number): void {
    for (const [number, inode] of this.#inodes) {
      if (inode.segment <= segment) this.#inodes.delete(number)
      else {
        inode.extents.retire(segment)
        inode.names.retire(segment)
      }
    }
    for (const [number, at] of this.#gone) if (at <= segment) this.#gone.delete(number)
  }

  /** The last requests that were carried out as a whole. */
  get uniques(): readonly number[] {
    return this.#uniques
  }

  /** Shows the changes in a head that stands on the manifest below them. Errors: DAMAGED, IO. */
  layOver(head: Head): void {
    for (const [number, segment] of this.#gone) head.drop(number, segment)
    for (const [number, inode] of this.#inodes) {
      const { attributes } = inode
      const state = head.inode(number) ?? (attributes === null ? null : head.addInode(number, attributes))
      if (state === null) throw new HoldfastError('DAMAGED', `the log changes inode ${number}, which does not exist`)
      if (attributes !== null) state.setAttributes(attributes)
      if (inode.isSizeKnown) {
        state.sizeChunk = inode.sizeChunk
        state.sizeWithin = inode.sizeWithin
      } else state.growTo(inode.sizeChunk, inode.sizeWithin)
      if (inode.timeNs !== null) state.modifiedNs = state.changedNs = inode.timeNs
      state.attributeBlock = inode.attributeBlock
      state.lay(inode.extents, inode.names)
      head.markDirty(state, inode.segment)
    }
  }

  #noteRequest(unique: number): void {
    if (unique === 0) return
    this.#uniques[this.#requestCount % lastRequestsKept] = unique
    this.#requestCount += 1
  }

  #inode(number: number, segment: number): LoggedInode {
    let inode = this.#inodes.get(number)
    if (inode === undefined) this.#inodes.set(number, inode = new LoggedInode())
    inode.segment = segment
    return inode
  }

  #effect(effect: Effect, segment: number): void {
    switch (effect.kind) {
      case 'inode':
        return this.#inode(effect.inode, segment).setAttributes(decodeInode(effect.record))
      case 'inodeRemoved':
        this.#inodes.delete(effect.inode)
        this.#gone.set(effect.inode, segment)
        return
      case 'attributes':
        this.#inode(effect.inode, segment).attributeBlock = Buffer.from(effect.block)
        return
      case 'name':
      case 'nameRemoved': {
        const entry = effect.kind === 'name' ? { inode: effect.inode, type: effect.type } : null
        this.#inode(effect.parent, segment).names.set(Buffer.from(effect.name), entry, segment)
      }
    }
  }
}

function layData(inode: LoggedInode, record: LogRecord): void {
  const { chunk, within, segment } = record
  switch (record.type) {
    case recordType.write: {
      const bytes = record.payloadBytes
      const end = within + bytes
      inode.extents.write(chunk, within, bytes, segment, record.position)
      return inode.growTo(chunk + Math.floor(end / chunkBytes), end % chunkBytes)
    }
    case recordType.zero: {
      const end = offsetOf(BigInt(within) + record.payload.readBigUInt64LE(0))
      return inode.extents.zero(chunk, within, chunk + end.chunk, end.within, segment)
    }
    case recordType.truncate: {
      const { sizeChunk, sizeWithin, isSizeKnown } = inode
      const shrinks = chunk < sizeChunk || (chunk === sizeChunk && within < sizeWithin)
      // Where the size is not known a cut that was none hides nothing: behind its file's end a chunk is zeros.
      if (shrinks || !isSizeKnown) inode.extents.cut(chunk, within, segment)
      inode.setSize(chunk, within)
    }
  }
}
