/**
 * Looks through all packs: which records stay because others build on them, and how much of each pack that is.
 * Bases mostly lie before what builds on them, in the same pack or an older one, so packs and records are taken from
 * the last to the first, again and again until no base is found any more: most often twice, never more than four
 * times, as depths fall along a chain.
 */
import { Buffer } from 'node:buffer'
import type { EnvFile } from '../../env/env.ts'
import { isCode } from '../../errors.ts'
import { codecDelta, readRecordHeader, recordHeaderBytesMax } from '../../format/pack-record.ts'
import type { PackInfo } from '../pack-set.ts'
import { type LongCall, breathe } from '../progress.ts'
import type { ReusedBuffer } from '../reused-buffer.ts'
import type { StoreInside } from '../store-inside.ts'
import type { LiveRecords } from './live-records.ts'
import type { SurveyedPack } from './pack-plan.ts'
import { packedRecords } from './packed-records.ts'

const recordsBetweenTurns = 4096
/** Headers of neighbours are read together. */
const windowBytes = 32 * 1024

/** What was appended is synced before. Errors: ABORTED, IO. */
export async function surveyPacks(
  inside: StoreInside, live: LiveRecords, room: ReusedBuffer, call: LongCall,
): Promise<SurveyedPack[]> {
  for (let pass = 1; ; pass++) {
    const packs = inside.packs.packs().reverse()
    const surveyed: SurveyedPack[] = []
    let basesFound = 0
    for (const [done, pack] of packs.entries()) {
      const looking = new PackSurvey(inside, live, { pack, room, isFirst: pass === 1 })
      surveyed.push(await looking.run(call))
      basesFound += looking.basesFound
      call.progress?.({ step: `looking through packs (${pass})`, done: done + 1, total: packs.length, unit: 'packs' })
    }
    if (basesFound === 0) return surveyed
  }
}

type Found = Pick<SurveyedPack, 'isDamaged' | 'recordBytes' | 'liveBytes' | 'liveRecords'>

class PackSurvey {
  readonly #inside: StoreInside
  readonly #live: LiveRecords
  readonly #pack: PackInfo
  readonly #room: ReusedBuffer
  readonly #isFirst: boolean
  basesFound = 0

  constructor(
    inside: StoreInside, live: LiveRecords,
    { pack, room, isFirst }: { pack: PackInfo; room: ReusedBuffer; isFirst: boolean },
  ) {
    this.#inside = inside
    this.#live = live
    this.#pack = pack
    this.#room = room
    this.#isFirst = isFirst
  }

  async run(call: LongCall): Promise<SurveyedPack> {
    const { number, fileBytes, closed, path } = this.#pack
    const base = { number, fileBytes, isOpen: !closed, isDamaged: true, recordBytes: 0, liveBytes: 0, liveRecords: 0 }
    try {
      using file = this.#inside.env.open(path, 'read')
      return { ...base, ...await this.#records(file, call) }
    } catch (error) {
      if (!isCode(error, 'NOT_FOUND', 'IO')) throw error
      return base
    }
  }

  async #records(file: EnvFile, call: LongCall): Promise<Found> {
    // What was appended to an open pack and is not written yet was noted when it was put.
    const end = this.#pack.closed ? file.size() : Math.min(file.size(), this.#pack.fileBytes)
    const records = packedRecords(file, this.#room, end)
    const headers = new HeaderWindow(file)
    let [recordBytes, liveBytes, liveRecords] = [0, 0, 0]
    let isDamaged = records.gapBytes > 0
    for (let index = records.count - 1; index >= 0; index--) {
      if (index % recordsBetweenTurns === 0) await breathe(call)
      const place = records.place(index)
      const id = records.id(index)
      recordBytes += place.recordBytes
      if (!this.#live.stays(id, place.depth)) continue
      liveBytes += place.recordBytes
      liveRecords += 1
      if (!this.#pack.isCopied) this.#live.found(id, place.depth)
      if (place.codec !== codecDelta || !this.#isToFollow(id)) continue
      if (!this.#follow(headers, place.offset)) isDamaged = true
    }
    return { isDamaged, recordBytes, liveBytes, liveRecords }
  }

  /** The bases of what is needed itself are all found in the first pass. */
  #isToFollow(id: Buffer): boolean {
    return this.#isFirst || !this.#live.isNeeded(id)
  }

  /** False where no header says what the record builds on. */
  #follow(headers: HeaderWindow, offset: number): boolean {
    const header = readRecordHeader(headers.at(offset), 0)
    if (header?.baseId === undefined) return false
    if (this.#live.keepBase(header.baseId, header.baseDepth)) this.basesFound += 1
    return true
  }
}

/** Reads towards the front of a file. */
class HeaderWindow {
  readonly #file: EnvFile
  readonly #bytes = Buffer.allocUnsafeSlow(windowBytes)
  #start = 0
  #length = 0

  constructor(file: EnvFile) {
    this.#file = file
  }

  at(offset: number): Buffer {
    const end = offset + recordHeaderBytesMax
    if (offset < this.#start || end > this.#start + this.#length) {
      this.#start = Math.max(0, end - windowBytes)
      this.#length = this.#file.read(this.#bytes, this.#start)
    }
    return this.#bytes.subarray(offset - this.#start, Math.min(this.#length, end - this.#start))
  }
}
