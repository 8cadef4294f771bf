/** What the replicator's thread and its owner tell each other. */
import type { Secret } from '../crypto/secret.ts'
import type { GarbageRequest } from '../image/collection/types.ts'
import type { DurablePack, FenceRequest, Progress } from '../image/types.ts'
import type { ReplicaGarbage } from '../replica/collection/replica-garbage.ts'
import type { ReplicaStatus } from '../replica/replicator.ts'
import type { Fault } from './engine-messages.ts'

/** Calls of the owner to the thread. */
export interface ReplicatorCalls {
  /** The registry has changed. */
  refresh: { args: undefined; result: undefined }
  status: { args: undefined; result: ReplicaStatus[] }
  sync: { args: { name: string | null }; result: undefined }
  collect: { args: ReplicaCollectArgs; result: ReplicaGarbage[] }
  close: { args: undefined; result: undefined }
}

/** What is to go on replicas after a collection in the store. */
export interface ReplicaCollectArgs {
  request: GarbageRequest
  /** These as in `CollectedGarbage`. */
  isComplete: boolean
  completeEpochs: readonly string[]
  ownPacks: readonly string[]
  /** Images that are not here any more, and are to go there as well. */
  forget: readonly string[]
  /** Epochs (IMAGE@N) and packs that would go here; null where they are gone. */
  dryRun: { epochs: string[]; packs: number[] } | null
}

/** What the thread asks of the engine. */
export interface EngineQuestions {
  durablePacks: { args: { from: number }; result: DurablePack[] }
  fence: { args: FenceRequest; result: { image: string } }
}

export interface OpenReplicator {
  type: 'open'
  directory: string
  /** Opens an encrypted store. */
  secret: Secret | undefined
}

export type ToReplicator =
  | OpenReplicator
  | { type: 'poke' }
  | { type: 'call'; id: number; method: keyof ReplicatorCalls; args: unknown }
  | { type: 'abort'; id: number }
  | Answer

export type FromReplicator =
  | { type: 'opened' }
  | { type: 'refused'; fault: Fault }
  | { type: 'ask'; id: number; method: keyof EngineQuestions; args: unknown }
  | { type: 'progress'; id: number; progress: Progress }
  | { type: 'event'; message: string }
  | { type: 'published' }
  | Answer

export type Answer =
  | { type: 'done'; id: number; result: unknown }
  | { type: 'failed'; id: number; fault: Fault }
