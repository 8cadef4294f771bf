/** How full an image's log is, and what its writers are to do about it. */
import type { HeadLimits } from './head-limits.ts'
import type { LogWriter } from './log-writer.ts'

/** How long a write is held up, by the share of the log that is full. */
const holdUps = [{ above: 0.9, ms: 50 }, { above: 0.75, ms: 20 }, { above: 0.6, ms: 5 }]

/** The log's share of what may lie in it before it is committed. */
export function logFill(log: LogWriter, { logBytesMax, logRecordsMax }: HeadLimits): number {
  return Math.max(log.unretiredBytes / logBytesMax, log.unretiredRecords / logRecordsMax)
}

/** Milliseconds, the more the fuller it is: commits so keep up with writers who would else be stopped for seconds. */
export function holdUpMs(fill: number): number {
  return holdUps.find(({ above }) => fill > above)?.ms ?? 0
}

/** Time to begin another segment. */
export function isSegmentFull(log: LogWriter, limits: HeadLimits): boolean {
  return Math.max(log.laneBytes('disk'), log.laneBytes('memory')) > sliceBytes(limits) ||
    log.segmentRecords > Math.min(limits.sliceRecordsMax, limits.segmentRecordsMax)
}

/** What was appended since the last commit that was asked for. */
export interface Uncommitted {
  bytes: number
  records: number
}

/** Time to commit the segments that are full. */
export function isCommitDue({ bytes, records }: Uncommitted, limits: HeadLimits): boolean {
  return bytes > limits.segmentBytesMax - sliceBytes(limits) / 2 || records > limits.segmentRecordsMax
}

function sliceBytes({ sliceBytesMax, segmentBytesMax }: HeadLimits): number {
  return Math.min(sliceBytesMax, segmentBytesMax)
}
