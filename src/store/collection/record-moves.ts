/** Copies those records of a pack that stay to packs that are written now. */
import type { Buffer } from 'node:buffer'
import { HoldfastError } from '../../errors.ts'
import { type RecordLocation, leadsTo } from '../../format/keys.ts'
import type { RecordPlace } from '../../format/pack-footer.ts'
import { classOf } from '../pack-class.ts'
import type { PackInfo } from '../pack-set.ts'
import { type LongCall, breathe } from '../progress.ts'
import type { ReusedBuffer } from '../reused-buffer.ts'
import type { StoreInside } from '../store-inside.ts'
import type { LiveRecords } from './live-records.ts'
import { type PackedRecords, byId, packedRecords } from './packed-records.ts'

export interface MoveParts {
  readonly inside: StoreInside
  readonly live: LiveRecords
  readonly room: ReusedBuffer
  /** Not of records that a replica has. */
  readonly isOwn: (packNumber: number) => boolean
}

const recordsBetweenTurns = 256

export class RecordMoves {
  readonly #parts: MoveParts
  #isMoving = false

  constructor(parts: MoveParts) {
    this.#parts = parts
  }

  /** Whether what is added at this moment is a copy. */
  get isMoving(): boolean {
    return this.#isMoving
  }

  /**
   * Bytes of what was copied. Errors: DAMAGED, NOT_FOUND (a record or its base cannot be read, or bytes are none),
   * NO_SPACE, IO, ABORTED.
   */
  async move(pack: PackInfo, call: LongCall): Promise<number> {
    const { inside, live, room } = this.#parts
    using file = inside.env.open(pack.path, 'read')
    const records = packedRecords(file, room)
    if (records.gapBytes > 0) throw new HoldfastError('DAMAGED', `${records.gapBytes} bytes of it are no sound record`)
    const wasLedTo = await this.#whichAreLedTo(pack, records, call)
    let movedBytes = 0
    for (let index = 0; index < records.count; index++) {
      if (index % recordsBetweenTurns === 0) await breathe(call)
      const [id, place] = [records.id(index), records.place(index)]
      if (!live.stays(id, place.depth)) continue
      if (wasLedTo[index] === 0 && this.#isServedElsewhere(pack, id, place)) continue
      this.#moveOne(pack, id, place)
      movedBytes += place.recordBytes
    }
    return movedBytes
  }

  /** Which of the records that stay the index leads to: 1 for each. That a put changes it meanwhile costs a copy. */
  async #whichAreLedTo(pack: PackInfo, records: PackedRecords, call: LongCall): Promise<Uint8Array> {
    const ledTo = new Uint8Array(records.count)
    for (const [done, index] of byId(records).entries()) {
      if (done % recordsBetweenTurns === 0) await breathe(call)
      const [id, place] = [records.id(index), records.place(index)]
      if (!this.#parts.live.stays(id, place.depth)) continue
      if (leadsTo(this.#locate(id, place), pack.number, place.offset)) ledTo[index] = 1
    }
    return ledTo
  }

  #locate(id: Buffer, { depth }: RecordPlace): RecordLocation | undefined {
    return this.#parts.inside.lookup.locate(id, depth)
  }

  /** The index may have lost it, or lead to what is none, or to a copy of what replicas have from this very pack. */
  #isServedElsewhere(pack: PackInfo, id: Buffer, place: RecordPlace): boolean {
    const location = this.#locate(id, place)
    if (location === undefined || leadsTo(location, pack.number, place.offset)) return false
    const mayServe = pack.isCopied || this.#parts.isOwn(location.packNumber)
    return mayServe && this.#parts.inside.reader.header(id, place.depth) !== undefined
  }

  #moveOne(pack: PackInfo, id: Buffer, place: RecordPlace): void {
    const { reader } = this.#parts.inside
    const { content, payload } = reader.copyAt(id, { packNumber: pack.number, ...place })
    this.#isMoving = true
    try {
      this.#parts.inside.add(content, payload, classOf(pack.isCopied))
    } finally {
      this.#isMoving = false
    }
  }
}
