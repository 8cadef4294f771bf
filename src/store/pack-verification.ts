/** One pack, looked at as it lies on the disk; see verify.ts. */
import { Buffer } from 'node:buffer'
import type { EnvFile } from '../env/env.ts'
import { codeOf, isCode, messageOf } from '../errors.ts'
import { leadsTo } from '../format/keys.ts'
import type { PackFooter } from '../format/pack-footer.ts'
import { decodePackHeader, packHeaderBytes } from '../format/pack-header.ts'
import {
  type RecordHeader, readRecordHeader, recordBytesMax, recordBytesOf, recordChecksumHolds,
} from '../format/pack-record.ts'
import type { Damage, DamageKind, ExpectedRecord } from './damage.ts'
import { frameRecords } from './pack-framing.ts'
import { type ScannedRecord, readFooter, scanRecords } from './pack-scan.ts'
import type { PackInfo } from './pack-set.ts'
import type { VerificationRun } from './verification-run.ts'

/** False where the time ended before the pack did. Errors: ABORTED, NOT_FOUND where the pack is gone. */
export async function verifyPack(run: VerificationRun, pack: PackInfo): Promise<boolean> {
  const verification = new PackVerification(run, pack)
  try {
    using file = run.input.env.open(pack.path, 'read')
    return await verification.run(file)
  } catch (error) {
    if (!isCode(error, 'IO', 'DAMAGED')) throw error
    verification.report('file', 0, pack.fileBytes, messageOf(error))
    return true
  }
}

class PackVerification {
  readonly #run: VerificationRun
  readonly #pack: PackInfo
  #footer: PackFooter | undefined
  /** Entries of the footer that lie before what was looked at so far. */
  #passed = 0
  /** What the index has in this pack, once that was asked for. */
  #indexed: ExpectedRecord[] | undefined

  constructor(run: VerificationRun, pack: PackInfo) {
    this.#run = run
    this.#pack = pack
  }

  async run(file: EnvFile): Promise<boolean> {
    const fileBytes = file.size()
    this.#header(file)
    // The open pack may grow, and be closed, while it is read.
    const recordsEnd = this.#pack.closed ? this.#findFooter(file, fileBytes) : Math.min(fileBytes, this.#pack.fileBytes)
    if (this.#footer !== undefined && this.#run.readData && !this.#run.isWhole) return this.#sample(file, this.#footer)
    const start = Math.min(packHeaderBytes, recordsEnd)
    const found = this.#run.readData ? scanRecords(file, start, recordsEnd) : frameRecords(file, start, recordsEnd)
    for (const each of found) {
      if (each.type === 'gap') await this.#gap(each.offset, each.gapBytes)
      else this.#record(each)
      if (!await this.#run.reached(each.offset)) return false
    }
    return true
  }

  report(kind: DamageKind, offset: number, bytes: number, reason: string, id?: Buffer): void {
    const { path, number: packNumber } = this.#pack
    const damage: Damage = { kind, path, packNumber, offset, bytes, reason }
    this.#run.damaged(id === undefined ? damage : { ...damage, id: id.toString('hex') })
  }

  #header(file: EnvFile): void {
    const bytes = Buffer.alloc(packHeaderBytes)
    try {
      const header = decodePackHeader(bytes.subarray(0, file.read(bytes, 0)))
      if (header.packId.equals(this.#pack.packId)) return
      this.report('header', 0, packHeaderBytes, 'the pack has another name than its header')
    } catch (error) {
      if (codeOf(error) === undefined || isCode(error, 'IO')) throw error
      this.report('header', 0, packHeaderBytes, messageOf(error))
    }
  }

  /** Where the records end. */
  #findFooter(file: EnvFile, fileBytes: number): number {
    this.#footer = readFooter(file)
    if (this.#footer !== undefined) return this.#footer.recordsEnd
    this.report('footer', fileBytes, 0, 'the pack has no sound footer')
    return fileBytes
  }

  /** Only the records that are wanted are read, each where the footer says. */
  async #sample(file: EnvFile, footer: PackFooter): Promise<boolean> {
    const bytes = Buffer.allocUnsafe(recordBytesMax)
    for (let at = 0; at < footer.count; at++) {
      const id = Buffer.from(footer.id(at))
      if (!this.#run.isSampled(id)) continue
      const { offset, recordBytes } = footer.place(at)
      const record = bytes.subarray(0, Math.min(recordBytes, recordBytesMax))
      const header = file.read(record, offset) === record.length ? readRecordHeader(record, 0) : undefined
      if (header !== undefined && recordBytesOf(header) === recordBytes && recordChecksumHolds(record, 0, header)) {
        this.#decode(header, record, offset, recordBytes)
      } else this.#lost({ id, offset, recordBytes, depth: footer.place(at).depth })
      if (!await this.#run.reached(offset)) return false
    }
    return true
  }

  /** Each record that lay in the gap is told of by itself, where anybody knows of it. */
  async #gap(offset: number, gapBytes: number): Promise<void> {
    const lost = await this.#expectedWithin(offset, offset + gapBytes)
    if (lost.length === 0) this.report('bytes', offset, gapBytes, 'these bytes are no sound record')
    for (const each of lost) this.#lost(each)
  }

  #lost({ id, depth, offset, recordBytes }: ExpectedRecord): void {
    this.report('bytes', offset, recordBytes, 'the record is damaged', id)
    this.#condemn(id, depth, offset)
  }

  #record(found: Omit<ScannedRecord, 'bytes'> & { bytes?: Buffer }): void {
    const { header, offset, recordBytes, bytes } = found
    this.#compareFooter(header, offset)
    if (bytes === undefined) this.#run.sound(header.plainBytes, this.#isIndexed(header.id, header.depth))
    else if (this.#run.isSampled(header.id)) this.#decode(header, bytes, offset, recordBytes)
  }

  #decode(header: RecordHeader, bytes: Buffer, offset: number, recordBytes: number): void {
    const id = Buffer.from(header.id)
    const { depth, plainBytes } = header
    try {
      this.#run.input.reader.decodeRecord(this.#pack.number, bytes, header, offset)
    } catch (error) {
      if (!isCode(error, 'DAMAGED', 'NOT_FOUND', 'IO')) throw error
      const isBaseless = header.baseId !== undefined && !this.#hasBase(header)
      if (isBaseless && this.#isAbandoned(header)) return this.#run.sound(plainBytes, true)
      const kind = isBaseless ? 'base' : 'record'
      this.report(kind, offset, recordBytes, messageOf(error), id)
      this.#condemn(id, depth, offset)
      return
    }
    this.#run.sound(plainBytes, this.#isIndexed(id, depth))
  }

  #hasBase({ baseId, baseDepth }: RecordHeader): boolean {
    return baseId !== undefined && this.#run.input.reader.canRead(Buffer.from(baseId), baseDepth)
  }

  /**
   * Nobody has what it builds on: the collector took that away, and leaves the rest of a pack that is mostly needed.
   * If it should be needed after all, whoever looks at what epochs need misses it.
   */
  #isAbandoned({ baseId, baseDepth }: RecordHeader): boolean {
    return baseId !== undefined && this.#run.input.reader.isAbandoned(Buffer.from(baseId), baseDepth)
  }

  /** The footer lists exactly the records that are there, in their order. */
  #compareFooter(header: RecordHeader, offset: number): void {
    const footer = this.#footer
    if (footer === undefined) return
    while (this.#passed < footer.count && footer.place(this.#passed).offset < offset) this.#passed += 1
    const isListed = this.#passed < footer.count && footer.place(this.#passed).offset === offset &&
      footer.place(this.#passed).depth === header.depth && footer.id(this.#passed).equals(header.id)
    if (isListed) return
    const id = Buffer.from(header.id)
    this.report('bytes', offset, recordBytesOf(header), 'the footer has another record there, or none', id)
  }

  async #expectedWithin(start: number, end: number): Promise<ExpectedRecord[]> {
    const footer = this.#footer
    if (footer === undefined) {
      this.#indexed ??= await this.#run.input.indexedIn(this.#pack.number)
      return this.#indexed.filter(({ offset }) => offset >= start && offset < end)
    }
    const found: ExpectedRecord[] = []
    for (let at = this.#passed; at < footer.count && footer.place(at).offset < end; at++) {
      if (footer.place(at).offset >= start) found.push({ id: Buffer.from(footer.id(at)), ...footer.place(at) })
    }
    return found
  }

  #condemn(id: Buffer, depth: number, offset: number): void {
    const { input } = this.#run
    if (leadsTo(input.lookup.locate(id, depth), this.#pack.number, offset)) input.condemn(id, depth)
  }

  #isIndexed(id: Buffer, depth: number): boolean {
    return this.#run.input.lookup.locate(id, depth) !== undefined
  }
}
