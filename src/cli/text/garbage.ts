/** What a collection of garbage did, or would do, as text. */
import type { GarbageOutcome } from '../../daemon/garbage-run.ts'
import type { GarbageScheduleState } from '../../daemon/host.ts'
import type { ResultOf } from '../../daemon/verbs.ts'
import type { RemovedEpoch } from '../../image/collection/types.ts'
import type { ReplicaGarbage } from '../../replica/collection/replica-garbage.ts'
import { columns } from './table.ts'
import { ageText, bytesText, countText, durationText } from './units.ts'

/** Epochs that are named; of more only the number is told. */
const namedMax = 50

export function garbageText(result: ResultOf<'gc'>, nowMs: number): string {
  return result.kind === 'collected' ? reportText(result, nowMs) : garbageScheduleText(result, nowMs)
}

/** `every 10 min 0 s, last 3 min ago: removed 5 epochs, freed 12 MiB`. */
export function garbageScheduleText(state: GarbageScheduleState, nowMs: number): string {
  const { everyMs, lastMs, removedEpochs, freedBytes, lastError } = state
  const failure = lastError === null ? '' : `; ${lastError}`
  if (everyMs === null || lastMs === null) return `garbage is not collected by a schedule${failure}`
  const every = `garbage is collected every ${durationText(everyMs)} while a daemon runs`
  if (removedEpochs === null || freedBytes === null) return `${every}${failure}`
  const last = `removed ${countText(removedEpochs, 'epoch')}, freed ${bytesText(freedBytes)}`
  return `${every}; last ${ageText(lastMs, nowMs)}: ${last}${failure}`
}

function reportText(report: GarbageOutcome, nowMs: number): string {
  const { dryRun, keptEpochs, removedEpochs, droppedPacks, rewrittenPacks } = report
  const bytes = `${bytesText(report.freedBytes)} freed, ${bytesText(report.movedBytes)} moved`
  const epochs = `${countText(removedEpochs.length, 'epoch')}, ${dryRun ? 'keep' : 'kept'} ${keptEpochs}`
  const packs = `${countText(droppedPacks, 'pack')}, ${dryRun ? 'rewrite' : 'rewrote'} ${rewrittenPacks}`
  return [
    ...(dryRun ? epochLines(removedEpochs, nowMs) : []),
    `${dryRun ? 'would remove' : 'removed'} ${epochs}`,
    `${dryRun ? 'would drop' : 'dropped'} ${packs}: ${bytes}`,
    ...(report.unusedBytes > 0 ? [`${bytesText(report.unusedBytes)} of garbage in packs that are mostly needed`] : []),
    ...report.left.map(({ pack, reason }) => `pack ${pack} stays for now: ${reason}`),
    ...report.replicas.flatMap((replica) => replicaLines(replica, dryRun)),
  ].join('\n')
}

/** `replica near: removed 3 epochs, kept 5; dropped 2 packs: 120 MiB freed`. */
function replicaLines(replica: ReplicaGarbage, isDry: boolean): string[] {
  const { name, error, removedEpochs, keptEpochs, removedPacks, freedBytes, refused, skipped } = replica
  if (error !== null) return [`replica ${name}: ${error}`]
  const epochs = `${countText(removedEpochs.length, 'epoch')}, ${isDry ? 'keep' : 'kept'} ${keptEpochs}`
  const packs = `${countText(removedPacks, 'pack')}: ${bytesText(freedBytes)} freed`
  const done = isDry ? `would remove ${epochs}; would drop ${packs}` : `removed ${epochs}; dropped ${packs}`
  const named = isDry ? removedEpochs.slice(0, namedMax).map((epoch) => `  ${epoch}`) : []
  const left = skipped.map(({ image, reason }) => `replica ${name}: ${image} is left alone: ${reason}`)
  const kept = refused.map(({ image, reason }) => `replica ${name}: ${image} is not forgotten: ${reason}`)
  return [`replica ${name}: ${done}`, ...named, ...kept, ...left]
}

function epochLines(removed: readonly RemovedEpoch[], nowMs: number): string[] {
  if (removed.length === 0) return []
  const rows = removed.slice(0, namedMax).map(({ epoch, wallMs, storedBytes, note }) => {
    return [epoch, ageText(wallMs, nowMs), storedBytes === null ? '' : bytesText(storedBytes), note]
  })
  const more = removed.length - rows.length
  return ['would go:', columns(rows, [2]), ...(more > 0 ? [`and ${countText(more, 'more epoch')}`] : [])]
}
