/** Options of verbs that may wait for replicas. */
import * as kinds from '../kinds.ts'

/** Errors: USAGE. */
export function checkWaiting(
  { waitReplicas, waitTime }: { waitReplicas?: number; waitTime?: number },
): void {
  if (waitTime !== undefined && waitReplicas === undefined) {
    throw kinds.usage('--wait-time belongs to --wait-replicas: say how many replicas to wait for')
  }
}
