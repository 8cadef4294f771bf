/** Retention as options of verbs. */
import { type RetentionRules, type ThinningStep, defaultThinning } from '../../image/collection/retention.ts'
import * as kinds from '../kinds.ts'
import { epochsKeptMax, keepWithinMsMax } from '../limits.ts'
import { type Values, option } from '../parameters.ts'

const countKind = kinds.count(1, epochsKeptMax)

export const retentionParameters = {
  keepLast: option(countKind, 'keep the newest N epochs of each image'),
  keepWithin: option(kinds.duration(1, keepWithinMsMax), 'keep epochs that are at most so much older than the newest'),
  keepHourly: option(countKind, 'keep the newest epoch of each of the last N hours that have one'),
  keepDaily: option(countKind, 'the same for days'),
  keepWeekly: option(countKind, 'the same for weeks'),
  thin: option(kinds.thinning, 'keep the first epoch of each span, wider spans for older ones: EVERY/AGE,...'),
}

export function rulesOf({ keepWithin, thin, ...counts }: Values<typeof retentionParameters>): RetentionRules {
  return { ...counts, keepWithinMs: keepWithin, thin: thin === undefined ? undefined : thinningOf(thin) }
}

function thinningOf(text: string): readonly ThinningStep[] {
  return text === 'default' ? defaultThinning : kinds.thinningSteps(text)
}
