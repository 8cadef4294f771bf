/** How much a head may write before what is written is committed, synced or refused; see limits.ts for the reasons. */
import {
  laneSyncBytes, logBytesMax, logRecordsMax, reserveBytes, segmentBytesMax, segmentRecordsMax, sliceBytesMax,
  sliceRecordsMax,
} from '../limits.ts'

export interface HeadLimits {
  readonly segmentBytesMax: number
  readonly segmentRecordsMax: number
  /** At most those of `segment`. */
  readonly sliceBytesMax: number
  readonly sliceRecordsMax: number
  readonly logBytesMax: number
  readonly logRecordsMax: number
  readonly laneSyncBytes: number
  readonly reserveBytes: number
}

export const headLimits: HeadLimits = Object.freeze({
  segmentBytesMax, segmentRecordsMax, sliceBytesMax, sliceRecordsMax, logBytesMax, logRecordsMax, laneSyncBytes,
  reserveBytes,
})
