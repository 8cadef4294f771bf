/** What to keep, as options of verbs: plain JSON, which a schedule keeps. */
import { type ThinningStep, defaultThinning } from '../../image/collection/retention.ts'
import type { GarbageRequest } from '../../image/collection/types.ts'
import * as kinds from '../kinds.ts'
import { epochsKeptMax, keepWithinMsMax } from '../limits.ts'
import { type Values, flag, option, repeatedOption } from '../parameters.ts'

const countKind = kinds.count(1, epochsKeptMax)

export const garbageParameters = {
  image: repeatedOption(kinds.imageName, 'apply the rules to this image only'),
  keepLast: option(countKind, 'keep the newest N epochs of each image'),
  keepWithin: option(kinds.duration(1, keepWithinMsMax), 'keep epochs that are at most so much older than the newest'),
  keepHourly: option(countKind, 'keep the newest epoch of each of the last N hours that have one'),
  keepDaily: option(countKind, 'the same for days'),
  keepWeekly: option(countKind, 'the same for weeks'),
  thin: option(kinds.thinning, 'keep the first epoch of each span, wider spans for older ones: EVERY/AGE,...'),
  maxUnused: option(kinds.shareOrNone, 'how much of a pack may be garbage before it is rewritten; default 25%'),
  localOnly: flag('collect in the store only, and leave its replicas as they are'),
  unreplicated: flag('let epochs go also before all replicas have them: they will never be there'),
}

export type GarbageRules = Values<typeof garbageParameters>

/** Whether they say anything at all. */
export function isGiven({ image, ...others }: GarbageRules): boolean {
  return image.length > 0 || Object.values(others).some((rule) => rule !== undefined && rule !== false)
}

export function requestOf({ image, keepWithin, thin, localOnly: _, ...others }: GarbageRules): GarbageRequest {
  const images = image.length === 0 ? undefined : image
  return { ...others, images, keepWithinMs: keepWithin, thin: thin === undefined ? undefined : thinningOf(thin) }
}

function thinningOf(text: string): readonly ThinningStep[] {
  return text === 'default' ? defaultThinning : kinds.thinningSteps(text)
}
