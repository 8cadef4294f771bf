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
import type { ChunkReader } from '../store/chunks.ts'
import type { HeadEvents, HeadStatistics } from './head-events.ts'
import { headLimits } from './head-limits.ts'
import type { HeadLimits } from './head-limits.ts'
import { HeadSpace } from './head-space.ts'
import { InodeState } from './inode-state.ts'
import { holdUpMs, isCommitDue, isSegmentFull, logFill } from './log-pressure.ts'
import type { LogWriter } from './log-writer.ts'
import { NameOverlay } from './names.ts'
import type { Transaction } from './transaction.ts'
import { get } from './tree/get.ts'
import { NodeReader } from './tree/nodes.ts'
import type { HeadStart } from './types.ts'

const { ENOSPC, EIO } = constants.errno

export class Head {
  readonly reader: ChunkReader
  readonly nodes: NodeReader
  readonly log: LogWriter
  readonly #env: Env
  readonly #space: HeadSpace
  readonly #events: HeadEvents
  readonly #limits: HeadLimits
  readonly #inodes = new Map<number, InodeState>()
  readonly #dirty = new Set<InodeState>()
  /** Numbers of inodes that are gone but may still stand in the committed manifest, by segment. */
  readonly #gone = new Map<number, number>()
  #manifest: Manifest
  #nextInode: number
  /** References to inodes below this number are not known: the kernel got them from a server before us. */
  #countedFrom: number
  #failed = false
  #writtenBytes = 0
  #unsyncedBytes = 0
  #uncommitted = { bytes: 0, records: 0 }

  constructor(
    env: Env, reader: ChunkReader, log: LogWriter, start: HeadStart, events: HeadEvents,
    limits: Partial<HeadLimits> = {},
  ) {
    this.#limits = { ...headLimits, ...limits }
    this.#env = env
    this.reader = reader
    this.nodes = new NodeReader(reader)
    this.log = log
    this.#space = new HeadSpace(env, start.directory, this.#limits.reserveBytes)
    this.#events = events
    this.#manifest = decodeManifest(reader.read(Buffer.from(start.manifest, 'hex')))
    this.#nextInode = start.nextInode
    this.#countedFrom = 0
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
    return this.#env.wallNs()
  }

  freeBytes(): number {
    return this.#space.freeBytes()
  }

  /** Null when there is no such inode. */
  inode(number: number): InodeState | null {
    const known = this.#inodes.get(number)
    if (known !== undefined) return known
    // The most of those that are asked for in vain were never committed.
    if (this.#gone.has(number) || number >= this.#manifest.nextInode) return null
    const bytes = get(this.nodes, this.#manifest.inodes, number)
    return bytes === null ? null : this.#keep(number, decodeInode(bytes))
  }

  /** An inode that the log of another server has. */
  addInode(number: number, record: InodeRecord): InodeState {
    this.#nextInode = Math.max(this.#nextInode, number + 1)
    return this.#keep(number, record)
  }

  /**
   * From now on nobody knows what the kernel refers to of what there is: forgets are not sent again, so an
   * inode without a name stays until the image is opened for its next mount.
   */
  loseReferences(): void {
    this.#countedFrom = this.#nextInode
  }

  /** The kernel may still ask for it by its number. */
  isReferenced(state: InodeState): boolean {
    return state.references > 0 || state.number < this.#countedFrom
  }

  /** A new inode with a number that was never used before. */
  newInode(record: Pick<InodeRecord, 'mode' | 'uid' | 'gid'> & Partial<InodeRecord>): InodeState {
    const now = this.nowNs()
    return this.#keep(this.#nextInode++, {
      linkCount: 1, deviceNumber: 0, size: 0n, accessedNs: now, modifiedNs: now, changedNs: now,
      isMemory: false, isLinkable: false, target: Buffer.alloc(0), dataRoot: null, attributesRoot: null, ...record,
    })
  }

  /** The kernel drops references; an inode without name and reference is gone. */
  forget(number: number, count: number, unique: bigint, removal: (state: InodeState) => Transaction): void {
    const state = this.#inodes.get(number)
    if (state === undefined) return
    state.references = Math.max(0, state.references - count)
    if (state.references > 0) return
    if (state.linkCount === 0 && this.isReferenced(state)) return
    if (state.linkCount === 0) this.apply(removal(state), unique)
    else this.#evict(state)
  }

  /** Drops an inode that never got a name, when what was to name it failed. */
  discard(state: InodeState): void {
    this.#inodes.delete(state.number)
  }

  /** 0 when `bytes` more may be written, else -ENOSPC or, after a failure, -EIO. */
  admit(bytes: number): number {
    return this.#failed ? -EIO : this.#space.admit(bytes, this.log.unretiredBytes)
  }

  /** The same for what makes room (removals, truncations): it may use half of the reserve. */
  admitRelease(bytes: number): number {
    return this.#failed ? -EIO : this.#space.admitRelease(bytes)
  }

  /** True when ordinary writes must wait until segments have been committed. */
  get mustWait(): boolean {
    return logFill(this.log, this.#limits) > 1
  }

  /** So long an ordinary write is to be held up, in milliseconds: that moment is near. */
  get holdUpMs(): number {
    return holdUpMs(logFill(this.log, this.#limits))
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
    for (const { number } of transaction.removed) this.drop(number, segment)
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
      this.#uncommitted.bytes += payloadBytes
      this.#uncommitted.records += 1
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

  markDirty(state: InodeState, segment = this.log.segment): void {
    state.dirtySegment = segment
    this.#dirty.add(state)
  }

  /** The inode is gone, as the log says in `segment`. */
  drop(number: number, segment: number): void {
    const state = this.#inodes.get(number)
    if (state !== undefined) this.#dirty.delete(state)
    this.#inodes.delete(number)
    this.#gone.set(number, segment)
    this.#nextInode = Math.max(this.#nextInode, number + 1)
  }

  /** The barrier: what was written so far lies in segments up to the returned number. */
  rotate(): number {
    this.#unsyncedBytes = 0
    this.#uncommitted = { bytes: 0, records: 0 }
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
    if (isSegmentFull(this.log, this.#limits)) {
      const isDue = isCommitDue(this.#uncommitted, this.#limits)
      const segment = isDue ? this.rotate() : this.log.rotate()
      this.#events.syncDue(segment)
      if (isDue) this.#events.rotated(segment)
    } else if (this.#unsyncedBytes > this.#limits.laneSyncBytes) {
      this.#unsyncedBytes = 0
      this.#events.syncDue(this.log.segment)
    }
  }
}
