/**
 * The writer: packs, index, and what was put since the last sync. The contract is in chunks.ts.
 *
 * Order of writes: record into the pack, pack synced, index batch. The index is never ahead of a synced pack;
 * when it is behind, the next open reads the pack again.
 */
import type { Buffer } from 'node:buffer'
import { chunkIdOf } from '../chunk/digest.ts'
import type { DomainKeys } from '../crypto/domain-keys.ts'
import type { Env } from '../env/env.ts'
import type { FileLock } from '../env/lock.ts'
import { HoldfastError, assert, isCode } from '../errors.ts'
import type { PackEntry, RecordLocation } from '../format/keys.ts'
import { type RecordContent, kindData, kindNode } from '../format/pack-record.ts'
import {
  chunkBytes, deltaDepthMax, pendingRecordsMax, recordPlainBytesMax, settleBytes, settleOnCloseBytes,
  writerChunkCacheBytes,
} from '../limits.ts'
import type { ChunkId, ChunkKind, ChunkReader, ChunkStore, PutResult } from './chunks.ts'
import { formFor, provenForm } from './choose-form.ts'
import { wholeForm } from './delta-policy.ts'
import type { StoreIdentity } from './identity.ts'
import type { StoreLayout } from './layout.ts'
import type { IndexedRecord, PackIndex } from './pack-index.ts'
import { PackCollection } from './collection/pack-collection.ts'
import { adoptPack } from './pack-moves.ts'
import type { PackClass } from './pack-class.ts'
import type { PackInfo, PackSet, StoreStats } from './pack-set.ts'
import type { LongCall } from './progress.ts'
import { type Generation, PendingRecords, operationsOf } from './pending-records.ts'
import { RecordReader } from './record-reader.ts'
import { type RecordSource, adoptRecord, fetchEach } from './record-source.ts'
import { type RepairReport, type RepairRequest, repairPacks } from './repair.ts'
import { type StoreInside, verifyInputOf } from './store-inside.ts'
import { type VerifyOptions, type VerifyReport, verifyPacks } from './verify.ts'
import { waitUntilApplied } from './wait-applied.ts'

export interface StoreParts {
  readonly env: Env
  readonly layout: StoreLayout
  readonly identity: StoreIdentity
  readonly lock: FileLock | undefined
  readonly packs: PackSet
  readonly index: PackIndex
  /** Bytes in packs that the index does not have for good yet. */
  readonly unsettledBytes: number
}

export class LocalChunkStore implements ChunkStore, AsyncDisposable {
  readonly #parts: StoreParts
  readonly keys: DomainKeys | null
  readonly #packs: PackSet
  readonly #index: PackIndex
  readonly #pending = new PendingRecords()
  readonly #lookup = { locate: (id: Buffer, depth: number) => this.#locate(id, depth) }
  readonly #reader: RecordReader
  /** Where chunks may be had that are not here. */
  source: RecordSource | undefined
  #collection: PackCollection | null = null
  #unsettledBytes: number
  #syncing: Promise<void> = Promise.resolve()
  #settling: Promise<void> = Promise.resolve()
  #closing: Promise<void> | undefined

  /** Use `openChunkStore`. */
  constructor(parts: StoreParts) {
    this.#parts = parts
    this.keys = parts.packs.keys
    this.#packs = parts.packs
    this.#index = parts.index
    this.#unsettledBytes = parts.unsettledBytes
    this.#reader = new RecordReader(this.#lookup, parts.packs, writerChunkCacheBytes)
  }

  get identity(): StoreIdentity {
    return this.#parts.identity
  }

  get layout(): StoreLayout {
    return this.#parts.layout
  }

  /** What is not here, or damaged, is asked of the source, kept and thereby healed. Errors: also the source's. */
  read(id: ChunkId): Buffer {
    try {
      return this.#reader.read(id)
    } catch (error) {
      if (this.source === undefined || !isCode(error, 'NOT_FOUND', 'DAMAGED')) throw error
      this.adoptRecords(this.source.fetch([id]))
      return this.#reader.read(id)
    }
  }

  has(id: ChunkId): boolean {
    return this.#reader.has(id)
  }

  put(plain: Uint8Array, kind: ChunkKind, base?: ChunkId): PutResult {
    this.#requireUsable()
    assert(plain.length > 0 && plain.length <= recordPlainBytesMax, 'a chunk has 1 to 65,536 bytes')
    assert(kind === 'node' || plain.length === chunkBytes, 'a data chunk has 65,536 bytes')
    const id = chunkIdOf(this.keys, plain)
    if (this.claim(id)) return { id, storedBytes: 0 }
    const recordKind = kind === 'data' ? kindData : kindNode
    const chosen = formFor(this.#reader, id, plain, base, this.#isIndexed(id))
    const form = provenForm(this.#reader, id, plain, recordKind, chosen)
    return { id, storedBytes: this.#add({ kind: recordKind, id, plainBytes: plain.length, ...form }, form.payload) }
  }

  /** As `has`; and a collection of garbage that goes on now leaves the chunk here. */
  claim(id: ChunkId): boolean {
    const header = this.#reader.header(id, deltaDepthMax)
    if (header !== undefined) this.#collection?.note(header)
    return header !== undefined
  }

  /** Has those fetched that are not here, with few large reads, and claims the others. Errors: as `read`. */
  fetchAbsent(ids: readonly ChunkId[]): void {
    const absent = ids.filter((id) => !this.claim(id))
    if (this.source !== undefined) fetchEach(this.source, absent, (records) => this.adoptRecords(records))
  }

  /**
   * Keeps records that a replica has, bases first, each decoded and found right; those of chunks that are here already
   * are left out. Durable, and seen by others, after `sync`. Returns the bytes added. Errors: as put, and DAMAGED.
   */
  adoptRecords(records: readonly Buffer[]): number {
    this.#requireUsable()
    const add = (content: RecordContent, payload: Buffer): number => this.#add(content, payload, 'copied')
    return records.reduce((sum, record) => sum + adoptRecord(this.#reader, record, (id) => this.claim(id), add), 0)
  }

  sync(): Promise<void> {
    return this.#inTurn(() => this.#syncNow())
  }

  stats(): StoreStats {
    return this.#packs.stats()
  }

  /** Which data key a pack's records are sealed with. */
  sealKeyOf = (packNumber: number): number | undefined => this.#packs.sealOf(packNumber)?.keyId

  /** By number, oldest first, the open pack included. */
  packs = (): PackInfo[] => this.#packs.packs()

  /** What the index holds, in the order of ids; records put since the last sync are not in it. */
  records(): AsyncGenerator<IndexedRecord> {
    return this.#index.records()
  }

  /**
   * Decodes every record of every pack as it lies on the disk, as of the last sync or later. Damage is
   * reported, not thrown, and healed when the chunk is put again. Errors: ABORTED.
   */
  verify(options: VerifyOptions = {}): Promise<VerifyReport> {
    return verifyPacks(verifyInputOf(this.#inside()), options)
  }

  /** Reads what the index leads to from the disk, whatever the writer has in memory; for the writer's thread. */
  freshReader(): ChunkReader {
    return new RecordReader(this.#index, this.#packs)
  }

  /** See repair.ts. Errors: NO_SPACE, IO, FAILED_STATE, ABORTED. */
  repair(request: RepairRequest, call: LongCall = {}): Promise<RepairReport> {
    this.#requireUsable()
    return repairPacks(this.#inside(), request, call)
  }

  /** See pack-moves.ts: a pack fetched from elsewhere becomes one of ours. */
  async adoptPack(path: string): Promise<PackInfo> {
    this.#requireUsable()
    const pack = await adoptPack({ env: this.#parts.env, packs: this.#packs, index: this.#index }, path)
    this.#unsettledBytes += pack.fileBytes
    return pack
  }

  /** See collection/pack-collection.ts; one at a time. Errors: BUSY, FAILED_STATE. */
  beginCollection(): PackCollection {
    this.#requireUsable()
    if (this.#collection !== null) throw new HoldfastError('BUSY', 'garbage is being collected already')
    this.#collection = new PackCollection(this.#inside(), () => { this.#collection = null })
    return this.#collection
  }

  /** Idempotent. What was put since the last sync may be lost. */
  close(): Promise<void> {
    this.#closing ??= this.#closeNow()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #inside(): StoreInside {
    const { env, layout } = this.#parts
    return {
      env, layout, packs: this.#packs, index: this.#index, reader: this.#reader, source: this.source,
      lookup: this.#lookup, pending: this.#pending,
      add: (content, payload, packClass) => this.#add(content, payload, packClass),
      heal: (plain, kind) => this.#heal(plain, kind),
      sync: () => this.sync(), inTurn: (step) => this.#inTurn(step),
    }
  }

  #requireUsable(): void {
    if (this.#closing !== undefined) throw new HoldfastError('FAILED_STATE', 'the store is closed')
    this.#packs.requireUsable()
  }

  #locate(id: Buffer, depth: number): RecordLocation | undefined {
    const found = this.#pending.locate(id, depth) ?? this.#index.locate(id, depth) ??
      this.#collection?.locate(id, depth)
    return found !== undefined && this.#collection?.hides(found.packNumber) ? undefined : found
  }

  #heal(plain: Buffer, kind: ChunkKind): void {
    const id = chunkIdOf(this.#packs.keys, plain)
    this.#reader.forget(id)
    const recordKind = kind === 'data' ? kindData : kindNode
    const form = provenForm(this.#reader, id, plain, recordKind, wholeForm(plain))
    this.#add({ kind: recordKind, id, plainBytes: plain.length, ...form }, form.payload)
  }

  /** Returns the record's length. */
  #add(content: RecordContent, payload: Uint8Array, kind: PackClass = 'own'): number {
    if (this.#pending.count >= pendingRecordsMax) this.#publishNow()
    this.#packs.makeRoom(kind)
    const location = this.#packs.append(kind, content, payload)
    this.#unsettledBytes += location.recordBytes
    this.#pending.add(content.id, location)
    this.#collection?.added(content, location)
    return location.recordBytes
  }

  #isIndexed(id: ChunkId): boolean {
    for (let depth = 0; depth <= deltaDepthMax; depth++) if (this.#locate(id, depth) !== undefined) return true
    return false
  }

  /** The next one waits for it; whether it failed is the business of who asked for it. */
  #inTurn(step: () => Promise<void>): Promise<void> {
    const run = this.#syncing.then(step)
    this.#syncing = run.then(nothing, nothing)
    return run
  }

  async #syncNow(): Promise<void> {
    this.#requireUsable()
    if (this.#pending.count === 0) return
    this.#packs.sync()
    const generation = this.#pending.take()
    const changed = this.#unsettledBytes >= settleBytes ? this.#packs.takeChanged() : undefined
    await this.#publish(generation)
    if (changed !== undefined) this.#settle(changed)
  }

  async #publish(generation: Generation): Promise<void> {
    try {
      await this.#index.write(operationsOf(generation))
    } catch (error) {
      this.#packs.fail(error)
      throw error
    }
    this.#pending.drop(generation)
  }

  /** For a caller that puts without end and never lets the event loop turn: see wait-applied.ts. */
  #publishNow(): void {
    this.#packs.sync()
    const generation = this.#pending.take()
    const last = operationsOf(generation).at(-1)
    assert(last?.type === 'put', 'there is something to publish')
    // A failure is kept in the pack set, where the next put finds it.
    this.#publish(generation).catch(nothing)
    waitUntilApplied(this.#parts.env, this.#index, last, this.#packs)
  }

  /** Makes the index durable up to these entries, in the background, one at a time. */
  #settle(changed: Map<number, PackEntry>): void {
    this.#unsettledBytes = 0
    const run = this.#settling.then(() => this.#index.settle(changed))
    this.#settling = run.catch((error: unknown) => this.#packs.fail(error))
  }

  async #closeNow(): Promise<void> {
    await this.#syncing
    const settled = this.#unsettledBytes < settleOnCloseBytes || this.#pending.count > 0 || this.#packs.hasFailed
    if (!settled) this.#settle(this.#packs.takeChanged())
    await this.#settling
    this.#packs.close()
    await this.#index.close()
    this.#parts.lock?.close()
  }
}

function nothing(): void {}
