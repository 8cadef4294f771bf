/** Mounts, machines and the daemon as text. */
import type { MachineSummary, MountSummary } from '../../daemon/host.ts'
import type { DaemonStatus } from '../../daemon/verb.ts'
import type { EpochSummary } from '../../image/types.ts'
import type { ResultOf } from '../../daemon/verbs.ts'
import { epochLine, levelText } from './epochs.ts'
import { garbageScheduleText } from './garbage.ts'
import { reachedText } from './replicas.ts'
import { facts, table } from './table.ts'
import { ageText, bytesText, durationText, millisecondsText } from './units.ts'

export function mountsText(mounts: Pick<MountSummary, 'image' | 'directory' | 'machine'>[]): string {
  const rows = mounts.map((each) => [each.image, each.directory, each.machine ? 'machine' : ''])
  return table(['IMAGE', 'DIRECTORY', 'FOR'], rows, [], 'no mounts')
}

export function machineText(machine: MachineSummary): string {
  const { requested, completed, failed, aborted } = machine.checkpoints
  const text = facts([
    ['machine', `${machine.image} is ${machine.state}`],
    ['process', machine.pid === null ? null : String(machine.pid)],
    ['type', `${machine.machineType}, ${machine.accelerator}, ${bytesText(machine.memoryBytes)}`],
    ['mount', machine.mount],
    ['console', machine.console],
    ['schedule', scheduleText(machine)],
    ['checkpoints', `${completed} of ${requested} done, ${failed} failed, ${aborted} aborted`],
    ['newest', machine.newest === null ? null : newestText(machine.newest)],
    ['last error', machine.lastError],
  ])
  const alarms = machine.alarms.map((each) => `alarm: ${each}`)
  const notices = machine.notices.map((each) => `notice: ${each}`)
  return [text, ...alarms, ...notices].join('\n')
}

/** `every 0.1 s, now every 5 s`. */
function scheduleText({ everyMs, stretchedMs }: MachineSummary): string | null {
  if (everyMs === null) return null
  const stretched = stretchedMs === null ? '' : `, now every ${(stretchedMs / 1000).toFixed(1)} s`
  return `every ${everyMs / 1000} s${stretched}`
}

/** `vm@4, replicated on 1 of 2`. */
function newestText({ image, number, level, replicas }: EpochSummary): string {
  return `${image}@${number}, ${levelText(level, replicas)}`
}

export function machinesText(machines: MachineSummary[]): string {
  if (machines.length === 1) return machineText(machines[0])
  const rows = machines.map((each) => [
    each.image, each.state, each.pid === null ? '' : String(each.pid), each.accelerator, bytesText(each.memoryBytes),
    each.everyMs === null ? '' : `${each.everyMs / 1000} s`,
    each.newest === null ? '' : `@${each.newest.number}`,
    each.alarms.length === 0 ? '' : `${each.alarms.length}`,
  ])
  const head = ['IMAGE', 'STATE', 'PROCESS', 'ACCEL', 'MEMORY', 'EVERY', 'NEWEST', 'ALARMS']
  return table(head, rows, [2, 4, 5, 6, 7], 'no machines')
}

export function checkpointText(result: ResultOf<'vm checkpoint'>): string {
  if (result.kind === 'taken') {
    return `${epochLine(result.epoch)}; pause ${millisecondsText(result.pauseMs)}${reachedText(result.replicas)}`
  }
  const { image, everyMs } = result.machine
  return everyMs === null ? `${image} has no schedule` : `${image} is checkpointed every ${everyMs / 1000} s`
}

export function resumeText(result: ResultOf<'vm resume'>): string {
  const { epoch, resumeMs } = result
  return `resumed ${epoch.image}@${epoch.number} in ${millisecondsText(resumeMs)}\n${machineText(result.machine)}`
}

export function daemonText(status: DaemonStatus, nowMs: number): string {
  if (!status.running) return 'no daemon runs'
  const since = status.startedMs ?? nowMs
  return facts([
    ['daemon', `runs as process ${status.pid}, serving as ${status.servingPid}`],
    ['version', `${status.version} (control protocol ${status.protocol})`],
    ['started', `${ageText(since, nowMs)} (${durationText(nowMs - since)})`],
    ['replaced', `${status.replacements} times${status.survivesKills ? '' : ' (mounts end with their process here)'}`],
    ['clients', String(status.clients)],
    ['mounts', status.mounts.map((each) => `${each.image} on ${each.directory}`).join(', ') || 'none'],
    ['machines', status.machines.map((each) => `${each.image} ${each.state}`).join(', ') || 'none'],
    ['replicas', status.replicas.map((each) => `${each.name} ${each.state}`).join(', ') || 'none'],
    ['gc', status.garbage === null ? null : garbageScheduleText(status.garbage, nowMs)],
    ['alarms', status.replicas.flatMap(({ alarm }) => alarm ?? []).join('; ') || null],
  ])
}
