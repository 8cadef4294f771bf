/**
 * Reads packs as they lie on the disk, decodes every record and compares its digest. Nothing is changed and
 * nothing thrown for damage: it is reported, and known to the store afterwards, so that the next put of a
 * damaged chunk heals it.
 */
import { Buffer } from 'node:buffer'
import type { Env, EnvFile } from '../env/env.ts'
import { assert, codeOf, isCode, messageOf } from '../errors.ts'
import { decodePackHeader, packHeaderBytes } from '../format/pack-header.ts'
import type { RecordHeader } from '../format/pack-record.ts'
import { MIB, damageReportsMax } from '../limits.ts'
import type { RecordLookup } from './pack-index.ts'
import { type ScannedRecord, readFooter, scanRecords } from './pack-scan.ts'
import type { PackInfo } from './pack-set.ts'
import { type LongCall, breathe } from './progress.ts'
import type { RecordReader } from './record-reader.ts'

export interface VerifyOptions extends LongCall {
  /** Which share of the records is decoded, 0 to 1; chosen by their ids. Default 1. */
  readonly fraction?: number
}

export interface Damage {
  readonly path: string
  readonly packNumber: number
  readonly offset: number
  readonly bytes: number
  /** Hexadecimal; absent where the bytes are no record at all. */
  readonly id?: string
  readonly reason: string
}

export interface VerifyReport {
  packs: number
  /** Decoded and found right. */
  records: number
  plainBytes: number
  damagedCount: number
  /** The first `damageReportsMax` of them. */
  readonly damaged: Damage[]
  /** Sound records that the index does not know at any place: rebuilding it brings them back. */
  unindexed: number
}

export interface VerifyInput {
  readonly env: Env
  readonly packs: readonly PackInfo[]
  readonly lookup: RecordLookup
  /** Its caches hold bases meanwhile. */
  readonly reader: RecordReader
  /** Told of each indexed record that is damaged. */
  readonly condemn: (id: Buffer, depth: number) => void
}

/** Errors: ABORTED, IO where a pack cannot be opened. */
export async function verifyPacks(input: VerifyInput, options: VerifyOptions): Promise<VerifyReport> {
  return new Verification(input, options).run()
}

class Verification {
  readonly #input: VerifyInput
  readonly #options: VerifyOptions
  readonly #sampleEnd: number
  readonly #report: VerifyReport = { packs: 0, records: 0, plainBytes: 0, damagedCount: 0, damaged: [], unindexed: 0 }
  #doneBytes = 0
  #breatheAt = 0

  constructor(input: VerifyInput, options: VerifyOptions) {
    const fraction = options.fraction ?? 1
    assert(fraction >= 0 && fraction <= 1, 'a share lies between 0 and 1')
    this.#input = input
    this.#options = options
    this.#sampleEnd = fraction * 2 ** 32
  }

  async run(): Promise<VerifyReport> {
    for (const pack of this.#input.packs) {
      using file = this.#input.env.open(pack.path, 'read')
      await this.#pack(pack, file)
      this.#report.packs += 1
    }
    return this.#report
  }

  async #pack(pack: PackInfo, file: EnvFile): Promise<void> {
    const fileBytes = file.size()
    this.#header(pack, file)
    // The open pack may grow, and be closed, while it is read.
    const recordsEnd = pack.closed ? this.#footer(pack, file, fileBytes) : Math.min(fileBytes, pack.fileBytes)
    try {
      await this.#records(pack, file, recordsEnd)
    } catch (error) {
      if (!isCode(error, 'IO')) throw error
      this.#damage(pack, 0, recordsEnd, messageOf(error))
    }
    this.#doneBytes += fileBytes
  }

  async #records(pack: PackInfo, file: EnvFile, recordsEnd: number): Promise<void> {
    for (const found of scanRecords(file, Math.min(packHeaderBytes, recordsEnd), recordsEnd)) {
      if (found.type === 'gap') this.#damage(pack, found.offset, found.gapBytes, 'these bytes are no sound record')
      else this.#record(pack, found)
      await this.#breathe(this.#doneBytes + found.offset)
    }
  }

  #header(pack: PackInfo, file: EnvFile): void {
    const bytes = Buffer.alloc(packHeaderBytes)
    try {
      const header = decodePackHeader(bytes.subarray(0, file.read(bytes, 0)))
      const isNamed = header.packId.equals(pack.packId)
      if (!isNamed) this.#damage(pack, 0, packHeaderBytes, 'the pack has another name than its header')
    } catch (error) {
      if (codeOf(error) === undefined) throw error
      this.#damage(pack, 0, packHeaderBytes, messageOf(error))
    }
  }

  /** Where the records end. */
  #footer(pack: PackInfo, file: EnvFile, fileBytes: number): number {
    const footer = readFooter(file)
    if (footer !== undefined) return footer.recordsEnd
    this.#damage(pack, fileBytes, 0, 'the pack has no sound footer')
    return fileBytes
  }

  #record(pack: PackInfo, { header, payload, offset, recordBytes }: ScannedRecord): void {
    if (header.id.readUInt32LE(0) >= this.#sampleEnd) return
    const id = Buffer.from(header.id)
    const indexed = this.#input.lookup.locate(id, header.depth)
    try {
      this.#input.reader.decode(header, payload)
    } catch (error) {
      if (!isCode(error, 'DAMAGED', 'NOT_FOUND', 'IO')) throw error
      this.#damage(pack, offset, recordBytes, messageOf(error), id)
      if (indexed?.packNumber === pack.number && indexed.offset === offset) this.#input.condemn(id, header.depth)
      return
    }
    this.#count(header, indexed !== undefined)
  }

  #count(header: RecordHeader, isIndexed: boolean): void {
    this.#report.records += 1
    this.#report.plainBytes += header.plainBytes
    if (!isIndexed) this.#report.unindexed += 1
  }

  #damage(pack: PackInfo, offset: number, bytes: number, reason: string, id?: Buffer): void {
    this.#report.damagedCount += 1
    if (this.#report.damaged.length >= damageReportsMax) return
    const { path, number } = pack
    this.#report.damaged.push({ path, packNumber: number, offset, bytes, id: id?.toString('hex'), reason })
  }

  async #breathe(doneBytes: number): Promise<void> {
    if (doneBytes < this.#breatheAt) return
    this.#breatheAt = doneBytes + 4 * MIB
    const total = this.#input.packs.reduce((sum, pack) => sum + pack.fileBytes, 0)
    this.#options.progress?.({ step: 'verifying', done: doneBytes, total, unit: 'bytes' })
    await breathe(this.#options)
  }
}
