/** One collection of garbage: in the store, then on its replicas, which get what is left of the store's packs. */
import type { Engine } from '../image/engine.ts'
import type { GarbageReport } from '../image/collection/types.ts'
import type { CallOptions } from '../image/types.ts'
import type { ReplicaGarbage } from '../replica/collection/replica-garbage.ts'
import type { ReplicaCollectArgs } from './replicator-messages.ts'
import { type GarbageRules, requestOf } from './verbs/retention.ts'

export interface GarbageOutcome extends GarbageReport {
  /** The authority first; none where only the store was collected. */
  readonly replicas: readonly ReplicaGarbage[]
}

export interface ReplicaCollector {
  /** On each replica; what failed is told. Errors: ABORTED. */
  collect(args: ReplicaCollectArgs, options?: CallOptions): Promise<ReplicaGarbage[]>
}

export interface CollectOptions extends CallOptions {
  /** Images that the store has no more, by the name or id that they have on its replicas: there they go as well. */
  readonly forget?: readonly string[]
}

export interface GarbageParts {
  readonly engine: Engine
  readonly replicas: ReplicaCollector
}

/** A replica that fails does not make it fail. Errors: as the engine's `collectGarbage`. */
export async function collectEverywhere(
  { engine, replicas }: GarbageParts, rules: GarbageRules, dryRun: boolean, options: CollectOptions,
): Promise<GarbageOutcome> {
  const request = requestOf(rules)
  const { completeEpochs, ownPacks, ...report } = await engine.collectGarbage({ ...request, dryRun }, options)
  if (rules.localOnly) return { ...report, replicas: [] }
  const { isComplete, goingPacks, removedEpochs } = report
  const { forget = [] } = options
  const going = { epochs: removedEpochs.map(({ epoch }) => epoch), packs: [...goingPacks] }
  const asked = { request, isComplete, completeEpochs, ownPacks, forget, dryRun: dryRun ? going : null }
  const collected = await replicas.collect(asked, options)
  return { ...report, replicas: collected }
}

/** The first thing that went wrong, in a sentence; null where nothing did. */
export function troubleOf({ left, replicas }: GarbageOutcome): string | null {
  const failed = replicas.find(({ error }) => error !== null)
  if (failed !== undefined) return `replica ${failed.name}: ${failed.error}`
  return left.length === 0 ? null : `pack ${left[0].pack} stays for now: ${left[0].reason}`
}
