/**
 * Records in memory over those of the packs: what came from elsewhere and is used before the writer has it in a
 * pack, or instead of it. Bounded by its bytes; the oldest go first. For one thread.
 */
import { Buffer } from 'node:buffer'
import type { DomainKeys } from '../crypto/domain-keys.ts'
import type { PackSeal } from '../crypto/pack-seal.ts'
import type { RecordLocation } from '../format/keys.ts'
import { deltaDepthMax } from '../limits.ts'
import type { ChunkId } from './chunks.ts'
import type { PackSource } from './pack-files.ts'
import type { RecordLookup } from './pack-index.ts'
import { recordName } from './pending-records.ts'
import { soundHeader } from './record-source.ts'

/** No pack has this number: the first is 1. */
const overlayNumber = 0

export class RecordOverlay implements RecordLookup, PackSource {
  readonly #lookup: RecordLookup
  readonly #packs: PackSource
  readonly #bytesMax: number
  readonly #locations = new Map<string, RecordLocation>()
  /** By the offset of their location, which is a number that is not given twice. */
  readonly #records = new Map<number, Buffer>()
  #bytes = 0
  #lastOffset = 0

  constructor(lookup: RecordLookup, packs: PackSource, bytesMax: number) {
    this.#lookup = lookup
    this.#packs = packs
    this.#bytesMax = bytesMax
  }

  /** The chunk that the record is of; undefined, and nothing kept, where the bytes are no sound record. */
  add(record: Buffer): ChunkId | undefined {
    const header = soundHeader(record)
    if (header === undefined) return undefined
    const id = Buffer.from(header.id)
    const { kind, codec, depth } = header
    this.#drop(recordName(id, depth))
    this.#lastOffset += 1
    const offset = this.#lastOffset
    const location = { packNumber: overlayNumber, offset, recordBytes: record.length, kind, codec, depth }
    this.#locations.set(recordName(id, depth), location)
    this.#records.set(offset, record)
    this.#bytes += record.length
    for (const oldest of this.#locations.keys()) {
      if (this.#bytes <= this.#bytesMax) break
      this.#drop(oldest)
    }
    return id
  }

  has(id: Buffer): boolean {
    for (let depth = 0; depth <= deltaDepthMax; depth++) if (this.#locations.has(recordName(id, depth))) return true
    return false
  }

  /** A record that was added and is still here. */
  record(id: Buffer, depth: number): Buffer | undefined {
    const location = this.#locations.get(recordName(id, depth))
    return location && this.#records.get(location.offset)
  }

  locate(id: Buffer, depth: number): RecordLocation | undefined {
    const here = this.#locations.size === 0 ? undefined : this.#locations.get(recordName(id, depth))
    return here ?? this.#lookup.locate(id, depth)
  }

  read(packNumber: number, target: Buffer, offset: number): number {
    if (packNumber !== overlayNumber) return this.#packs.read(packNumber, target, offset)
    return this.#records.get(offset)?.copy(target) ?? 0
  }

  get keys(): DomainKeys | null {
    return this.#packs.keys
  }

  /** What comes from elsewhere comes without a seal. */
  sealOf(packNumber: number): PackSeal | null {
    return packNumber === overlayNumber ? null : this.#packs.sealOf(packNumber)
  }

  reaches(packNumber: number, end: number): boolean {
    return packNumber === overlayNumber || this.#packs.reaches(packNumber, end)
  }

  #drop(name: string): void {
    const location = this.#locations.get(name)
    if (location === undefined) return
    this.#locations.delete(name)
    this.#records.delete(location.offset)
    this.#bytes -= location.recordBytes
  }
}
