/**
 * All packs of a store, as their only writer sees them: the closed ones, and the open one of each class to which
 * records are appended, across syncs and sessions, until it is as large as one HDFS block.
 */
import type { Buffer } from 'node:buffer'
import type { DomainKeys } from '../crypto/domain-keys.ts'
import type { PackSeal } from '../crypto/pack-seal.ts'
import type { Env } from '../env/env.ts'
import { HoldfastError, assert } from '../errors.ts'
import type { PackEntry, RecordLocation } from '../format/keys.ts'
import type { PackFooter } from '../format/pack-footer.ts'
import { type PackHeader, packHeaderBytes } from '../format/pack-header.ts'
import type { RecordContent } from '../format/pack-record.ts'
import { type PackTotals, addTotals, emptyTotals } from '../format/pack-totals.ts'
import { collectionReserveBytes, storeFreeBytesMin } from '../limits.ts'
import type { StoreIdentity } from './identity.ts'
import { type PackName, type StoreLayout, packNumberMax } from './layout.ts'
import { OpenPack } from './open-pack.ts'
import type { PackClass } from './pack-class.ts'
import type { PackFiles, PackSource } from './pack-files.ts'
import { tableOf } from './pack-table.ts'
import type { RecoveredPacks } from './recovery.ts'

export interface PackInfo {
  readonly number: number
  readonly packId: Buffer
  readonly path: string
  readonly closed: boolean
  /** Of records that a replica has: see pack-class.ts. */
  readonly isCopied: boolean
  readonly fileBytes: number
  /** Durable; of a closed pack all. They end where a record ends. */
  readonly syncedBytes: number
  readonly totals: PackTotals
}

export interface StoreStats extends PackTotals {
  readonly packs: number
  /** Pack files as a whole: headers, records, footers. */
  readonly packBytes: number
}

export class PackSet implements PackSource, Disposable {
  readonly #env: Env
  readonly #layout: StoreLayout
  readonly #identity: StoreIdentity
  readonly #files: PackFiles
  readonly #entries: Map<number, PackEntry>
  /** Packs whose entries in the index are not what they should be. */
  readonly #changed: Set<number>
  /** Numbers of removed packs are not given again while readers may hold their files open. */
  #numberMax: number
  readonly #packBytesMax: number | undefined
  readonly #open: Map<PackClass, OpenPack>
  #usesReserve = false
  #failure: unknown

  constructor(
    env: Env, layout: StoreLayout, identity: StoreIdentity, files: PackFiles, recovered: RecoveredPacks,
    packBytesMax?: number,
  ) {
    this.#env = env
    this.#layout = layout
    this.#identity = identity
    this.#files = files
    this.#entries = recovered.entries
    this.#changed = recovered.changed
    this.#open = new Map(recovered.open)
    this.#numberMax = files.numberMax
    this.#packBytesMax = packBytesMax
  }

  /** Errors: FAILED_STATE once a write failed: nothing is known of the file's tail then. */
  requireUsable(): void {
    if (this.#failure === undefined) return
    const detail = { cause: this.#failure }
    throw new HoldfastError('FAILED_STATE', 'an earlier write failed: close the store and open it again', detail)
  }

  /** Runs a step that makes room, and may use what is kept free for it. */
  async withReserve<T>(step: () => Promise<T>): Promise<T> {
    this.#usesReserve = true
    try {
      return await step()
    } finally {
      this.#usesReserve = false
    }
  }

  /** Ends in FAILED_STATE whatever comes. */
  fail(reason: unknown): void {
    this.#failure ??= reason
  }

  get hasFailed(): boolean {
    return this.#failure !== undefined
  }

  /**
   * Makes sure that one more record of any size can be appended. Errors: NO_SPACE (before anything is
   * written: it may be tried again), or what the failed write said.
   */
  makeRoom(kind: PackClass): void {
    const pack = this.#open.get(kind)
    if (pack?.hasRoom(this.#packBytesMax) === true) return pack.isBufferFull ? this.#flush(pack) : undefined
    if (pack !== undefined) this.#finish(kind, pack)
    this.#begin(kind)
  }

  /** In memory: `makeRoom` came before. */
  append(kind: PackClass, content: RecordContent, payload: Uint8Array): RecordLocation {
    const pack = this.#open.get(kind)
    assert(pack !== undefined, 'room is made before a record is appended')
    this.#changed.add(pack.name.number)
    return pack.append(content, payload)
  }

  /** On return all that was appended is durable. Errors: as `makeRoom`. */
  sync(): void {
    for (const pack of this.#open.values()) {
      this.#requireSpace(pack.bytesToWrite)
      this.#guard(() => pack.sync())
    }
  }

  read(packNumber: number, target: Buffer, offset: number): number {
    const open = this.#openOf(packNumber)
    return open === undefined ? this.#files.read(packNumber, target, offset) : open.pack.read(target, offset)
  }

  get keys(): DomainKeys | null {
    return this.#files.keys
  }

  sealOf(packNumber: number): PackSeal | null {
    const open = this.#openOf(packNumber)
    return open === undefined ? this.#files.sealOf(packNumber) : open.pack.seal
  }

  reaches(packNumber: number, end: number): boolean {
    const open = this.#openOf(packNumber)
    return open === undefined ? this.#files.reaches(packNumber, end) : open.pack.bytes >= end
  }

  /** See PackFiles. */
  get strangers(): ReadonlyMap<string, string> {
    return this.#files.strangers
  }

  /** By number, oldest first, the open pack included. */
  packs(): PackInfo[] {
    return this.#files.names().map((name) => this.#info(name))
  }

  stats(): StoreStats {
    const totals = emptyTotals()
    const packs = this.packs()
    for (const pack of packs) addTotals(totals, pack.totals)
    return { packs: packs.length, packBytes: packs.reduce((sum, pack) => sum + pack.fileBytes, 0), ...totals }
  }

  /** Entries of the packs changed since the last call, as the packs are now. */
  takeChanged(): Map<number, PackEntry> {
    const entries = new Map<number, PackEntry>()
    for (const number of this.#changed) {
      const entry = this.#entryOf(number)
      if (entry !== undefined) entries.set(number, entry)
    }
    this.#changed.clear()
    return entries
  }

  /** Takes a whole pack over by renaming its file, durably. The index is the caller's affair. */
  adopt(path: string, { packId, isCopied }: PackHeader, footer: PackFooter): PackInfo {
    const name = { number: this.#nextNumber(), packId }
    const fileBytes = this.#env.stat(path).bytes
    this.#env.rename(path, this.#layout.pack(name))
    this.#env.syncDirectory(this.#layout.packs)
    this.#files.add(name)
    const entry = { packId, indexedBytes: footer.recordsEnd, fileBytes, closed: true, isCopied, totals: footer.totals }
    this.#entries.set(name.number, entry)
    this.#changed.add(name.number)
    return this.#info(name)
  }

  /** Removes a closed pack's file, which the index no longer knows. Threads that have it open read on. */
  remove(pack: PackInfo): void {
    this.forget(pack)
    this.#env.unlink(pack.path)
    this.#env.syncDirectory(this.#layout.packs)
  }

  /** Counts a closed pack no more. What becomes of its file, which the index no longer knows, is the caller's. */
  forget(pack: PackInfo): void {
    assert(this.#openOf(pack.number) === undefined, 'an open pack is not removed')
    this.#entries.delete(pack.number)
    this.#changed.delete(pack.number)
    this.#files.remove(pack.number)
  }

  /** Ends that pack, if records are still appended to it: the next one begins another. Errors: as `makeRoom`. */
  closeIfOpen(packNumber: number): void {
    const open = this.#openOf(packNumber)
    if (open !== undefined) this.#finish(open.kind, open.pack)
  }

  /** Idempotent. */
  close(): void {
    for (const pack of this.#open.values()) pack.close()
    this.#files.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #openOf(packNumber: number): { kind: PackClass; pack: OpenPack } | undefined {
    for (const [kind, pack] of this.#open) if (pack.name.number === packNumber) return { kind, pack }
    return undefined
  }

  #entryOf(packNumber: number): PackEntry | undefined {
    const open = this.#openOf(packNumber)
    return open === undefined ? this.#entries.get(packNumber) : openEntry(open.kind, open.pack)
  }

  #info(name: PackName): PackInfo {
    const entry = this.#entryOf(name.number)
    const fileBytes = entry === undefined || entry.closed ? (entry?.fileBytes ?? 0) : entry.indexedBytes
    return {
      ...name,
      path: this.#layout.pack(name),
      closed: entry?.closed ?? true,
      isCopied: entry?.isCopied ?? false,
      fileBytes,
      syncedBytes: this.#openOf(name.number)?.pack.syncedBytes ?? fileBytes,
      totals: entry?.totals ?? emptyTotals(),
    }
  }

  #begin(kind: PackClass): void {
    this.#requireSpace(packHeaderBytes)
    const number = this.#nextNumber()
    const isCopied = kind === 'copied'
    const pack = this.#guard(() => OpenPack.create(
      this.#env, this.#layout, this.#identity, number, isCopied, this.keys))
    this.#files.add(pack.name)
    this.#open.set(kind, pack)
  }

  #nextNumber(): number {
    this.#numberMax += 1
    assert(this.#numberMax <= packNumberMax, 'pack numbers suffice')
    return this.#numberMax
  }

  #flush(pack: OpenPack): void {
    this.#requireSpace(pack.bytesToWrite)
    this.#guard(() => pack.flush())
  }

  /** Writes the footer from what the file holds, which reads back all that was written. */
  #finish(kind: PackClass, pack: OpenPack): void {
    this.#flush(pack)
    const indexedBytes = pack.bytes
    const { table, totals } = this.#guard(() => tableOf(pack.file, pack.bytes, pack.records))
    const fileBytes = this.#guard(() => pack.finish(table.encode(totals)))
    const { number, packId } = pack.name
    this.#entries.set(number, { packId, indexedBytes, fileBytes, closed: true, isCopied: kind === 'copied', totals })
    this.#changed.add(number)
    this.#open.delete(kind)
    pack.close()
  }

  #requireSpace(bytes: number): void {
    const freeBytes = this.#env.freeBytes(this.#layout.packs)
    const reserveBytes = this.#usesReserve ? 0 : collectionReserveBytes
    if (freeBytes >= bytes + storeFreeBytesMin + reserveBytes) return
    const detail = { info: { freeBytes } }
    throw new HoldfastError('NO_SPACE', 'the store’s file system is full: free some space, or run gc', detail)
  }

  #guard<T>(call: () => T): T {
    try {
      return call()
    } catch (error) {
      this.fail(error)
      throw error
    }
  }
}

function openEntry(kind: PackClass, pack: OpenPack): PackEntry {
  const totals = structuredClone(pack.totals)
  const { packId } = pack.name
  return { packId, indexedBytes: pack.bytes, fileBytes: 0, closed: false, isCopied: kind === 'copied', totals }
}
