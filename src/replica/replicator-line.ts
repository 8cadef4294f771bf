/** One replica as the replicator goes about it. */
import { HoldfastError, isCode } from '../errors.ts'
import type { ReplicaFeed } from './feed/replica-feed.ts'
import type { ReplicaEntry } from './registry.ts'
import type { Replica } from './replica.ts'

export interface Line {
  readonly entry: ReplicaEntry
  readonly replica: Replica
  readonly feed: ReplicaFeed
  readonly end: AbortController
  wake: () => void
  isPoked: boolean
  running: Promise<void>
  stepping: Promise<unknown>
  /** Whole packs on their way beside the steps. */
  settling: Promise<void> | null
  failures: number
  lastError: unknown
  /** A step has succeeded: a place that is not there then is one that went away, and may come back. */
  hasWorked: boolean
  behindSinceMs: number | null
  isAlarmed: boolean
  sentBytes: number
  sentEpochs: number
}

const refusals = ['WRONG_DOMAIN', 'KEY_NEEDED', 'NEWER_VERSION', 'REPLICA_DENIED', 'BAD_FORMAT', 'USAGE']

export function poke(line: Line): void {
  line.isPoked = true
  line.wake()
}

export function noteSuccess(line: Line): void {
  line.lastError = null
  line.failures = 0
  line.hasWorked = true
}

export function unknownReplica(name: string): HoldfastError {
  return new HoldfastError('NOT_FOUND', `there is no replica ${name}: see 'holdfast replica list'`)
}

/** Trying again will not help. */
export function isRefused({ lastError, hasWorked }: Line): boolean {
  return isCode(lastError, ...refusals) || (isCode(lastError, 'NOT_FOUND') && !hasWorked)
}
