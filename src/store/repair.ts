/**
 * Mends packs: what a flipped bit spoilt is put right by its checksum, what is lost is looked for in other places,
 * and a pack with bad bytes in it gives its sound records to the open pack and goes to `quarantine/`. Nothing is
 * removed that is not known to be elsewhere, synced and indexed; nothing is thrown away at all.
 *
 * Order of writes: records into the open pack, synced, indexed; then the bad pack leaves the index, then `packs/`. A
 * crash in between leaves the pack where it was, and the next repair goes on.
 */
import { Buffer } from 'node:buffer'
import { chunkIdOf } from '../chunk/digest.ts'
import { payloadOf } from '../crypto/pack-seal.ts'
import { isCode, messageOf } from '../errors.ts'
import type { RecordLocation } from '../format/keys.ts'
import { packHeaderBytes } from '../format/pack-header.ts'
import { type RecordContent, type RecordHeader, readRecordHeader, recordHeaderBytesMax } from '../format/pack-record.ts'
import { deltaDepthMax } from '../limits.ts'
import type { ChunkSource } from './chunk-source.ts'
import type { ChunkKind } from './chunks.ts'
import { type Damage, blamesPack, strangerNumber } from './damage.ts'
import { classOf } from './pack-class.ts'
import { type IndexedRecord, deletePack, deleteRecord } from './pack-index.ts'
import { PackSalvage } from './pack-salvage.ts'
import { type ScannedRecord, readFooter, scanRecords } from './pack-scan.ts'
import type { PackInfo } from './pack-set.ts'
import { type LongCall, breathe } from './progress.ts'
import { quarantineFile } from './quarantine.ts'
import { RecordReader } from './record-reader.ts'
import { ReplicaChunks } from './replica-chunks.ts'
import { correctedAt } from './spoilt-record.ts'
import type { StoreInside } from './store-inside.ts'

export interface RepairRequest {
  /** What was found, see verify.ts. */
  readonly damaged: readonly Damage[]
  /** Chunks that something refers to and that cannot be read. */
  readonly wanted: ReadonlyMap<string, ChunkKind>
  readonly sources: readonly ChunkSource[]
}

export interface RepairReport {
  /** Records put right by their own checksums. */
  corrected: number
  /** Chunks found again, by the name of the source. */
  readonly found: Map<string, number>
  /** Records that moved out of bad packs. */
  moved: number
  /** Names of the packs in quarantine. */
  readonly quarantined: string[]
  /** Chunks that nobody has. */
  missing: number
  /** Packs that could not be moved, and why. */
  readonly failed: string[]
}

/** Errors: NO_SPACE, IO, FAILED_STATE, ABORTED. */
export async function repairPacks(target: StoreInside, request: RepairRequest, call: LongCall): Promise<RepairReport> {
  return new Repair(target, request, call).run()
}

class Repair {
  readonly #target: StoreInside
  readonly #request: RepairRequest
  readonly #call: LongCall
  readonly #wanted: Map<string, ChunkKind>
  /** Sees the disk, and nothing that is still in memory. */
  readonly #fresh: RecordReader
  readonly #report: RepairReport = {
    corrected: 0, found: new Map(), moved: 0, quarantined: [], missing: 0, failed: [],
  }

  constructor(target: StoreInside, request: RepairRequest, call: LongCall) {
    this.#target = target
    this.#request = request
    this.#call = call
    this.#wanted = new Map(request.wanted)
    this.#fresh = new RecordReader(target.index, target.packs, 0, 0)
  }

  async run(): Promise<RepairReport> {
    await this.#correct()
    this.#wantDamaged()
    await this.#search()
    await this.#clear()
    this.#report.missing = this.#wanted.size
    return this.#report
  }

  /** A delta may need a base that is put right only after it: so again, as long as it helps. */
  async #correct(): Promise<void> {
    let open = this.#request.damaged.filter(({ kind }) => kind === 'bytes' || kind === 'record')
    for (let before = -1; open.length !== before;) {
      before = open.length
      const left: Damage[] = []
      for (const damage of open) {
        if (!this.#correctOne(damage)) left.push(damage)
        await breathe(this.#call)
      }
      open = left
      await this.#target.sync()
    }
  }

  #correctOne({ path, packNumber, offset, bytes }: Damage): boolean {
    const { env, reader } = this.#target
    if (!env.exists(path)) return false
    using file = env.open(path, 'read')
    const record = correctedAt(file, offset, bytes)
    if (record === undefined) return false
    const content = ownContent(record.header)
    let payload: Buffer
    try {
      reader.forget(content.id)
      payload = payloadOf(this.#target.packs.sealOf(packNumber), record.bytes, record.header, offset)
      reader.decode(content, payload)
    } catch (error) {
      if (!isCode(error, 'DAMAGED', 'NOT_FOUND', 'IO')) throw error
      return false
    }
    this.#target.add(content, payload, 'own')
    this.#report.corrected += 1
    return true
  }

  /**
   * Ids of damaged records, and of the bases that records lack, unless they can be read some other way. What was the
   * store's own is so again: a copy of what replicas have may be of the very pack that leaves the store, and then them.
   */
  #wantDamaged(): void {
    const { index, packs } = this.#target
    const copied = new Set(packs.packs().filter(({ isCopied }) => isCopied).map(({ number }) => number))
    const locate = (id: Buffer, depth: number): RecordLocation | undefined => {
      const location = index.locate(id, depth)
      return location === undefined || copied.has(location.packNumber) ? undefined : location
    }
    const own = new RecordReader({ locate }, packs, 0, 0)
    for (const damage of this.#request.damaged) {
      if (damage.id === undefined) continue
      const id = Buffer.from(damage.id, 'hex')
      this.#want(id, deltaDepthMax, 'data', copied.has(damage.packNumber) ? this.#fresh : own)
      const header = damage.kind === 'base' ? this.#headerAt(damage) : undefined
      if (header?.baseId !== undefined) this.#want(Buffer.from(header.baseId), header.baseDepth, 'data')
    }
  }

  #want(id: Buffer, depthMax: number, kind: ChunkKind, reader = this.#fresh): void {
    const key = id.toString('latin1')
    if (!this.#wanted.has(key) && !reader.canRead(id, depthMax)) this.#wanted.set(key, kind)
  }

  #headerAt({ path, offset }: Damage): RecordHeader | undefined {
    const bytes = Buffer.alloc(recordHeaderBytesMax)
    if (!this.#target.env.exists(path)) return undefined
    using file = this.#target.env.open(path, 'read')
    return readRecordHeader(bytes.subarray(0, file.read(bytes, offset)), 0)
  }

  async #search(): Promise<void> {
    const { env, layout } = this.#target
    const local = [new PackSalvage(env, layout, this.#fresh), ...this.#request.sources]
    for (const source of local) await this.#searchIn(source)
    const { source } = this.#target
    if (source !== undefined) await this.#searchIn(new ReplicaChunks(this.#target, source))
  }

  async #searchIn(source: ChunkSource): Promise<void> {
    if (this.#wanted.size === 0) return
    for await (const plain of source.find(this.#wanted, this.#call)) this.#take(plain, source.name)
    await this.#target.sync()
  }

  /** Also what a replica gave is the store's own now: there it may lie in the pack that leaves the store for it. */
  #take(plain: Buffer, source: string): void {
    const key = chunkIdOf(this.#target.packs.keys, plain).toString('latin1')
    const kind = this.#wanted.get(key)
    if (kind === undefined) return
    this.#wanted.delete(key)
    this.#target.heal(plain, kind)
    this.#report.found.set(source, (this.#report.found.get(source) ?? 0) + 1)
  }

  async #clear(): Promise<void> {
    const bad = new Map<number, Damage[]>()
    for (const damage of this.#request.damaged) {
      if (damage.packNumber === strangerNumber) this.#putAway(damage)
      else if (blamesPack(damage)) bad.set(damage.packNumber, [...bad.get(damage.packNumber) ?? [], damage])
    }
    for (const [number, damages] of bad) {
      await this.#target.sync()
      this.#target.packs.closeIfOpen(number)
      const pack = this.#target.packs.packs().find((each) => each.number === number)
      if (pack !== undefined) await this.#clearPack(pack, damages)
    }
  }

  #putAway({ path, reason }: Damage): void {
    const { env, layout } = this.#target
    if (env.exists(path)) this.#report.quarantined.push(quarantineFile(env, layout, path, reason))
  }

  async #clearPack(pack: PackInfo, damages: Damage[]): Promise<void> {
    try {
      await this.#moveRecords(pack)
    } catch (error) {
      if (!isCode(error, 'NO_SPACE', 'IO')) throw error
      this.#report.failed.push(`${pack.path} stays where it is: ${messageOf(error)}`)
      return
    }
    await this.#forgetPack(pack)
    const note = damages.map(({ offset, bytes, reason }) => `${offset} + ${bytes}: ${reason}`).join('\n')
    this.#target.packs.forget(pack)
    this.#report.quarantined.push(quarantineFile(this.#target.env, this.#target.layout, pack.path, note))
  }

  /** Those that the index leads to; a record whose base is lost is sound itself, and may find it again. */
  async #moveRecords(pack: PackInfo): Promise<void> {
    const { env, index } = this.#target
    using file = env.open(pack.path, 'read')
    const end = readFooter(file)?.recordsEnd ?? file.size()
    for (const found of scanRecords(file, Math.min(packHeaderBytes, end), end)) {
      if (found.type === 'gap') continue
      const { header, offset } = found
      const indexed = index.locate(header.id, header.depth)
      if (indexed?.packNumber !== pack.number || indexed.offset !== offset) continue
      const payload = this.#trueTo(found, pack)
      if (payload !== undefined) {
        this.#target.add(ownContent(header), payload, classOf(pack.isCopied))
        this.#report.moved += 1
      }
      if (this.#report.moved % 64 === 0) await breathe(this.#call)
    }
    await this.#target.sync()
  }

  /** The payload; undefined of a record that does not open, or decodes to something else than its id says. */
  #trueTo({ header, bytes, offset }: ScannedRecord, pack: PackInfo): Buffer | undefined {
    try {
      const payload = payloadOf(this.#target.packs.sealOf(pack.number), bytes, header, offset)
      const lacksBase = header.baseId !== undefined &&
        !this.#fresh.canRead(Buffer.from(header.baseId), header.baseDepth)
      if (!lacksBase) this.#fresh.decode(header, payload)
      return payload
    } catch (error) {
      if (!isCode(error, 'DAMAGED', 'NOT_FOUND', 'IO')) throw error
      return undefined
    }
  }

  /** What is left in the index of this pack is lost. */
  async #forgetPack(pack: PackInfo): Promise<void> {
    const { index, lookup, inTurn } = this.#target
    const left: IndexedRecord[] = []
    for await (const record of index.records()) if (record.location.packNumber === pack.number) left.push(record)
    await inTurn(async () => {
      // What was put again meanwhile has another place, and no entry of that is on its way now.
      const lost = left.filter(({ id, location }) => lookup.locate(id, location.depth)?.packNumber === pack.number)
      await index.write([deletePack(pack.number), ...lost.map(({ id, location }) => deleteRecord(id, location.depth))])
    })
    await index.settle(new Map())
  }
}

/** A copy that outlives the bytes that the header was read from. */
function ownContent(header: RecordHeader): RecordContent {
  const { kind, codec, depth, plainBytes, paidBytes, baseDepth, id, baseId } = header
  return {
    kind, codec, depth, plainBytes, paidBytes, baseDepth, id: Buffer.from(id),
    baseId: baseId === undefined ? undefined : Buffer.from(baseId),
  }
}
