/** What a collection on a replica is asked and tells. */
import type { CallOptions } from '../replica.ts'
import type { RecordGroup } from './image-plan.ts'

/** What may publish records of an image there. */
export interface OwnedImage {
  readonly generation: number
  /** Publishes these records once more, in this order. Returns the paths. Errors: FENCED. */
  publishAgain(groups: readonly RecordGroup[], call: CallOptions): Promise<string[]>
}

/** An epoch on a replica, as retention sees it. */
export interface CollectedEpoch {
  readonly number: number
  readonly wallMs: number
  /** Why it stays whatever the rules say; null where they decide. */
  readonly neededFor: string | null
}

export interface ReplicaCollectionRequest {
  /** Which epochs of an image, by its name in the store, stay; `epochs` by rising number, at least one. */
  readonly decide: (image: string, epochs: readonly CollectedEpoch[]) => ReadonlySet<number>
  /** The store lacks nothing of its own. A damaged one may need what its packs on the replica have, some day. */
  readonly isComplete: boolean
  /**
   * Ids, in hex, of epochs of which all that they need of this store is in packs that are here: so what packs held that
   * have left the store since is in others. Otherwise a store that is damaged, or lacks what came as a record only,
   * would take the good copy from the replica.
   */
  readonly completeEpochs: ReadonlySet<string>
  /**
   * Ids, in hex, of the store's own packs when that was so. What leaves the store later, as in a repair, may leave
   * something behind that is nowhere else.
   */
  readonly ownPacks: ReadonlySet<string>
  /** Images that the store has no more, by the name or id that they have there: see `forgotten-images.ts`. */
  readonly forget?: readonly string[]
  /** Nothing is changed: what is told is what would go with these epochs (IMAGE@N) and packs, by their numbers here. */
  readonly dryRun: { readonly epochs: ReadonlySet<string>; readonly packs: ReadonlySet<number> } | null
}

/** What came of it. */
export interface ReplicaCollected {
  readonly keptEpochs: number
  /** IMAGE@N. */
  readonly removedEpochs: readonly string[]
  readonly removedPacks: number
  readonly freedBytes: number
  /** Index runs that led nowhere, and prefetch lists. */
  readonly removedHelpers: number
  /** Images that were to be forgotten and stay, as they were named, and why. */
  readonly refused: readonly { readonly image: string; readonly reason: string }[]
  /** Images there that were left alone, by their keys, and why. */
  readonly skipped: readonly { readonly image: string; readonly reason: string }[]
}
