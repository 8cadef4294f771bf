/** Sizes, counts and times of machines, each with its reason. Tests shorten the times. */
import { KIB, MIB } from '../limits.ts'

export interface MachineLimits {
  /** Live flushes before the guest stops: each leaves what was dirtied while it ran. */
  readonly flushRoundsMax: number
  /** A flush this short left nothing worth another round. */
  readonly flushShortMs: number
  /** A live flush may wait for a slow disk; the guest runs meanwhile. */
  readonly liveFlushTimeoutMs: number
  /** A flush in the pause: what one short live flush left. Longer, and the guest is better let go on. */
  readonly pausedFlushTimeoutMs: number
  readonly quiesceTimeoutMs: number
  readonly saveTimeoutMs: number
  readonly barrierTimeoutMs: number
  readonly startTimeoutMs: number
  readonly loadTimeoutMs: number
  /** How long a guest may take that is asked to power down; after that it is left alone, and its user told. */
  readonly powerdownTimeoutMs: number
  /** How long after a resume the first reads count as the working set. */
  readonly workingSetMs: number
  /** How often a guest that is paused for want of space is looked at. */
  readonly spaceCheckMs: number
  /** Replicas may lag so far before the schedule is stretched: some batches, retries, a restart of a NameNode. */
  readonly replicaLagMs: number
  /** And it is stretched to this at most: a minute is what may be lost here while a replica is away. */
  readonly stretchedMsMax: number
}

export const machineLimits: MachineLimits = Object.freeze({
  flushRoundsMax: 5,
  flushShortMs: 3,
  liveFlushTimeoutMs: 60_000,
  pausedFlushTimeoutMs: 5_000,
  quiesceTimeoutMs: 10_000,
  saveTimeoutMs: 10_000,
  barrierTimeoutMs: 5_000,
  startTimeoutMs: 60_000,
  loadTimeoutMs: 30_000,
  powerdownTimeoutMs: 30_000,
  workingSetMs: 3_000,
  spaceCheckMs: 1_000,
  replicaLagMs: 30_000,
  stretchedMsMax: 60_000,
})

/** Largest READ of a machine's mount: a first touch of mapped memory would otherwise read up to a MiB. */
export const machineReadBytesMax = 64 * KIB
/** The hypervisor ends late when memory is short: what it holds is the guest's, and its page cache is ours. */
export const oomScoreAdjust = -500
/** A period below this would be all pause. */
export const everyMsMin = 100
/** While replicas lag, so many checkpoints are taken as the lag doubles or so: what waits for them grows slowly. */
export const lagShare = 8
/** Commits behind one machine's back: a third checkpoint would only wait for them. */
export const commitsPendingMax = 2
/** Checkpoints asked for and not begun, of one machine. */
export const checkpointsWaitingMax = 8
/** Device state of the largest machine known is 1 MB; memory that is not shared would land there too. */
export const stateBytesMax = 64 * MIB
/** Memory that lies in no file is sent while the guest stands still: a few milliseconds' worth. */
export const unsharedBytesMax = 16 * MIB
/** Chunks that may be pushed before the load: what fits beside the start of the hypervisor is less. */
export const pushChunksMax = 1024
/** Kernels, initial RAM disks and firmwares held in memory: of a few kinds of guest. */
export const bootFilesMax = 12
/** A distribution's kernel has 15 MB, its initial RAM disk up to some dozens. */
export const bootFileBytesMax = 64 * MIB
/** Chunks of a recorded working set. */
export const workingSetChunksMax = 2048
/** One answer of the flush process: a listing of a root with many files. */
export const flushLineBytesMax = 4 * MIB
/** Requests to one flush process that are not answered. */
export const flushRequestsMax = 64
/** A journal: a plan with its CPU properties, some KiB. */
export const journalBytesMax = 4 * MIB
/** The end of a hypervisor's log that is quoted. */
export const logQuotedBytes = 2 * KIB
/** Alarms and notices kept for one machine. */
export const sentencesMax = 32
/** What a restore made ready for a resume is let go when none has come by then. */
export const expectedMs = 60_000
/** How often a machine is asked where its devices' queues are: some ms before a checkpoint. */
export const devicesAskedEveryMs = 30_000
