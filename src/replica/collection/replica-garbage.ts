/** What a collection of garbage came to on one replica, also where it failed. */
import { HoldfastError, isCode, messageOf } from '../../errors.ts'
import { domainPath } from '../layout.ts'
import { collectProbeMs } from '../limits.ts'
import type { ReplicaEntry } from '../registry.ts'
import type { Replica } from '../replica.ts'
import type { CollectCall } from './collect-replica.ts'
import type { ReplicaCollected } from './types.ts'

export interface ReplicaGarbage extends ReplicaCollected {
  readonly name: string
  readonly url: string
  /** Null where all went well; else what was done until then stays done, and the next collection goes on. */
  readonly error: string | null
}

/** A replica that is away is told of soon. Errors: ABORTED. */
export async function collectedOn(
  { entry: { name }, replica }: { readonly entry: ReplicaEntry; readonly replica: Replica },
  run: (call: CollectCall) => Promise<ReplicaCollected>, call: CollectCall,
): Promise<ReplicaGarbage> {
  const { url } = replica
  try {
    const probed = await replica.stat(domainPath, { signal: call.signal, timeoutMs: collectProbeMs })
    if (probed === null) return { name, url, error: `${url} is empty: nothing of this store is there`, ...nothing }
    const progress: CollectCall['progress'] = (step, ...rest) => call.progress?.(`${name}: ${step}`, ...rest)
    return { name, url, error: null, ...await run({ ...call, progress }) }
  } catch (error) {
    if (!(error instanceof HoldfastError) || isCode(error, 'ABORTED')) throw error
    return { name, url, error: messageOf(error), ...nothing }
  }
}

const nothing: ReplicaCollected = Object.freeze({
  keptEpochs: 0, removedEpochs: [], removedPacks: 0, freedBytes: 0, removedHelpers: 0, refused: [], skipped: [],
})
