/** Replicas as text. */
import type { ReplicaSummary } from '../../daemon/host.ts'
import type { ReplicaStatus } from '../../replica/replicator.ts'
import { table } from './table.ts'
import { ageText, bytesText, countText } from './units.ts'

export function replicasText(replicas: ReplicaSummary[]): string {
  const rows = replicas.map((each) => [
    each.name, each.url, each.isAuthority ? 'authority' : '',
    each.bytesPerSecondMax === null ? '' : `${bytesText(each.bytesPerSecondMax)}/s`,
  ])
  return table(['NAME', 'URL', 'IS', 'LIMIT'], rows, [3], 'no replicas')
}

export function replicaStatusText(replicas: ReplicaStatus[], nowMs: number): string {
  const rows = replicas.map((each) => [
    each.name, each.state, String(each.epochsBehind),
    each.behindSinceMs === null ? '' : ageText(each.behindSinceMs, nowMs), bytesText(each.sentBytes), each.url,
  ])
  const notes = replicas.flatMap(({ name, alarm, lastError }) => {
    if (alarm !== null) return [`alarm: ${alarm}`]
    return lastError === null ? [] : [`replica ${name}: ${lastError}`]
  })
  const head = ['NAME', 'STATE', 'EPOCHS BEHIND', 'SINCE', 'SENT', 'URL']
  return [table(head, rows, [2, 4], 'no replicas'), ...notes].join('\n')
}

/** `on 1 of 2 replicas`, empty where there are none. */
export function reachedText(replicas: { have: number; of: number } | undefined): string {
  return replicas === undefined ? '' : `; on ${replicas.have} of ${countText(replicas.of, 'replica')}`
}
