/**
 * How long the replicas have lacked an epoch of one machine, and how much that stretches its schedule. One epoch is
 * waited for at a time: once it is everywhere, the newest one takes its place. So the lag is told within a round
 * of the truth, and costs the same however many epochs wait.
 */
import type { EpochSummary } from '../image/types.ts'
import type { ReplicasOf } from './context.ts'
import type { MachineLimits } from './limits.ts'
import { lagShare } from './limits.ts'

export class ReplicaLag {
  readonly #replicasOf: ReplicasOf
  #awaited: { epoch: EpochSummary; sinceMs: number } | null = null

  constructor(replicasOf: ReplicasOf) {
    this.#replicasOf = replicasOf
  }

  /** At `nowMs` of any clock that does not go back; 0 when nothing is lacking. */
  ms(newest: EpochSummary | null, nowMs: number): number {
    if (this.#awaited !== null && this.#isEverywhere(this.#awaited.epoch)) this.#awaited = null
    if (this.#awaited === null && newest !== null && !this.#isEverywhere(newest)) {
      this.#awaited = { epoch: newest, sinceMs: nowMs }
    }
    return this.#awaited === null ? 0 : nowMs - this.#awaited.sinceMs
  }

  #isEverywhere(epoch: EpochSummary): boolean {
    const { have, of } = this.#replicasOf(epoch)
    return have >= of
  }
}

/** The least time between scheduled checkpoints while replicas lag so much; null when they lag within bounds. */
export function stretchedMs(lagMs: number, { replicaLagMs, stretchedMsMax }: MachineLimits): number | null {
  return lagMs <= replicaLagMs ? null : Math.min(stretchedMsMax, lagMs / lagShare)
}
