/** What a collection of garbage is asked and tells: plain data. */
import type { RetentionRules } from './retention.ts'

export interface GarbageRequest extends RetentionRules {
  /** Images whose epochs the rules are for; all without it. */
  readonly images?: readonly string[]
  /** Share of a pack that may be garbage before it is rewritten; 0: no garbage stays anywhere. Default: a quarter. */
  readonly maxUnused?: number
  /** Epochs go also when a replica has not got them yet: they will never be there. */
  readonly unreplicated?: boolean
  /** Says what would go, and changes nothing. */
  readonly dryRun?: boolean
}

export interface RemovedEpoch {
  readonly epoch: string
  readonly wallMs: number
  readonly note: string
  /** What it added to the packs when it was sealed: more or less may be freed. Null where that is not known. */
  readonly storedBytes: number | null
}

export interface GarbageReport {
  readonly dryRun: boolean
  readonly keptEpochs: number
  readonly removedEpochs: readonly RemovedEpoch[]
  /** Why epochs stay, by address; of a dry run only. */
  readonly reasons: Readonly<Record<string, readonly string[]>>
  /** Chunks and records that stay. */
  readonly liveRecords: number
  readonly droppedPacks: number
  readonly rewrittenPacks: number
  readonly freedBytes: number
  readonly movedBytes: number
  /** Garbage in packs that are not worth rewriting yet. */
  readonly unusedBytes: number
  /** All that stays is in packs of the store's own: none of it is lost, or on replicas only. */
  readonly isComplete: boolean
  /** Numbers of the packs that would go, of a dry run only. */
  readonly goingPacks: readonly number[]
  /** Packs that were to go and stay, and why: the next collection tries again. */
  readonly left: readonly { readonly pack: number; readonly reason: string }[]
}

export interface CollectedGarbage extends GarbageReport {
  /**
   * Ids of epochs, in hex, of which all that they need is in packs of the store's own: what came to the store since
   * that was looked for is not among them, as it may be on replicas only.
   */
  readonly completeEpochs: readonly string[]
  /** Ids, in hex, of the packs that the store has of its own when it ends, or would have after a dry run. */
  readonly ownPacks: readonly string[]
}
