/** Sizes, counts and times of replicas, each with its reason. Tests shorten the times. */
import { assert } from '../errors.ts'
import { KIB, MIB, packBytesMax } from '../limits.ts'

export interface ReplicaLimits {
  /** One connection, one request's head or one answer of a server; a hung server is left after this. */
  readonly connectTimeoutMs: number
  readonly replyTimeoutMs: number
  /** Between two pieces of a body in either direction. */
  readonly idleTimeoutMs: number
  /** All tries of a call that moves no large body: longer than a NameNode's restart. */
  readonly callTimeoutMs: number
  /** All tries of a transfer. */
  readonly transferTimeoutMs: number
  /** Pauses between tries: doubled from the first to the second, plus up to as much by chance. */
  readonly backoffMinMs: number
  readonly backoffMaxMs: number
  /** Calls that run at once, each with one socket; and those that may wait for a place. */
  readonly callsMax: number
  readonly waitingCallsMax: number
}

export const replicaLimits: ReplicaLimits = Object.freeze({
  connectTimeoutMs: 3_000,
  replyTimeoutMs: 10_000,
  idleTimeoutMs: 10_000,
  callTimeoutMs: 60_000,
  transferTimeoutMs: 15 * 60_000,
  backoffMinMs: 50,
  backoffMaxMs: 2_000,
  callsMax: 16,
  waitingCallsMax: 1_000,
})

/** With the longest of our suffixes it stays below the 255 of file systems. */
export const objectNameBytesMax = 200
export const objectPathBytesMax = 1_000
/** The largest object: a pack. */
export const objectBytesMax = packBytesMax
/** Pieces in which objects are read from and written to files. */
export const pieceBytes = MIB
/** Of an upload: one in the socket, one ready to follow. */
export const piecesOnTheirWayMax = 2
/** An answer in JSON: a page of a listing has 1000 entries (`dfs.ls.limit`) of some 400 bytes. */
export const replyBytesMax = 4 * MIB
/** The text of a failure. */
export const failureBytesMax = 64 * KIB
/** Bytes under one checksum in HDFS (`dfs.bytes-per-checksum`). */
export const hdfsChecksumSpanBytes = 512
/** One block an object: then its checksum is one MD5 of checksums. */
export const hdfsBlockBytes = packBytesMax
/** Copies that outlive a DataNode: what has so many counts as replicated, and HDFS makes the others by itself. */
export const hdfsCopiesEnough = 2
/** Objects whose DataNode is remembered: the packs that are read at the same time. */
export const locationsMax = 256
/** DataNodes that one call leaves out after they failed. */
export const excludedNodesMax = 32

/** Index runs of one level that are merged into one of the next: eight of them to look into, at most, for each. */
export const runFanOut = 8
/** One digit of a name; 8 levels of 8 hold more than there can be. */
export const runLevelMax = 9
/** A run of the largest size: 44 bytes an entry and its tables, rounded up. */
export const indexRunBytesMax = 32 * MIB
/** Before what is unclear is asked again; the call itself has tried long. */
export const unclearPauseMs = 1_000
/** A collection asks whether a replica is there before it begins: one that is away does not hold up the others. */
export const collectProbeMs = 10_000
/** Looks for what writers that do not know yet put into a pack's directory while it is being removed. */
export const removePackTries = 8
/** Replicas of one store: each costs uploads of everything. */
export const replicasMax = 16
/** `replicas.json`, and the note of one replica: 100 bytes an image. */
export const registryBytesMax = 64 * KIB
export const noteBytesMax = 16 * MIB
/** A disk that is unmounted is noticed after this: until then what is written goes below its mount point. */
export const lookForRootMs = 3_000
/** Pauses between looks for copies: doubled from the first to the second. */
export const copiesLookMinMs = 10
export const copiesLookMaxMs = 500
/** Objects whose copies are looked for at once. */
export const looksAtOnceMax = 8
/** Packs that are brought to one replica at once, each read a piece at a time. */
export const packsAtOnceMax = 3

export interface ReplicationLimits {
  /** Between the beginnings of two batches: what is sealed meanwhile shares objects with the next one. */
  readonly batchEveryMs: number
  /** Pauses after a failed step: doubled from the first to the second. */
  readonly retryMinMs: number
  readonly retryMaxMs: number
  /** How long a step waits for enough copies of what it put: HDFS counts them as its DataNodes report. */
  readonly copiesWaitMs: number
  /** A replica that has lacked something for longer is worth an alarm. */
  readonly lagAlarmMs: number
}

export const replicationLimits: ReplicationLimits = Object.freeze({
  batchEveryMs: 1_000,
  retryMinMs: 1_000,
  retryMaxMs: 30_000,
  copiesWaitMs: 3_000,
  lagAlarmMs: 30_000,
})
/** An index run that is read and kept whole: 47,000 records. */
export const indexRunWholeBytesMax = 2 * MIB
/** Twice what the most entries take. */
export const indexRunObjectBytesMax = 64 * MIB
/** Runs that a reader looks into: many times what merging leaves. */
export const indexRunsMax = 4096
/** Records less than this apart are read in one go: about what a request costs in bytes. */
export const readGapBytesMax = 128 * KIB
/** And so much at most in one go, so that several servers can work at once. */
export const readRunBytesMax = 4 * MIB

assert(objectBytesMax <= hdfsBlockBytes, 'an object is one block')
assert(hdfsBlockBytes % hdfsChecksumSpanBytes === 0, 'HDFS takes only such block sizes')
