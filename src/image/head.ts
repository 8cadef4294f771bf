/**
 * The head of a mounted image: the writable state over its committed manifest, owned by the one thread that
 * serves the mount. Every change is appended to the log first and then noted here; committed data is read
 * through the chunk reader. This file holds the inodes, the log and what moves between them; what the
 * operations do lies in head-data.ts and head-names.ts.
 *
 * Failing calls return a negative errno (the serving thread never throws at the kernel). A failed log
 * write of anything but lack of space fails the head: every later change gets EIO until the image is
 * mounted again and its log recovered.
 */
import { Buffer } from 'node:buffer'
import { constants } from 'node:os'
import type { Env } from '../env/env.ts'
import { HoldfastError, isCode } from '../errors.ts'
import { encodeEffects } from '../format/effects.ts'
import { decodeInode } from '../format/inode.ts'
import type { InodeRecord } from '../format/inode.ts'
import { logRecordHeaderBytes, recordType } from '../format/log.ts'
import type { RecordType } from '../format/log.ts'
import { decodeManifest } from '../format/manifest.ts'
import type { Manifest } from '../format/manifest.ts'
import { MIB } from '../limits.ts'
import type { ChunkReader } from '../store/chunks.ts'
import { headLimits } from './head-limits.ts'
import type { HeadLimits } from './head-limits.ts'
import { InodeState } from './inode-state.ts'
import type { LogWriter } from './log-writer.ts'
import { NameOverlay } from './names.ts'
import type { Transaction } from './transaction.ts'
import { get } from './tree/get.ts'
import { NodeReader } from './tree/nodes.ts'
import type { HeadStart } from './types.ts'

const { ENOSPC, EIO } = constants.errno

/** What the head tells its surroundings; called in the serving thread, must not block. */
export interface HeadEvents {
  /** Segments up to this number are complete and wait for their commit. */
  rotated(segment: number): void
  /** So much was written to a lane that it is time to start writing it back. */
  syncDue(segment: number): void
  failed(error: unknown): void
}

export interface HeadStatistics {
  unretiredBytes: number
  inodes: number
  writtenBytes: number
}

/** How often free space is asked for: a statfs each so many bytes. */
const spaceCheckBytes = 16 * MIB

export class Head {
  readonly reader: ChunkReader
  readonly nodes: NodeReader
  readonly log: LogWriter
  readonly #env: Env
  readonly #directory: string
  readonly #events: HeadEvents
  readonly #limits: HeadLimits
  readonly #inodes = new Map<number, InodeState>()
  readonly #dirty = new Set<InodeState>()
  /** Numbers of inodes that are gone but may still stand in the committed manifest, by segment. */
  readonly #gone = new Map<number, number>()
  #manifest: Manifest
  #nextInode: number
  #failed = false
  #allowanceBytes = 0
  #writtenBytes = 0
  #unsyncedBytes = 0

  constructor(
    env: Env, reader: ChunkReader, log: LogWriter, start: HeadStart, events: HeadEvents,
    limits: Partial<HeadLimits> = {},
  ) {
    this.#limits = { ...headLimits, ...limits }
    this.#env = env
    this.reader = reader
    this.nodes = new NodeReader(reader)
    this.log = log
    this.#directory = start.directory
    this.#events = events
    this.#manifest = decodeManifest(reader.read(Buffer.from(start.manifest, 'hex')))
    this.#nextInode = start.nextInode
  }

  get manifest(): Manifest {
    return this.#manifest
  }

  get inodeCount(): number {
    return Math.max(this.#manifest.inodeCount, this.#inodes.size)
  }

  statistics(): HeadStatistics {
    return {
      unretiredBytes: this.log.unretiredBytes, inodes: this.#inodes.size, writtenBytes: this.#writtenBytes,
    }
  }

  nowNs(): bigint {
    return BigInt(Math.round(this.#env.wallMs() * 1000)) * 1000n
  }

  freeBytes(): number {
    return this.#env.freeBytes(this.#directory)
  }

  /** Null when there is no such inode. */
  inode(number: number): InodeState | null {
    const known = this.#inodes.get(number)
    if (known !== undefined) return known
    if (this.#gone.has(number)) return null
    const bytes = get(this.nodes, this.#manifest.inodes, number)
    return bytes === null ? null : this.#keep(number, decodeInode(bytes))
  }

  /** A new inode with a number that was never used before. */
  newInode(record: Pick<InodeRecord, 'mode' | 'uid' | 'gid'> & Partial<InodeRecord>): InodeState {
    const now = this.nowNs()
    return this.#keep(this.#nextInode++, {
      linkCount: 1, deviceNumber: 0, size: 0n, accessedNs: now, modifiedNs: now, changedNs: now,
      isMemory: false, target: Buffer.alloc(0), dataRoot: null, attributesRoot: null, ...record,
    })
  }

  /** The kernel drops references; an inode without name and reference is gone. */
  forget(number: number, count: number, unique: bigint, removal: (state: InodeState) => Transaction): void {
    const state = this.#inodes.get(number)
    if (state === undefined) return
    state.references = Math.max(0, state.references - count)
    if (state.references > 0) return
    if (state.linkCount === 0) this.apply(removal(state), unique)
    else this.#evict(state)
  }

  /** Drops an inode that never got a name, when what was to name it failed. */
  discard(state: InodeState): void {
    this.#inodes.delete(state.number)
  }

  /** 0 when `bytes` more may be written, else -ENOSPC or, after a failure, -EIO. */
  admit(bytes: number): number {
    if (this.#failed) return -EIO
    if (bytes > this.#allowanceBytes) {
      // What the log holds is to be written a second time, into packs, before its segments go.
      const free = this.freeBytes() - this.#limits.reserveBytes - this.log.unretiredBytes
      this.#allowanceBytes = Math.min(spaceCheckBytes, free)
      if (bytes > this.#allowanceBytes) return -ENOSPC
    }
    this.#allowanceBytes -= bytes
    return 0
  }

  /** The same for what makes room (removals, truncations): it may use half of the reserve. */
  admitRelease(bytes: number): number {
    if (this.#failed) return -EIO
    return bytes > this.freeBytes() - this.#limits.reserveBytes / 2 ? -ENOSPC : 0
  }

  /** True when ordinary writes must wait until segments have been committed. */
  get mustWait(): boolean {
    return this.log.unretiredBytes > this.#limits.logBytesMax
  }

  /** Logs and shows a change of the namespace. Returns 0 or a negative errno, and then nothing happened. */
  apply(transaction: Transaction, unique: bigint): number {
    const effects = encodeEffects(transaction.effects())
    const refused = transaction.isRelease ? this.admitRelease(effects.length) : this.admit(effects.length)
    if (refused !== 0) {
      transaction.undo()
      return refused
    }
    const message = Buffer.concat([Buffer.alloc(logRecordHeaderBytes), effects])
    const at = { inode: 0, chunk: 0, within: 0, timeNs: 0n }
    const position = this.append('disk', recordType.effects, at, unique, message, logRecordHeaderBytes)
    if (position < 0) {
      transaction.undo()
      return position
    }
    const segment = this.log.segment
    transaction.show(segment)
    for (const state of transaction.touched) this.markDirty(state)
    for (const state of transaction.removed) {
      this.#inodes.delete(state.number)
      this.#dirty.delete(state)
      this.#gone.set(state.number, segment)
    }
    this.#afterAppend()
    return 0
  }

  /** Appends one record; its payload's position, or a negative errno. */
  append(
    lane: 'disk' | 'memory', type: RecordType,
    at: { inode: number; chunk: number; within: number; timeNs: bigint },
    unique: bigint, message: Buffer, payloadAt: number, payloadBytes = message.length - payloadAt,
  ): number {
    try {
      const position = this.log.append(lane, { type, unique, ...at }, message, payloadAt, payloadBytes)
      this.#unsyncedBytes += payloadBytes
      return position
    } catch (error) {
      if (isCode(error, 'NO_SPACE')) return -ENOSPC
      this.fail(error)
      return -EIO
    }
  }

  /** To be called after data was appended and noted. */
  afterWrite(state: InodeState, bytes: number): void {
    this.#writtenBytes += bytes
    this.markDirty(state)
    this.#afterAppend()
  }

  markDirty(state: InodeState): void {
    state.dirtySegment = this.log.segment
    this.#dirty.add(state)
  }

  /** The barrier: what was written so far lies in segments up to the returned number. */
  rotate(): number {
    this.#unsyncedBytes = 0
    return this.log.rotate()
  }

  /** The committed manifest now holds segments up to `segment`. */
  retire(segment: number, manifest: Buffer): void {
    this.#manifest = decodeManifest(this.reader.read(manifest))
    for (const state of this.#dirty) this.#refresh(state, segment)
    for (const [number, at] of this.#gone) if (at <= segment) this.#gone.delete(number)
    this.log.retire(segment)
  }

  /** No later change is accepted: something already acknowledged may not be durable. */
  fail(error: unknown): void {
    if (this.#failed) return
    this.#failed = true
    this.#events.failed(error)
  }

  get isFailed(): boolean {
    return this.#failed
  }

  #keep(number: number, record: InodeRecord): InodeState {
    const state = new InodeState(number, record, new NameOverlay())
    this.#inodes.set(number, state)
    return state
  }

  #refresh(state: InodeState, segment: number): void {
    const bytes = get(this.nodes, this.#manifest.inodes, state.number)
    if (bytes === null && state.dirtySegment <= segment) {
      throw new HoldfastError('DAMAGED', `the commit of segment ${segment} lost inode ${state.number}`)
    }
    if (bytes !== null) {
      const committed = decodeInode(bytes)
      state.dataRoot = committed.dataRoot
      state.attributesRoot = committed.attributesRoot
    }
    state.extents.retire(segment)
    state.names.retire(segment)
    if (state.dirtySegment > segment) return
    state.dirtySegment = 0
    state.attributeBlock = null
    this.#dirty.delete(state)
    this.#evict(state)
  }

  #evict(state: InodeState): void {
    if (state.references === 0 && state.dirtySegment === 0) this.#inodes.delete(state.number)
  }

  #afterAppend(): void {
    const { segmentBytesMax } = this.#limits
    if (this.log.laneBytes('disk') > segmentBytesMax || this.log.laneBytes('memory') > segmentBytesMax) {
      this.#events.rotated(this.rotate())
    } else if (this.#unsyncedBytes > this.#limits.laneSyncBytes) {
      this.#unsyncedBytes = 0
      this.#events.syncDue(this.log.segment)
    }
  }
}
