/**
 * Looks at packs as they lie on the disk: at headers, framing and footers, or, with `readData`, decodes every
 * record (or a share of them) and compares its digest. Nothing is changed and nothing thrown for damage: it is
 * reported, and known to the store afterwards, so that the next put of a damaged chunk heals it.
 */
import type { Buffer } from 'node:buffer'
import { assert, isCode } from '../errors.ts'
import { MIB, damageReportsMax } from '../limits.ts'
import { type Damage, strangerNumber } from './damage.ts'
import type { PackInfo } from './pack-set.ts'
import { verifyPack } from './pack-verification.ts'
import { type LongCall, breathe } from './progress.ts'
import type { VerificationRun, VerifyInput } from './verification-run.ts'

export interface VerifyOptions extends LongCall {
  /** Whether records are read and decoded, and not only their headers looked at. Default true. */
  readonly readData?: boolean
  /** Which share of the records is decoded, above 0 to 1; another share each time. Default 1. */
  readonly fraction?: number
  /** Nothing more is begun after so long; then the first pack is any, so that each has its turn some day. */
  readonly timeMs?: number
  /** Packs to look at, by their numbers. Default all. */
  readonly only?: (packNumber: number) => boolean
  /** Told of all damage, while the report holds only the first of it. */
  readonly onDamage?: (damage: Damage) => void
}

export interface VerifyReport {
  packs: number
  /** Decoded and found right; without `readData` those with a sound header. */
  records: number
  plainBytes: number
  damagedCount: number
  /** The first `damageReportsMax` of them. */
  readonly damaged: Damage[]
  /** Sound records that the index does not know at any place: rebuilding it brings them back. */
  unindexed: number
  /** Packs, and their bytes, for which there was no time; a pack begun counts. */
  unreadPacks: number
  unreadBytes: number
}

/** Errors: ABORTED. */
export async function verifyPacks(input: VerifyInput, options: VerifyOptions): Promise<VerifyReport> {
  return new Verification(input, options).run()
}

class Verification implements VerificationRun {
  readonly input: VerifyInput
  readonly readData: boolean
  readonly isWhole: boolean
  readonly #options: VerifyOptions
  readonly #sampleStart: number
  readonly #sampleLength: number
  readonly #endMs: number
  readonly #packs: readonly PackInfo[]
  readonly #totalBytes: number
  readonly #report: VerifyReport = {
    packs: 0, records: 0, plainBytes: 0, damagedCount: 0, damaged: [], unindexed: 0, unreadPacks: 0, unreadBytes: 0,
  }
  #doneBytes = 0
  #breatheAt = 0

  constructor(input: VerifyInput, options: VerifyOptions) {
    const { fraction = 1, timeMs = Infinity, readData = true, only = () => true } = options
    assert(fraction > 0 && fraction <= 1, 'a share lies between 0 and 1')
    this.input = input
    this.readData = readData
    this.isWhole = fraction === 1
    this.#options = options
    this.#sampleStart = input.env.randomBytes(4).readUInt32LE()
    this.#sampleLength = fraction * 2 ** 32
    this.#endMs = input.env.monotonicMs() + timeMs
    this.#packs = input.packs.filter(({ number }) => only(number))
    this.#totalBytes = this.#packs.reduce((sum, pack) => sum + pack.fileBytes, 0)
  }

  async run(): Promise<VerifyReport> {
    for (const [path, reason] of this.input.strangers) {
      if (!this.input.env.exists(path)) continue
      this.damaged({ kind: 'file', path, packNumber: strangerNumber, offset: 0, bytes: 0, reason })
    }
    for (const pack of this.#order()) {
      if (!this.#isOver && await this.#pack(pack)) this.#report.packs += 1
      else this.#leaveOut(pack)
      this.#doneBytes += pack.fileBytes
    }
    return this.#report
  }

  isSampled(id: Buffer): boolean {
    return this.isWhole || ((id.readUInt32LE(0) - this.#sampleStart) >>> 0) < this.#sampleLength
  }

  sound(plainBytes: number, isIndexed: boolean): void {
    this.#report.records += 1
    this.#report.plainBytes += plainBytes
    if (!isIndexed) this.#report.unindexed += 1
  }

  damaged(damage: Damage): void {
    this.#options.onDamage?.(damage)
    this.#report.damagedCount += 1
    if (this.#report.damaged.length < damageReportsMax) this.#report.damaged.push(damage)
  }

  async reached(bytesOfPack: number): Promise<boolean> {
    const done = this.#doneBytes + bytesOfPack
    if (done < this.#breatheAt) return true
    this.#breatheAt = done + 4 * MIB
    const step = this.readData ? 'verifying packs' : 'looking at packs'
    this.#options.progress?.({ step, done, total: this.#totalBytes, unit: 'bytes' })
    await breathe(this.#options)
    return !this.#isOver
  }

  get #isOver(): boolean {
    return this.input.env.monotonicMs() >= this.#endMs
  }

  #order(): readonly PackInfo[] {
    const packs = this.#packs
    if (this.#endMs === Infinity || packs.length === 0) return packs
    const first = this.input.env.randomBytes(4).readUInt32LE() % packs.length
    return [...packs.slice(first), ...packs.slice(0, first)]
  }

  /** False where the time ended before the pack did. */
  async #pack(pack: PackInfo): Promise<boolean> {
    try {
      return await verifyPack(this, pack)
    } catch (error) {
      // The collector may take a pack away while others are read.
      if (isCode(error, 'NOT_FOUND') && !this.input.env.exists(pack.path)) return true
      throw error
    }
  }

  #leaveOut(pack: PackInfo): void {
    this.#report.unreadPacks += 1
    this.#report.unreadBytes += pack.fileBytes
  }
}
