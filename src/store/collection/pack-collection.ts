/**
 * One collection of garbage in the writer's thread, beside everything that goes on there. From its beginning on every
 * chunk that is put, also one that was there already, is noted as needed, with all that its record builds on (`note`).
 * So when what is needed was marked from records that were complete by then, nothing needed is missed:
 *
 *   begin -> [its owner waits for what had begun before, and marks] -> plan -> execute -> end
 *
 * A pack is given up in one turn of the event loop: nothing in it was noted since it was looked at, and from then on
 * it is hidden from lookups, so that a put of what it holds is no hit. Only then its entries leave the index, durably,
 * and its file the disk. Records that stay are copied, synced and indexed before. A crash leaves copies or garbage for
 * the next collection.
 */
import type { Buffer } from 'node:buffer'
import { isCode, messageOf } from '../../errors.ts'
import type { RecordLocation } from '../../format/keys.ts'
import { footerBytesFor } from '../../format/pack-footer.ts'
import type { RecordContent } from '../../format/pack-record.ts'
import { MIB, collectionGroupBytesMax, collectionGroupPacksMax, storeFreeBytesMin } from '../../limits.ts'
import type { PackInfo } from '../pack-set.ts'
import type { LongCall } from '../progress.ts'
import { ReusedBuffer } from '../reused-buffer.ts'
import type { StoreInside } from '../store-inside.ts'
import { LiveRecords } from './live-records.ts'
import { type PackPlan, type PlanLimits, type SurveyedPack, planPacks } from './pack-plan.ts'
import { PackRemoval } from './pack-removal.ts'
import { RecordMoves } from './record-moves.ts'
import { surveyPacks } from './survey.ts'

/** What a record says of itself and its base. */
export type NotedRecord = Pick<RecordContent, 'id' | 'depth' | 'baseId' | 'baseDepth'>

export interface CollectedPacks {
  readonly droppedPacks: number
  readonly rewrittenPacks: number
  readonly freedBytes: number
  readonly movedBytes: number
  /** Packs that stay although they were to go, and why. */
  readonly kept: { readonly pack: number; readonly reason: string }[]
}

/** A pack whose garbage is put again, again and again, while it is emptied, is left for the next time. */
const roundsMax = 8

export class PackCollection implements Disposable {
  readonly live: LiveRecords
  readonly #inside: StoreInside
  readonly #removal: PackRemoval
  readonly #moves: RecordMoves
  /** For one pack's footer after the other: they are never needed at once. */
  readonly #room = new ReusedBuffer()
  readonly #onEnd: () => void
  /** Packs with a record that was noted since it was looked at. */
  readonly #touched = new Set<number>()
  /** By number: not of records that a replica has. */
  readonly #own = new Map<number, boolean>()
  #isComplete = false

  constructor(inside: StoreInside, onEnd: () => void) {
    const { records } = totalsOf(inside)
    this.#inside = inside
    this.#onEnd = onEnd
    this.#removal = new PackRemoval(inside, this.#room)
    this.live = new LiveRecords(records, inside.env.randomBytes(4).readInt32LE(0))
    const isOwn = (packNumber: number): boolean => this.#isOwn(packNumber)
    this.#moves = new RecordMoves({ inside, live: this.live, room: this.#room, isOwn })
  }

  /** A record that was found for a put, or written for it. */
  note(record: NotedRecord): void {
    this.live.keep(record.id)
    this.#touch(record.id, record.depth)
    for (let at = record; at.baseId !== undefined;) {
      this.live.keepBase(at.baseId, at.baseDepth)
      const base = this.#inside.reader.header(at.baseId, at.baseDepth)
      if (base === undefined) return
      this.#touch(base.id, base.depth)
      at = base
    }
  }

  added(record: NotedRecord, location: RecordLocation): void {
    if (!this.#moves.isMoving) this.note(record)
    this.#removal.added(record.id, location)
  }

  /** What the index may lack for a moment. */
  locate(id: Buffer, depth: number): RecordLocation | undefined {
    return this.#removal.locate(id, depth)
  }

  hides(packNumber: number): boolean {
    return this.#removal.hides(packNumber)
  }

  /** What was marked before, and all that was put, is synced. Errors: ABORTED, IO. */
  async plan(call: LongCall, limits?: PlanLimits): Promise<PackPlan> {
    const packs = await surveyPacks(this.#inside, this.live, this.#room, call)
    this.#isComplete = this.live.missing === 0 && !packs.some(({ isDamaged }) => isDamaged)
    return planPacks(packs, limits)
  }

  /** Whether the plan found all that stays in packs of the store's own: nothing is lost, or on replicas only. */
  get isComplete(): boolean {
    return this.#isComplete
  }

  /** What is put from now on goes to other packs. Errors: NO_SPACE, IO. */
  closePacks(numbers: readonly number[]): void {
    for (const number of numbers) this.#inside.packs.closeIfOpen(number)
  }

  /** Packs without anything that stays go first, as that needs no space. Errors: ABORTED, IO, FAILED_STATE. */
  execute(plan: PackPlan, call: LongCall): Promise<CollectedPacks> {
    return this.#inside.packs.withReserve(() => this.#execute(plan, call))
  }

  async #execute(plan: PackPlan, call: LongCall): Promise<CollectedPacks> {
    const kept: CollectedPacks['kept'] = []
    const done = { droppedPacks: 0, rewrittenPacks: 0, freedBytes: 0, movedBytes: 0, kept }
    const [drop, rewrite] = [plan.drop, plan.rewrite].map((packs) => packs.filter((pack) => this.#closes(pack, kept)))
    const infos = new Map(this.#inside.packs.packs().map((pack) => [pack.number, pack]))
    const total = plan.freedBytes
    const progress = (step: string): void => call.progress?.({ step, done: done.freedBytes, total, unit: 'bytes' })
    for (const group of groupsOf(drop)) {
      const packs = group.map(({ number }) => infos.get(number)).filter((pack) => pack !== undefined)
      const going = packs.filter(({ number }) => !this.#touched.has(number))
      await this.#removal.remove(going, call)
      done.droppedPacks += going.length
      done.freedBytes += sumOf(going)
      progress('dropping packs')
    }
    for (const group of this.#fitting(groupsOf(rewrite), kept)) {
      const { going, movedBytes } = await this.#empty(group, infos, kept, call)
      await this.#removal.remove(going, call)
      done.rewrittenPacks += going.length
      done.movedBytes += movedBytes
      done.freedBytes += sumOf(going) - movedBytes
      progress('rewriting packs')
    }
    return done
  }

  /** Idempotent. */
  end(): void {
    this.#onEnd()
  }

  [Symbol.dispose](): void {
    this.end()
  }

  /** False of one that is open and cannot be closed without space: it stays. Errors: IO. */
  #closes(pack: SurveyedPack, kept: CollectedPacks['kept']): boolean {
    try {
      this.closePacks([pack.number])
      return true
    } catch (error) {
      if (!isCode(error, 'NO_SPACE')) throw error
      kept.push(lackingRoom(pack))
      return false
    }
  }

  /**
   * Packs that have no room together may have it one by one, as each gives some back. Who has none is not begun: what
   * was copied of it would take the room of others.
   */
  *#fitting(groups: SurveyedPack[][], kept: CollectedPacks['kept']): Generator<SurveyedPack[]> {
    for (const group of groups) {
      if (this.#hasRoom(group)) yield group
      else if (group.length > 1) yield* this.#fitting(group.map((pack) => [pack]), kept)
      else kept.push(lackingRoom(group[0]))
    }
  }

  #hasRoom(group: readonly SurveyedPack[]): boolean {
    const { env, layout } = this.#inside
    const bytes = group.reduce((sum, { liveBytes, liveRecords }) => sum + liveBytes + footerBytesFor(liveRecords), 0)
    return env.freeBytes(layout.packs) >= bytes + storeFreeBytesMin
  }

  /** Copies what stays of some packs and syncs it; those that may go then. They are given up in the same turn. */
  async #empty(
    group: readonly SurveyedPack[], infos: ReadonlyMap<number, PackInfo>, kept: CollectedPacks['kept'], call: LongCall,
  ): Promise<{ going: PackInfo[]; movedBytes: number }> {
    const emptied: PackInfo[] = []
    let movedBytes = 0
    try {
      for (const { number } of group) {
        const pack = infos.get(number)
        if (pack === undefined) continue
        const moved = await this.#moveAll(pack, call)
        if (typeof moved === 'string') kept.push({ pack: number, reason: moved })
        else emptied.push(pack)
        movedBytes += typeof moved === 'string' ? 0 : moved
      }
      await this.#inside.sync()
    } catch (error) {
      if (!isCode(error, 'NO_SPACE')) throw error
      for (const pack of group) kept.push(lackingRoom(pack))
      return { going: [], movedBytes }
    }
    const going = emptied.filter(({ number }) => !this.#touched.has(number))
    for (const pack of emptied) if (!going.includes(pack)) kept.push({ pack: pack.number, reason: 'it is in use' })
    this.#removal.hide(going)
    return { going, movedBytes }
  }

  /** Bytes that were moved, or why the pack cannot be emptied. Errors: NO_SPACE, IO, ABORTED. */
  async #moveAll(pack: PackInfo, call: LongCall): Promise<number | string> {
    let movedBytes = 0
    try {
      for (let round = 0; round < roundsMax; round++) {
        this.#touched.delete(pack.number)
        movedBytes += await this.#moves.move(pack, call)
        if (!this.#touched.has(pack.number)) return movedBytes
      }
    } catch (error) {
      if (isCode(error, 'DAMAGED', 'NOT_FOUND')) return messageOf(error)
      throw error
    }
    return 'its records are put again all the time'
  }

  #isOwn(packNumber: number): boolean {
    const known = this.#own.get(packNumber)
    if (known !== undefined) return known
    for (const { number, isCopied } of this.#inside.packs.packs()) this.#own.set(number, !isCopied)
    return this.#own.get(packNumber) ?? false
  }

  #touch(id: Buffer, depth: number): void {
    const location = this.#inside.lookup.locate(id, depth)
    if (location === undefined) return
    this.#touched.add(location.packNumber)
    if (this.#isOwn(location.packNumber)) this.live.found(id, depth)
  }
}

/** `free some, or run gc` is no help to whoever runs it. */
function lackingRoom({ number, liveBytes }: SurveyedPack): CollectedPacks['kept'][number] {
  const mebibytes = Math.ceil((liveBytes + storeFreeBytesMin) / MIB)
  const remedy = 'remove something else from its file system, or let more epochs go, and run gc again'
  return { pack: number, reason: `moving what stays of it takes ${mebibytes} MiB of free space: ${remedy}` }
}

/** Packs that are moved, synced and removed together. */
function groupsOf(packs: readonly SurveyedPack[]): SurveyedPack[][] {
  const groups: SurveyedPack[][] = []
  let bytes = 0
  for (const pack of packs) {
    const last = groups.at(-1)
    const fits = last !== undefined && last.length < collectionGroupPacksMax &&
      bytes + pack.liveBytes <= collectionGroupBytesMax
    if (fits) last.push(pack)
    else groups.push([pack])
    bytes = (fits ? bytes : 0) + pack.liveBytes
  }
  return groups
}

function totalsOf({ packs }: StoreInside): { records: number } {
  const { data, node } = packs.stats()
  return { records: data.records + node.records }
}

function sumOf(packs: readonly PackInfo[]): number {
  return packs.reduce((sum, { fileBytes }) => sum + fileBytes, 0)
}
