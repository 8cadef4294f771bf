/**
 * Fills an empty index with the records that footers name, in the order of ids. The order of packs is a random one of
 * ids, in which LevelDB merges each entry again and again; in theirs it writes an entry twice, to its log and to a
 * table. As many ids as a range has are sorted in memory, and footers are read once for each range.
 */
import { Buffer } from 'node:buffer'
import type { Env } from '../env/env.ts'
import { encodeLocation, recordKey, recordKeyBytes, recordKeyIdAt, recordValueBytes } from '../format/keys.ts'
import type { PackFooter } from '../format/pack-footer.ts'
import { indexLoadRecordsMax } from '../limits.ts'
import { inOrderOfIds } from './id-order.ts'
import type { PackName, StoreLayout } from './layout.ts'
import type { IndexOperation, PackIndex } from './pack-index.ts'
import { readFooter } from './pack-scan.ts'
import { type LongCall, breathe } from './progress.ts'
import { ReusedBuffer } from './reused-buffer.ts'

export interface LoadInput {
  readonly env: Env
  readonly layout: StoreLayout
  readonly index: PackIndex
  /** Oldest first: of a record that several have, the newest one's entry stays. */
  readonly packs: readonly PackName[]
  readonly call: LongCall
  /** Sorted at once. */
  readonly recordsMax?: number
}

const batchRecords = 4096
const recordsBetweenTurns = 32 * 1024
/** The first bytes of an id, as a number. */
const prefixes = 2 ** 32
/** Of the room: ids are spread evenly but for chance. Where they are not, an entry may be merged once more. */
const rangeFillMax = 0.95

/** Numbers of the packs that have a footer: all their records are in the index now. Errors: NO_SPACE, IO, ABORTED. */
export async function loadIndex(input: LoadInput): Promise<ReadonlySet<number>> {
  return new IndexLoad(input).run()
}

class IndexLoad {
  readonly #input: LoadInput
  readonly #room = new ReusedBuffer()
  #done = 0
  #total = 0

  constructor(input: LoadInput) {
    this.#input = input
  }

  async run(): Promise<ReadonlySet<number>> {
    const closed: PackName[] = []
    for (const name of this.#input.packs) {
      const footer = this.#footer(name)
      if (footer === undefined) continue
      closed.push(name)
      this.#total += footer.count
    }
    const rows = new SortedRows(Math.min(this.#total, this.#input.recordsMax ?? indexLoadRecordsMax))
    const ranges = this.#total === rows.countMax ? 1 : Math.ceil(this.#total / (rows.countMax * rangeFillMax))
    for (let range = 0; range < ranges; range++) {
      const [from, to] = [range, range + 1].map((at) => Math.floor(at / ranges * prefixes))
      for (const name of closed) await this.#gather(name, rows, from, to)
      await this.#write(rows)
    }
    return new Set(closed.map(({ number }) => number))
  }

  async #gather(name: PackName, rows: SortedRows, from: number, to: number): Promise<void> {
    const footer = this.#footer(name)
    if (footer === undefined) return
    for (let at = 0; at < footer.count; at++) {
      if (at % recordsBetweenTurns === 0) await breathe(this.#input.call)
      const prefix = footer.prefix(at)
      if (prefix < from || prefix >= to) continue
      if (rows.isFull) await this.#write(rows)
      rows.add(footer, at, name.number)
    }
  }

  async #write(rows: SortedRows): Promise<void> {
    const { index, call } = this.#input
    for (const batch of rows.batches()) {
      await index.write(batch)
      await breathe(call)
      this.#done += batch.length
      call.progress?.({ step: 'rebuilding the index', done: this.#done, total: this.#total, unit: 'records' })
    }
    rows.clear()
  }

  #footer({ number, packId }: PackName): PackFooter | undefined {
    using file = this.#input.env.open(this.#input.layout.pack({ number, packId }), 'read')
    return readFooter(file, this.#room)
  }
}

const rowBytes = recordKeyBytes + recordValueBytes

/** Entries of the index in the order of their keys' first bytes, and of their coming where those are the same. */
class SortedRows {
  readonly countMax: number
  readonly #rows: Buffer
  #count = 0

  constructor(countMax: number) {
    this.countMax = countMax
    this.#rows = Buffer.allocUnsafeSlow(countMax * rowBytes)
  }

  get isFull(): boolean {
    return this.#count === this.countMax
  }

  add(footer: PackFooter, at: number, packNumber: number): void {
    const place = footer.place(at)
    const start = this.#count * rowBytes
    recordKey(footer.id(at), place.depth).copy(this.#rows, start)
    encodeLocation({ packNumber, ...place }).copy(this.#rows, start + recordKeyBytes)
    this.#count += 1
  }

  /** Views of rows, valid until the next one is added. */
  *batches(): Generator<IndexOperation[]> {
    const order = inOrderOfIds(this.#count, (row) => this.#rows.readUInt32BE(row * rowBytes + recordKeyIdAt))
    for (let at = 0; at < order.length; at += batchRecords) {
      yield Array.from(order.subarray(at, at + batchRecords), (row) => this.#put(row))
    }
  }

  clear(): void {
    this.#count = 0
  }

  #put(row: number): IndexOperation {
    const bytes = this.#rows.subarray(row * rowBytes, (row + 1) * rowBytes)
    return { type: 'put', key: bytes.subarray(0, recordKeyBytes), value: bytes.subarray(recordKeyBytes) }
  }
}
