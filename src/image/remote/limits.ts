/** Sizes, counts and times of reading from replicas, each with its reason. */
import { KIB, MIB } from '../../limits.ts'
import type { ReplicaLimits } from '../../replica/limits.ts'
import { replicaLimits } from '../../replica/limits.ts'

/** A replica that has not given all by then is left for the next one. */
export const tryTimeoutMs = 8_000
/** The last one may take its time: longer than a NameNode's restart. */
export const lonelyTimeoutMs = 45_000
/** One that failed is asked after the others for so long. */
export const restAfterFailureMs = 10_000
/** How long a thread waits for the fetching thread: longer than all replicas together may take. */
export const fetchTimeoutMs = 120_000
/** Requests are small and somebody waits: a hung server is left sooner than in uploads. */
export const readLimits: ReplicaLimits = Object.freeze({
  ...replicaLimits,
  connectTimeoutMs: 1_000,
  replyTimeoutMs: 2_500,
  idleTimeoutMs: 2_500,
  callTimeoutMs: lonelyTimeoutMs,
})
/** Chunks gathered at once when many are wanted: with their bases they fit in memory twice over. */
export const windowChunks = 256
/** What a read of an absent chunk asks for along with it: 1 MiB of a file. */
export const readAheadChunks = 16
/** Windows under way at once: one is read while the one before is verified and kept. */
export const windowsMax = 3
/** Records that wait for the writer; beyond, they are not kept, and read again when they are wanted. */
export const unkeptBytesMax = 128 * MIB
/** Small parcels go into the store together up to this: a copy of so much costs less than a sync. */
export const keptAtOnceBytesMax = 8 * MIB
/**
 * Records of a prefetch list at once: few, large reads. What they give is held in memory in one piece. The first piece
 * of chunks has what a hypervisor starts with, a kernel included; it starts while the others come.
 */
export const aheadBytesMax = 16 * MIB
/** Such records are read in one go if no more lies between them: a request costs as much as these bytes. */
export const aheadGapBytesMax = 512 * KIB
/** A resume that follows a restore is over by then. */
export const keepDelayMs = 3_000
/** An owner that published within this may well be alive: it is replaced on request only. */
export const ownerSilentMs = 5 * 60_000
/** A repair asks whether a replica is there before it looks for records: one that is away does not hold it up. */
export const replicaProbeMs = 10_000
