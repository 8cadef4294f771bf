/** What restores and replicas have to say, as text. */
import type { RestoreResult } from '../../daemon/host.ts'
import type { ReplicaImageSummary } from '../../daemon/replica-images.ts'
import { table } from './table.ts'
import { resumeText } from './machines.ts'
import { ageText, bytesText, millisecondsText } from './units.ts'

export function replicaImagesText(images: ReplicaImageSummary[], nowMs: number): string {
  const rows = images.map((each) => each.damaged === undefined
    ? [each.image, String(each.epochs), each.newest < 0 ? '' : `@${each.newest}`, ageText(each.changedMs, nowMs),
      each.owner.slice(0, 8), each.id]
    : ['?', '?', '?', '?', each.damaged, each.id])
  return table(['IMAGE', 'EPOCHS', 'NEWEST', 'CHANGED', 'OWNER', 'ID'], rows, [1, 2], 'no images')
}

export function restoreText(result: RestoreResult): string {
  const { epoch, generation, isWhole, fetchedBytes, restoreMs, notices, resumed } = result
  const role = generation === null ? 'a fork' : `owned by this store since generation ${generation}`
  const rest = isWhole ? 'all of it is here' : 'the rest follows when it is wanted, and in the background'
  const took = `${bytesText(fetchedBytes)} fetched in ${millisecondsText(restoreMs)}`
  const restored = `restored ${epoch.image}@${epoch.number}, ${role}: ${took}; ${rest}`
  return [restored, ...notices.map(noted), ...resumed === undefined ? [] : [resumeText(resumed)]].join('\n')
}

function noted(notice: string): string {
  return `note: ${notice}`
}
