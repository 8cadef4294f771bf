/**
 * Which epochs of an image stay. Pure. What counts is how much time lay between epochs, never what a clock says now:
 * one that jumps back makes no epoch older, and one that jumps forward makes all others older only once an epoch was
 * made under it. Ages are taken from the newest epoch.
 */

export interface RetainedEpoch {
  readonly number: number
  readonly wallMs: number
  /** Why it stays whatever the rules say; null where they decide. */
  readonly neededFor: string | null
}

/** Epochs that any rule wants stay. Without any rule all stay. */
export interface RetentionRules {
  readonly keepLast?: number
  readonly keepWithinMs?: number
  /** The newest epoch of each of the last so many hours, days, weeks that have any. */
  readonly keepHourly?: number
  readonly keepDaily?: number
  readonly keepWeekly?: number
  readonly thin?: readonly ThinningStep[]
}

/** Up to that age, one epoch each so often: the first. The last step may have no end. */
export interface ThinningStep {
  readonly everyMs: number
  readonly ageMs: number
}

export interface Decision {
  readonly number: number
  /** What keeps it; empty where it goes. */
  readonly reasons: readonly string[]
}

const hourMs = 3_600_000
const dayMs = 24 * hourMs

/** Every 5 seconds for a minute, every minute for an hour, every hour for a day, every day for a month, then weekly. */
export const defaultThinning: readonly ThinningStep[] = Object.freeze([
  { everyMs: 5_000, ageMs: 60_000 },
  { everyMs: 60_000, ageMs: hourMs },
  { everyMs: hourMs, ageMs: dayMs },
  { everyMs: dayMs, ageMs: 30 * dayMs },
  { everyMs: 7 * dayMs, ageMs: Infinity },
])

export function hasRules(rules: RetentionRules): boolean {
  return Object.values(rules).some((rule) => rule !== undefined)
}

/** `epochs` by rising number, as the result. */
export function decide(epochs: readonly RetainedEpoch[], rules: RetentionRules): Decision[] {
  const timesMs = risingTimes(epochs)
  const reasons = epochs.map(({ neededFor }, at) => {
    if (at === epochs.length - 1) return ['newest']
    return neededFor === null ? [] : [neededFor]
  })
  if (!hasRules(rules)) for (const each of reasons) each.push('no rule')
  for (const [reason, kept] of wanted(timesMs, rules)) for (const at of kept) reasons[at].push(reason)
  return epochs.map(({ number }, at) => ({ number, reasons: reasons[at] }))
}

/** Times that only ever grow, by what the clock went forward from one epoch to the next. */
export function risingTimes(epochs: readonly Pick<RetainedEpoch, 'wallMs'>[]): number[] {
  let timeMs = epochs[0]?.wallMs ?? 0
  return epochs.map(({ wallMs }, at) => {
    if (at > 0) timeMs += Math.max(0, wallMs - epochs[at - 1].wallMs)
    return timeMs
  })
}

/** Indexes of the epochs that each rule wants. */
function wanted(timesMs: readonly number[], rules: RetentionRules): [string, number[]][] {
  const { keepLast = 0, keepWithinMs, keepHourly = 0, keepDaily = 0, keepWeekly = 0, thin = [] } = rules
  const newestMs = timesMs.at(-1) ?? 0
  const all = timesMs.map((_, at) => at)
  return [
    ['last', all.slice(all.length - Math.min(keepLast, all.length))],
    ['within', keepWithinMs === undefined ? [] : all.filter((at) => newestMs - timesMs[at] <= keepWithinMs)],
    ['hourly', newestOfSpans(timesMs, hourMs, keepHourly)],
    ['daily', newestOfSpans(timesMs, dayMs, keepDaily)],
    ['weekly', newestOfSpans(timesMs, 7 * dayMs, keepWeekly)],
    ['thinned', thinned(timesMs, thin)],
  ]
}

function newestOfSpans(timesMs: readonly number[], spanMs: number, spansMax: number): number[] {
  const newest = new Map<number, number>()
  timesMs.forEach((timeMs, at) => newest.set(Math.floor(timeMs / spanMs), at))
  return [...newest.values()].slice(Math.max(0, newest.size - spansMax))
}

/** The first of each span stays: what a finer step kept is there for the coarser one when its time comes. */
function thinned(timesMs: readonly number[], steps: readonly ThinningStep[]): number[] {
  const newestMs = timesMs.at(-1) ?? 0
  const kept: number[] = []
  for (const { everyMs, ageMs } of steps) {
    let span = -Infinity
    timesMs.forEach((timeMs, at) => {
      const here = Math.floor(timeMs / everyMs)
      if (here !== span && newestMs - timeMs <= ageMs) kept.push(at)
      span = here
    })
  }
  return kept
}
