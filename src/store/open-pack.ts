/**
 * The one pack that is written to. Records are gathered in memory, written in large pieces, durable after
 * `sync`, and never touched again. After an error only `close` works. The layout is drawn in format/pack-header.ts,
 * pack-record.ts and pack-footer.ts.
 */
import { Buffer } from 'node:buffer'
import { PackSeal } from '../crypto/pack-seal.ts'
import type { DomainKeys } from '../crypto/domain-keys.ts'
import type { Env, EnvFile } from '../env/env.ts'
import { HoldfastError, assert } from '../errors.ts'
import type { RecordLocation } from '../format/keys.ts'
import { footerBytesFor } from '../format/pack-footer.ts'
import { encodePackHeader, packHeaderBytes } from '../format/pack-header.ts'
import { type RecordContent, recordBytesMax, writeRecord } from '../format/pack-record.ts'
import { type PackTotals, countRecord, emptyTotals } from '../format/pack-totals.ts'
import { identityBytes, packBufferBytes, packBytesMax } from '../limits.ts'
import type { StoreIdentity } from './identity.ts'
import type { PackName, StoreLayout } from './layout.ts'

export class OpenPack implements Disposable {
  readonly name: PackName
  readonly totals: PackTotals
  /** Null where nothing is encrypted. */
  readonly seal: PackSeal | null
  readonly #file: EnvFile
  readonly #buffer = Buffer.allocUnsafeSlow(packBufferBytes)
  #writtenBytes: number
  #bufferedBytes = 0
  #syncedBytes: number

  /** Goes on after `bytes` bytes of a file whose tail is known to be sound, and synced. */
  constructor(file: EnvFile, name: PackName, bytes: number, totals: PackTotals, seal: PackSeal | null = null) {
    this.#file = file
    this.name = name
    this.totals = totals
    this.seal = seal
    this.#writtenBytes = bytes
    this.#syncedBytes = bytes
  }

  /** A new, empty pack whose header and name are durable. */
  static create(
    env: Env, layout: StoreLayout, identity: StoreIdentity, number: number, isCopied = false,
    keys: DomainKeys | null = null,
  ): OpenPack {
    const name = { number, packId: env.randomBytes(identityBytes) }
    const file = env.open(layout.pack(name), 'createNew')
    const header = { ...identity, keyId: keys?.keyId ?? 0, packId: name.packId, createdMs: env.wallMs(), isCopied }
    file.write(encodePackHeader(header), 0)
    syncOrCut(file, 0)
    env.syncDirectory(layout.packs)
    const seal = keys === null ? null : new PackSeal(env, keys, name.packId, keys.keyId)
    return new OpenPack(file, name, packHeaderBytes, emptyTotals(), seal)
  }

  /** Where the next record goes. */
  get bytes(): number {
    return this.#writtenBytes + this.#bufferedBytes
  }

  /** What is durable: up to the end of a record. */
  get syncedBytes(): number {
    return this.#syncedBytes
  }

  get records(): number {
    return this.totals.data.records + this.totals.node.records
  }

  /** Whether one more record of any size leaves room for the footer in a file of at most so many bytes. */
  hasRoom(fileBytesMax = packBytesMax): boolean {
    return this.bytes + recordBytesMax + footerBytesFor(this.records + 1) <= fileBytesMax
  }

  /** Whether `flush` must come before the next `append`. */
  get isBufferFull(): boolean {
    return this.#bufferedBytes + recordBytesMax > packBufferBytes
  }

  /** What writing all this and the footer would take. */
  get bytesToWrite(): number {
    return this.#bufferedBytes + footerBytesFor(this.records + 1)
  }

  /** In memory only: nothing can fail. */
  append(content: RecordContent, payload: Uint8Array): RecordLocation {
    assert(!this.isBufferFull && this.hasRoom(), 'a record has its room before it is appended')
    const offset = this.bytes
    const { seal } = this
    const sealed = seal === null ? undefined : (bound: Buffer, plain: Uint8Array) => seal.seal(bound, plain, offset)
    const recordBytes = writeRecord(this.#buffer, this.#bufferedBytes, content, payload, sealed)
    this.#bufferedBytes += recordBytes
    countRecord(this.totals, content.kind, content.plainBytes, recordBytes)
    const { kind, codec, depth } = content
    return { packNumber: this.name.number, offset, recordBytes, kind, codec, depth }
  }

  /** Reads what was appended, from memory where it is still there; nothing behind it, as after the file was cut. */
  read(target: Buffer, offset: number): number {
    if (offset < this.#writtenBytes) return this.#file.read(target, offset)
    const start = offset - this.#writtenBytes
    if (start >= this.#bufferedBytes) return 0
    return this.#buffer.copy(target, 0, start, Math.min(start + target.length, this.#bufferedBytes))
  }

  /** Hands the gathered records to the operating system. */
  flush(): void {
    if (this.#bufferedBytes === 0) return
    this.#file.write(this.#buffer.subarray(0, this.#bufferedBytes), this.#writtenBytes)
    this.#writtenBytes += this.#bufferedBytes
    this.#bufferedBytes = 0
  }

  /** On return everything appended is durable. */
  sync(): void {
    this.flush()
    if (this.#syncedBytes === this.#writtenBytes) return
    syncOrCut(this.#file, this.#syncedBytes)
    this.#syncedBytes = this.#writtenBytes
  }

  /** Ends the pack with its footer, durably. Returns the file's length. */
  finish(footer: Buffer): number {
    // A footer is believed without a look at the records, so it must not outlive them.
    this.sync()
    this.#file.write(footer, this.#writtenBytes)
    syncOrCut(this.#file, this.#syncedBytes)
    return this.#writtenBytes + footer.length
  }

  get file(): EnvFile {
    return this.#file
  }

  /** Idempotent; what is not flushed is gone. */
  close(): void {
    this.#file.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }
}

/**
 * What a sync failed to write the system keeps in memory, and counts as written: the next sync would succeed. So
 * whoever opens the pack again must not find it. Errors: those of the sync.
 */
function syncOrCut(file: EnvFile, syncedBytes: number): void {
  try {
    file.sync()
  } catch (error) {
    cut(file, syncedBytes)
    throw error
  }
}

/** A failure must not hide the one that it comes from. */
function cut(file: EnvFile, bytes: number): void {
  try {
    file.truncate(bytes)
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error
  }
}
