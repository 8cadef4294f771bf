/** Which epochs stay on a replica: by the same rules as in the store. */
import type { CollectedEpoch } from '../../replica/collection/types.ts'
import { decide } from './retention.ts'
import type { GarbageRequest } from './types.ts'

/** For `ReplicaCollectionRequest`. */
export function stayingBy(
  { images, keepLast, keepWithinMs, keepHourly, keepDaily, keepWeekly, thin }: GarbageRequest,
): (image: string, epochs: readonly CollectedEpoch[]) => ReadonlySet<number> {
  const chosen = { keepLast, keepWithinMs, keepHourly, keepDaily, keepWeekly, thin }
  return (image, epochs) => {
    const rules = images === undefined || images.includes(image) ? chosen : {}
    const staying = decide(epochs, rules).filter(({ reasons }) => reasons.length > 0)
    return new Set(staying.map(({ number }) => number))
  }
}
