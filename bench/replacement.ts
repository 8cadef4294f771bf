/** What do the users of a mount notice when its serving process is killed under load? */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Bench, BenchRun, Cell } from './rig/bench.ts'
import { highest, median, percentile } from './rig/figures.ts'
import type { Takeover } from './rig/killed-daemon.ts'
import { fioLoad, guestLoad, namesLoad } from './rig/killed-loads.ts'
import type { KilledLoad } from './rig/killed-loads.ts'
import type { Delay } from './rig/namespace-load.ts'

/** At most so long after a process is ready to take over, the one that serves is killed. */
const pauseMs = 1000
const columns = [
  'load', 'kills', 'left unanswered', 'requests resent', 'already done', 'p50 ms', 'p90 ms', 'p99 ms', 'most ms',
  'faults',
]

/** By their names in HOLDFAST_LOADS. */
const loads: Record<string, KilledLoad> = { names: namesLoad, fio: fioLoad, guest: guestLoad }

export const replacement: Bench = {
  name: 'replacement',
  question: 'what do the users of a mount notice when its serving process is killed under load?',
  async run(run) {
    const rows: Cell[][] = []
    const chosen = (process.env.HOLDFAST_LOADS ?? Object.keys(loads).join()).split(',').map((name) => loads[name])
    if (chosen.includes(undefined!)) throw new Error(`HOLDFAST_LOADS names some of ${Object.keys(loads).join()}`)
    const kills = Number(process.env.HOLDFAST_KILLS ?? (run.quick ? 21 : 1000)) / chosen.length
    for (const load of chosen) rows.push(await measure(run, load, Math.ceil(kills)))
    return {
      tables: [{ title: 'From the kill to the answer of an operation that waited or came meanwhile', columns, rows }],
      targets: rows.map((row) => ({
        what: `gap p99, ${String(row[0])}`, figure: Number(row[7]), limit: 300, kind: 'at most', unit: 'ms',
      })),
      lost: [],
      notes: [
        'A program changes names without a pause, checks each answer against a model, and the tree at the end; fio ' +
          'verifies what it wrote. A fault is an unexpected answer, a difference, or an error of fio.',
        'The guest is a Debian with its disk and its memory on the mount, writing rows to a database; its gap is the ' +
          'longest time between two rows around the kill, and a fault a row that is missing, an error in its log, a ' +
          'database or a store that does not check, or a machine that is another.',
        `SIGKILL up to ${pauseMs} ms after another process stands by. A kill left requests unanswered when the kernel ` +
          'sent some again; already done are those of them that the killed process had carried out.',
        'HOLDFAST_KILLS sets how many kills, shared by the loads; HOLDFAST_LOADS=names,fio,guest which of them.',
      ],
    }
  },
}

async function measure(run: BenchRun, load: KilledLoad, kills: number): Promise<Cell[]> {
  run.note(`${kills} kills under ${load.title}`)
  const running = await load.start(run, kills)
  const { daemon } = running
  for (let kill = 0; kill < kills; kill += 1) {
    await daemon.standsBy()
    await sleep(Math.random() * pauseMs)
    await daemon.kill()
    if (kill % 50 === 49) run.note(`${kill + 1} of ${kills}`)
  }
  const { faults, delays } = await running.finish()
  for (const fault of faults) run.note(fault)
  const takeovers = daemon.takeovers()
  await daemon.stop()
  const gaps = daemon.killsMs.map((killMs, kill) => gapMs(killMs, daemon.servedMs[kill], delays))
  return row(load.title, takeovers, gaps, faults)
}

function row(
  name: string, takeovers: readonly Takeover[], gaps: readonly number[], faults: readonly string[],
): Cell[] {
  const sum = (field: keyof Takeover): number => takeovers.reduce((total, each) => total + each[field], 0)
  return [
    name, gaps.length, takeovers.filter(({ resent }) => resent > 0).length, sum('resent'), sum('repeated'),
    median(gaps), percentile(gaps, 0.9), percentile(gaps, 0.99), highest(gaps), faults.length,
  ]
}

/**
 * Until the longest operation was answered that was under way between the kill and the moment when another process was
 * seen to serve: of the load's operations, one after the other, that is the one that waited for it. Without one the
 * load did nothing then, and the gap cannot be told: it counts as endless.
 */
function gapMs(killMs: number, servedMs: number, delays: readonly Delay[]): number {
  const waited = delays.filter(([beganMs, durationMs]) => beganMs <= servedMs && beganMs + durationMs >= killMs)
  const [beganMs, durationMs] = waited.reduce((most, each) => each[1] > most[1] ? each : most, [Infinity, -Infinity])
  return beganMs + durationMs - killMs
}
