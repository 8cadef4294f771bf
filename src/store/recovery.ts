/**
 * Brings index and packs into step when a store is opened. A pack's entry in the index says how far the
 * pack is indexed for good; what lies behind is read again: from the footer where there is one, else record
 * by record. After a clean stop there is nothing to read.
 *
 * An open pack, the newest of our own without a footer (one of what we put, one of copied records), may end in what a
 * crash left. A valid record is never cut off: the file is cut behind the last one. A gap before it is either damage or
 * a write that never arrived (the system writes pages in any order). If the index knows a record behind the gap, the
 * gap was once synced: it stays, and `verify` reports it. Else nobody was told that it is durable: it becomes a void.
 * An index that began empty is no witness: gaps stay, but a spoilt last record looks like a torn one and is cut off.
 * Whoever looks at what epochs need misses it. A pack that was cut like this gets its footer: a replica may have what
 * was cut off, and other bytes must not come to lie in its place.
 */
import { Buffer } from 'node:buffer'
import { PackSeal } from '../crypto/pack-seal.ts'
import type { Env, EnvFile } from '../env/env.ts'
import { isCode } from '../errors.ts'
import { type PackEntry, type RecordLocation, leadsTo } from '../format/keys.ts'
import { type PackHeader, decodePackHeader, packHeaderBytes } from '../format/pack-header.ts'
import { encodeVoidHeader, voidHeaderBytes } from '../format/pack-record.ts'
import { countRecord, emptyTotals } from '../format/pack-totals.ts'
import { storeFreeBytesMin } from '../limits.ts'
import type { StoreIdentity } from './identity.ts'
import { loadIndex } from './index-load.ts'
import type { PackName, StoreLayout } from './layout.ts'
import { OpenPack } from './open-pack.ts'
import { type PackClass, classOf } from './pack-class.ts'
import type { PackFiles } from './pack-files.ts'
import { type IndexOperation, type PackIndex, deletePack, putRecord } from './pack-index.ts'
import { type ScannedGap, readFooter, scanRecords } from './pack-scan.ts'
import { tableOf } from './pack-table.ts'
import { type LongCall, breathe } from './progress.ts'
import { correctedAt, spoiltRecordBytes } from './spoilt-record.ts'

export interface RecoveryInput {
  readonly env: Env
  readonly layout: StoreLayout
  readonly identity: StoreIdentity
  readonly files: PackFiles
  readonly index: PackIndex
  /** The index began empty: it is no witness of what was synced. */
  readonly rebuilding: boolean
  readonly call: LongCall
}

export interface RecoveredPacks {
  /** Every pack, the open one included. */
  readonly entries: Map<number, PackEntry>
  readonly open: ReadonlyMap<PackClass, OpenPack>
  /** Numbers of packs whose entries in the index are missing or behind. */
  readonly changed: Set<number>
  /** Bytes of records that the index has learnt of again, and not for good. */
  readonly unsettledBytes: number
}

const batchRecords = 4096

export async function recoverPacks(input: RecoveryInput): Promise<RecoveredPacks> {
  return new Recovery(input).run()
}

class Recovery {
  readonly #input: RecoveryInput
  readonly #entries = new Map<number, PackEntry>()
  readonly #changed = new Set<number>()
  readonly #open = new Map<PackClass, OpenPack>()
  /** Classes of which a pack was found that was begun with today's key: older ones were ended before. */
  readonly #found = new Set<PackClass>()
  #operations: IndexOperation[] = []
  /** Packs whose records are all in the index: it was made again from their footers first. */
  #loaded: ReadonlySet<number> = new Set()
  #unsettledBytes = 0

  constructor(input: RecoveryInput) {
    this.#input = input
  }

  async run(): Promise<RecoveredPacks> {
    const { env, layout, files, index, call } = this.#input
    // Who made a pack may have ended before its name was durable.
    env.syncDirectory(layout.packs)
    const known = await index.packEntries()
    const names = files.names().reverse()
    if (this.#input.rebuilding) this.#loaded = await loadIndex({ ...this.#input, packs: files.names() })
    for (const [done, name] of names.entries()) {
      await this.#pack(name, known.get(name.number))
      known.delete(name.number)
      call.progress?.({ step: this.#step, done: done + 1, total: names.length, unit: 'packs' })
    }
    for (const gone of known.keys()) this.#operations.push(deletePack(gone))
    await this.#write()
    return { entries: this.#entries, open: this.#open, changed: this.#changed, unsettledBytes: this.#unsettledBytes }
  }

  get #step(): string {
    return this.#input.rebuilding ? 'rebuilding the index' : 'opening packs'
  }

  async #pack(name: PackName, known: PackEntry | undefined): Promise<void> {
    const { env, layout } = this.#input
    const path = layout.pack(name)
    const { bytes } = env.stat(path)
    const entry = known?.packId.equals(name.packId) ? known : undefined
    if (entry?.closed && entry.fileBytes === bytes) return void this.#entries.set(name.number, entry)
    if (entry === undefined && bytes <= packHeaderBytes && !this.#hasHeader(path)) return this.#removeUnborn(name)
    this.#changed.add(name.number)
    const file = env.open(path, 'write')
    try {
      const header = this.#ownHeader(file)
      const isCopied = header?.isCopied ?? false
      const keyId = this.#input.files.keys?.keyId ?? 0
      const isNewest = header?.keyId === keyId && !this.#found.has(classOf(isCopied))
      if (isNewest) this.#found.add(classOf(isCopied))
      if (await this.#fromFooter(name, file, isCopied)) return file.close()
      const mayGrow = isNewest && entry?.closed !== true
      const isEnding = header !== null && header.keyId !== keyId && entry?.closed !== true && !this.#input.rebuilding
      await this.#fromRecords(name, file, entry, { isCopied, mayGrow, isEnding })
    } catch (error) {
      file.close()
      throw error
    }
  }

  /** A crash came between the making of the file and its first sync: nothing was ever in it. */
  #removeUnborn(name: PackName): void {
    const { env, layout, files } = this.#input
    files.remove(name.number)
    env.unlink(layout.pack(name))
    env.syncDirectory(layout.packs)
  }

  async #fromFooter(name: PackName, file: EnvFile, isCopied: boolean): Promise<boolean> {
    const footer = readFooter(file)
    if (footer === undefined) return false
    for (let at = 0; at < footer.count && !this.#loaded.has(name.number); at++) {
      await this.#add(footer.id(at), { packNumber: name.number, ...footer.place(at) })
    }
    const { totals, recordsEnd: indexedBytes } = footer
    const entry = { packId: name.packId, indexedBytes, fileBytes: file.size(), closed: true, isCopied, totals }
    this.#entries.set(name.number, entry)
    this.#unsettledBytes += indexedBytes
    return true
  }

  async #fromRecords(
    name: PackName, file: EnvFile, entry: PackEntry | undefined,
    pack: { isCopied: boolean; mayGrow: boolean; isEnding: boolean },
  ): Promise<void> {
    const fileBytes = file.size()
    const isShorter = entry !== undefined && entry.indexedBytes > fileBytes
    const known = isShorter ? undefined : entry
    const start = Math.min(known?.indexedBytes ?? packHeaderBytes, fileBytes)
    const totals = known === undefined ? emptyTotals() : structuredClone(known.totals)
    const gaps: ScannedGap[] = []
    let witnessedBytes = 0
    let end = start
    for (const found of scanRecords(file, start, fileBytes)) {
      if (found.type === 'gap') {
        gaps.push(found)
        continue
      }
      const { header, offset, recordBytes } = found
      const { kind, codec, depth } = header
      countRecord(totals, kind, header.plainBytes, recordBytes)
      end = offset + recordBytes
      const location = { packNumber: name.number, offset, recordBytes, kind, codec, depth }
      if (await this.#add(header.id, location)) witnessedBytes = end
    }
    // A record at the end that is spoilt, not torn, is damage too: what lies there is neither cut off nor covered.
    for (let more = 1; more > 0 && end < fileBytes; end += more) {
      more = spoiltRecordBytes(file, name.number, this.#input.index, end, fileBytes - end)
      if (more > 0) witnessedBytes = end + more
    }
    this.#unsettledBytes += fileBytes - start
    const settled = { packId: name.packId, indexedBytes: end, isCopied: pack.isCopied, totals }
    if (pack.mayGrow) this.#mend(file, gaps, witnessedBytes, end)
    const isDense = gaps.every(({ offset }) => offset >= end)
    const wasCut = this.#input.rebuilding && pack.mayGrow && isDense && fileBytes > end
    if (!pack.mayGrow || wasCut) {
      const isWhole = (pack.isEnding && isDense && end === fileBytes) || wasCut
      const closedBytes = isWhole ? this.#close(name, file, end) : fileBytes
      file.close()
      this.#entries.set(name.number, { ...settled, fileBytes: closedBytes, closed: true })
      return
    }
    this.#entries.set(name.number, { ...settled, fileBytes: 0, closed: false })
    this.#open.set(classOf(pack.isCopied), new OpenPack(file, name, end, totals, this.#sealOf(name)))
  }

  /** Gives a pack that may not grow any more its footer. The file's length then. */
  #close(name: PackName, file: EnvFile, end: number): number {
    const { env, layout } = this.#input
    const { table, totals } = tableOf(file, end)
    const footer = table.encode(totals)
    if (env.freeBytes(layout.packs) < footer.length + storeFreeBytesMin) return file.size()
    return new OpenPack(file, name, end, totals).finish(footer)
  }

  /** A session of its own: what a crash tore off may be written over, never with the same nonces. */
  #sealOf({ packId }: PackName): PackSeal | null {
    const { env, files: { keys } } = this.#input
    return keys === null ? null : new PackSeal(env, keys, packId, keys.keyId)
  }

  /** Leaves the file such that the next scan finds only records, voids, and what is real damage. */
  #mend(file: EnvFile, gaps: ScannedGap[], witnessedBytes: number, end: number): void {
    for (const gap of gaps) {
      const neverSynced = gap.offset >= witnessedBytes && !this.#input.rebuilding
      const coverable = gap.offset < end && gap.gapBytes >= voidHeaderBytes &&
        correctedAt(file, gap.offset, gap.gapBytes) === undefined
      if (neverSynced && coverable) file.write(encodeVoidHeader(gap.gapBytes), gap.offset)
    }
    if (file.size() > end) file.truncate(end)
    // What was read may have been written, but not synced, by the process that died.
    file.sync()
  }

  /** Whether the index already had the record at this very place. A newer pack's record is left alone. */
  async #add(id: Buffer, location: RecordLocation): Promise<boolean> {
    const indexed = this.#input.index.locate(id, location.depth)
    if (leadsTo(indexed, location.packNumber, location.offset)) return true
    const isOlder = indexed !== undefined && indexed.packNumber > location.packNumber
    if (isOlder && this.#input.files.has(indexed.packNumber)) return false
    this.#operations.push(putRecord(id, location))
    if (this.#operations.length >= batchRecords) await this.#write()
    return false
  }

  async #write(): Promise<void> {
    const operations = this.#operations
    this.#operations = []
    if (operations.length > 0) await this.#input.index.write(operations)
    await breathe(this.#input.call)
  }

  #hasHeader(path: string): boolean {
    using file = this.#input.env.open(path, 'read')
    return this.#ownHeader(file) !== null
  }

  /** Of a pack that can be read at all and was begun by this store, so that it may go on; else null. */
  #ownHeader(file: EnvFile): PackHeader | null {
    const bytes = Buffer.alloc(packHeaderBytes)
    try {
      const header = decodePackHeader(bytes.subarray(0, file.read(bytes, 0)))
      const own = this.#input.identity
      return header.storeId.equals(own.storeId) && header.domainId.equals(own.domainId) ? header : null
    } catch (error) {
      // A newer pack must not be written to, nor passed over in silence.
      if (!isCode(error, 'DAMAGED', 'BAD_FORMAT')) throw error
      return null
    }
  }
}
