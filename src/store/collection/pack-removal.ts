/** Takes packs out of the index, durably, and then off the disk, while puts go on. */
import type { Buffer } from 'node:buffer'
import type { RecordLocation } from '../../format/keys.ts'
import { storeFreeBytesMin } from '../../limits.ts'
import { type IndexOperation, deletePack, deleteRecord, putRecord } from '../pack-index.ts'
import type { PackInfo } from '../pack-set.ts'
import { recordName } from '../pending-records.ts'
import { type LongCall, breathe } from '../progress.ts'
import type { StoreInside } from '../store-inside.ts'
import { packedRecords } from './packed-records.ts'

const batchRecords = 2048
/** Below this the index could not even take note of what goes. */
const spaceBytesMin = 4 * storeFreeBytesMin
/** Of all records: where more go, one walk through the index is faster than so many looks into it. */
const walkShareMin = 0.1

type IndexedPlace = Pick<RecordLocation, 'packNumber' | 'depth' | 'offset'>

export class PackRemoval {
  readonly #inside: StoreInside
  readonly #hidden = new Set<number>()
  /** Entries that a batch under way removes; and those of them that were put again meanwhile, where they lie now. */
  readonly #leaving = new Set<string>()
  readonly #returned = new Map<string, { id: Buffer; location: RecordLocation }>()

  constructor(inside: StoreInside) {
    this.#inside = inside
  }

  hides(packNumber: number): boolean {
    return this.#hidden.has(packNumber)
  }

  hide(packs: readonly PackInfo[]): void {
    for (const { number } of packs) this.#hidden.add(number)
  }

  added(id: Buffer, location: RecordLocation): void {
    if (this.#leaving.size === 0) return
    const name = recordName(id, location.depth)
    if (this.#leaving.has(name)) this.#returned.set(name, { id: id.subarray(), location })
  }

  /** Closed packs that nobody needs, hidden at once. Errors: ABORTED, IO. */
  async remove(packs: readonly PackInfo[], call: LongCall): Promise<void> {
    if (packs.length === 0) return
    this.hide(packs)
    const { env, index, layout, packs: set } = this.#inside
    // Nothing in them is looked for any more, so without any space left their bytes may go before their entries.
    if (env.freeBytes(layout.packs) < spaceBytesMin) for (const { path } of packs) this.#truncate(path)
    const records = packs.reduce((sum, { totals }) => sum + totals.data.records + totals.node.records, 0)
    const { data, node } = set.stats()
    if (records > walkShareMin * (data.records + node.records)) await this.#walkIndex(packs, call)
    else for (const pack of packs) await this.#entriesOf(pack, call)
    await index.write(packs.map(({ number }) => deletePack(number)))
    await index.settle(new Map())
    for (const pack of packs) {
      // Threads that still have the file open would hold its space.
      this.#truncate(pack.path)
      set.remove(pack)
    }
  }

  async #walkIndex(packs: readonly PackInfo[], call: LongCall): Promise<void> {
    const numbers = new Set(packs.map(({ number }) => number))
    let batch: IndexOperation[] = []
    let seen = 0
    for await (const { id, location } of this.#inside.index.records()) {
      if (seen++ % (8 * batchRecords) === 0) await breathe(call)
      if (!numbers.has(location.packNumber)) continue
      if (this.#isStill(id, location)) batch.push(this.#leave(id, location.depth))
      if (batch.length >= batchRecords) batch = await this.#write(batch)
    }
    await this.#write(batch)
  }

  async #entriesOf(pack: PackInfo, call: LongCall): Promise<void> {
    using file = this.#inside.env.open(pack.path, 'read')
    const records = packedRecords(file)
    let batch: IndexOperation[] = []
    for (let at = 0; at < records.count; at++) {
      const id = records.id(at)
      const { depth, offset } = records.place(at)
      if (this.#isStill(id, { packNumber: pack.number, depth, offset })) batch.push(this.#leave(id, depth))
      if (batch.length < batchRecords) continue
      batch = await this.#write(batch)
      await breathe(call)
    }
    await this.#write(batch)
  }

  /** Whether the index, as it is now, has the record at that place, and no other one is on its way into it. */
  #isStill(id: Buffer, { packNumber, depth, offset }: IndexedPlace): boolean {
    const indexed = this.#inside.index.locate(id, depth)
    const isThere = indexed?.packNumber === packNumber && indexed.offset === offset
    return isThere && this.#inside.lookup.locate(id, depth) === undefined
  }

  #leave(id: Buffer, depth: number): IndexOperation {
    this.#leaving.add(recordName(id, depth))
    return deleteRecord(id, depth)
  }

  /** What was put again while its old entry left gets its entry again: which came first nobody can tell. */
  async #write(batch: IndexOperation[]): Promise<IndexOperation[]> {
    await this.#inside.index.write(batch)
    this.#leaving.clear()
    const returned = [...this.#returned.values()].map(({ id, location }) => putRecord(id, location))
    this.#returned.clear()
    if (returned.length > 0) await this.#inside.index.write(returned)
    return []
  }

  #truncate(path: string): void {
    using file = this.#inside.env.open(path, 'write')
    file.truncate(0)
  }
}
