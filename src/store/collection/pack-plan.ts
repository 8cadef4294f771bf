/** What becomes of each pack, from what the survey found: pure, so that it can be shown before it is done. */
import { MIB } from '../../limits.ts'

export interface SurveyedPack {
  readonly number: number
  readonly fileBytes: number
  /** Records are still appended to it: it is closed first, if that is worth it. */
  readonly isOpen: boolean
  /** It cannot be read from end to end: repair's business, and it stays. */
  readonly isDamaged: boolean
  /** Records together, and of them those that stay. */
  readonly recordBytes: number
  readonly liveBytes: number
  readonly liveRecords: number
}

export interface PackPlan {
  /** Packs of which nothing stays. */
  readonly drop: readonly SurveyedPack[]
  /** Packs whose live records move to new ones; the most gain for the least work first. */
  readonly rewrite: readonly SurveyedPack[]
  readonly freedBytes: number
  readonly movedBytes: number
  /** Garbage that is left where it is. */
  readonly unusedBytes: number
}

export interface PlanLimits {
  /** A pack is rewritten when more than this share of its records is garbage. */
  readonly unusedShareMax: number
  /** An open pack is closed for that only where it holds at least so much garbage. */
  readonly openUnusedBytesMin: number
}

/** A quarter: each byte that is moved frees a third of one, or more. */
export const defaultPlanLimits: PlanLimits = Object.freeze({ unusedShareMax: 0.25, openUnusedBytesMin: 4 * MIB })

export function planPacks(packs: readonly SurveyedPack[], limits = defaultPlanLimits): PackPlan {
  const { unusedShareMax, openUnusedBytesMin } = limits
  const usable = packs.filter((pack) => !pack.isDamaged && (!pack.isOpen || unusedOf(pack) >= openUnusedBytesMin))
  const drop = usable.filter(({ liveRecords }) => liveRecords === 0)
  const rewrite = usable.filter((pack) => pack.liveRecords > 0 && unusedOf(pack) > unusedShareMax * pack.recordBytes)
    .toSorted((left, right) => right.fileBytes * left.liveBytes - left.fileBytes * right.liveBytes)
  const going = new Set([...drop, ...rewrite])
  return {
    drop, rewrite,
    freedBytes: sum(drop, ({ fileBytes }) => fileBytes) + sum(rewrite, (pack) => pack.fileBytes - pack.liveBytes),
    movedBytes: sum(rewrite, ({ liveBytes }) => liveBytes),
    unusedBytes: sum(packs.filter((pack) => !going.has(pack)), unusedOf),
  }
}

function unusedOf({ recordBytes, liveBytes }: SurveyedPack): number {
  return recordBytes - liveBytes
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0)
}
