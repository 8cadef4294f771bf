/** How much a head may write before what is written is committed, synced or refused; see limits.ts for the reasons. */
import {
  laneSyncBytes, logBytesMax, logRecordsMax, reserveBytes, segmentBytesMax, segmentRecordsMax,
} from '../limits.ts'

export interface HeadLimits {
  readonly segmentBytesMax: number
  readonly segmentRecordsMax: number
  readonly logBytesMax: number
  readonly logRecordsMax: number
  readonly laneSyncBytes: number
  readonly reserveBytes: number
}

export const headLimits: HeadLimits = Object.freeze({
  segmentBytesMax, segmentRecordsMax, logBytesMax, logRecordsMax, laneSyncBytes, reserveBytes,
})
