/** How much a head may write before what is written is committed, synced or refused; see limits.ts for the reasons. */
import { laneSyncBytes, logBytesMax, reserveBytes, segmentBytesMax } from '../limits.ts'

export interface HeadLimits {
  readonly segmentBytesMax: number
  readonly logBytesMax: number
  readonly laneSyncBytes: number
  readonly reserveBytes: number
}

export const headLimits: HeadLimits = Object.freeze({ segmentBytesMax, logBytesMax, laneSyncBytes, reserveBytes })
