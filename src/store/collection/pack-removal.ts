/** Takes packs out of the index, durably, and then off the disk, while puts go on. */
import type { Buffer } from 'node:buffer'
import { type RecordLocation, leadsTo, recordKey, recordKeyDepth, recordKeyId } from '../../format/keys.ts'
import { storeFreeBytesMin } from '../../limits.ts'
import { deletePack, putRecord } from '../pack-index.ts'
import type { PackInfo } from '../pack-set.ts'
import { recordName } from '../pending-records.ts'
import { type LongCall, breathe } from '../progress.ts'
import type { ReusedBuffer } from '../reused-buffer.ts'
import type { StoreInside } from '../store-inside.ts'
import { byId, packedRecords } from './packed-records.ts'

const batchRecords = 2048
/** Below this the index could not even take note of what goes. */
const spaceBytesMin = 4 * storeFreeBytesMin
/** Of all records: where more go, one walk through the index is faster than so many looks into it. */
const walkShareMin = 0.1

export class PackRemoval {
  readonly #inside: StoreInside
  readonly #room: ReusedBuffer
  readonly #hidden = new Set<number>()
  /** What was put since packs began to leave: its entries are not theirs. Null while none leave. */
  #added: Map<string, { id: Buffer; location: RecordLocation }> | null = null

  constructor(inside: StoreInside, room: ReusedBuffer) {
    this.#inside = inside
    this.#room = room
  }

  hides(packNumber: number): boolean {
    return this.#hidden.has(packNumber)
  }

  /** In the turn in which they are given up; `remove` follows. */
  hide(packs: readonly PackInfo[]): void {
    this.#added ??= new Map()
    for (const { number } of packs) this.#hidden.add(number)
  }

  /**
   * Of what was put again: its old entry may leave the index after its new one came, as both are written by threads of
   * LevelDB's, and until that is put right only this knows of it.
   */
  locate(id: Buffer, depth: number): RecordLocation | undefined {
    return this.#added?.get(recordName(id, depth))?.location
  }

  added(id: Buffer, location: RecordLocation): void {
    this.#added?.set(recordName(id, location.depth), { id, location })
  }

  /** Closed packs that nobody needs, hidden at once. Errors: ABORTED, IO. */
  async remove(packs: readonly PackInfo[], call: LongCall): Promise<void> {
    this.hide(packs)
    try {
      if (packs.length > 0) await this.#remove(packs, call)
    } finally {
      this.#added = null
    }
  }

  async #remove(packs: readonly PackInfo[], call: LongCall): Promise<void> {
    const { env, index, layout, packs: set } = this.#inside
    // Nothing in them is looked for any more, so without any space left their bytes may go before their entries.
    const isFull = env.freeBytes(layout.packs) < spaceBytesMin
    const records = packs.reduce((sum, { totals }) => sum + totals.data.records + totals.node.records, 0)
    const { data, node } = set.stats()
    if (isFull) for (const { path } of packs) this.#truncate(path)
    const isWalk = isFull || records > walkShareMin * (data.records + node.records)
    if (isWalk) await this.#walkIndex(packs, call)
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
    for await (const keys of this.#inside.index.keysWithin(new Set(packs.map(({ number }) => number)))) {
      for (let at = 0; at < keys.length; at += batchRecords) await this.#delete(keys.slice(at, at + batchRecords))
      await breathe(call)
    }
  }

  async #entriesOf(pack: PackInfo, call: LongCall): Promise<void> {
    using file = this.#inside.env.open(pack.path, 'read')
    const records = packedRecords(file, this.#room)
    const order = byId(records)
    for (let from = 0; from < order.length; from += batchRecords) {
      const keys: Buffer[] = []
      for (const at of order.subarray(from, from + batchRecords)) {
        const { depth, offset } = records.place(at)
        const isStill = leadsTo(this.#inside.index.locate(records.id(at), depth), pack.number, offset)
        if (isStill) keys.push(recordKey(records.id(at), depth))
      }
      await this.#delete(keys)
      await breathe(call)
    }
  }

  /** What was put again while its old entry left gets its entry again: which came first nobody can tell. */
  async #delete(keys: readonly Buffer[]): Promise<void> {
    const leaving = keys.map((key) => ({ key, id: recordKeyId(key), depth: recordKeyDepth(key) }))
      .filter(({ id, depth }) => !this.#isElsewhere(id, depth))
    await this.#inside.index.write(leaving.map(({ key }) => ({ type: 'del', key })))
    if (this.#added === null || this.#added.size === 0) return
    const again = leaving.flatMap(({ id, depth }) => this.#added?.get(recordName(id, depth)) ?? [])
    if (again.length > 0) await this.#inside.index.write(again.map(({ id, location }) => putRecord(id, location)))
  }

  #isElsewhere(id: Buffer, depth: number): boolean {
    const wasAdded = this.#added !== null && this.#added.size > 0 && this.#added.has(recordName(id, depth))
    return wasAdded || this.#inside.pending.locate(id, depth) !== undefined
  }

  #truncate(path: string): void {
    using file = this.#inside.env.open(path, 'write')
    file.truncate(0)
  }
}
