/** How long does a checkpoint stop the guest, and what does the guest's work notice of it? */
import { setTimeout as sleep } from 'node:timers/promises'
import type { CheckpointResult } from '../src/index.ts'
import type { Bench, BenchRun, Cell, Table, Target } from './rig/bench.ts'
import type { CounterWatch } from './rig/counter-watch.ts'
import { highest, median, percentile } from './rig/figures.ts'
import { BenchMachine, plainShape } from './rig/machine.ts'
import type { GuestShape } from './rig/machine.ts'
import { SavevmGuest } from './rig/savevm.ts'

const betweenMs = 700
/** What was seen this long after a checkpoint still belongs to it. */
const afterMs = 100
const largeShape: GuestShape = { ...plainShape, name: 'large', memoryMebibytes: 4096, diskGibibytes: 64 }
const spread = ['p50', 'p99', 'highest'] as const

interface Measured {
  readonly pausesMs: number[]
  readonly parts: Record<string, number>[]
  /** Times between two numbers of the workload: while nothing was saved, while it was, the largest of each save. */
  readonly quietGapsMs: number[]
  readonly busyGapsMs: number[]
  readonly saveGapsMs: number[]
  readonly counts: string
}

export const pause: Bench = {
  name: 'pause',
  question: 'how long does a checkpoint stop the guest, and what does the guest’s work notice?',
  async run(run) {
    const plain = await measureHoldfast(run, plainShape, run.quick ? 5 : 60)
    const large = await measureHoldfast(run, largeShape, run.quick ? 3 : 30)
    const savevm = await measureSavevm(run, run.quick ? 2 : 10)
    return {
      tables: [pauseTable(plain, large, savevm), gapTable(plain, large, savevm), partsTable(plain, large)],
      targets: targetsOf(plain, large),
      lost: [],
      notes: [
        `Guest: Debian under TCG on a microvm, inserting rows into SQLite, each in a synced transaction, ` +
          `${plainShape.intervalMs} ms apart. The large one has 4 GiB of memory and a sparse disk of 64 GiB.`,
        `Checkpoints one at a time, ${betweenMs} ms apart. A pause is from the stop command to the guest running ` +
          'again; savevm stops the guest for the whole command.',
        `Counts of the machine: ${plain.counts}; of the large one: ${large.counts}.`,
        'Gaps are by this process’s clock at the guest’s serial line, as the guest’s own clock stands still with it.',
      ],
    }
  },
}

async function measureHoldfast(run: BenchRun, shape: GuestShape, count: number): Promise<Measured> {
  await using machine = await BenchMachine.start(run, shape)
  // The first one stores the whole memory; what is asked is what the ones after it cost.
  await machine.image.checkpoint()
  const taken: CheckpointResult[] = []
  const gaps = await measureGaps(run, machine.counters, count, async () => {
    taken.push(await machine.image.checkpoint())
  })
  const { requested, completed, failed, aborted } = (await machine.summary()).checkpoints
  return {
    pausesMs: taken.map(({ pauseMs }) => pauseMs), parts: taken.map(({ parts }) => parts), ...gaps,
    counts: `${requested} requested, ${completed} completed, ${failed} failed, ${aborted} aborted`,
  }
}

async function measureSavevm(run: BenchRun, count: number): Promise<Measured> {
  await using guest = await SavevmGuest.start(run)
  await guest.save('first')
  const pausesMs: number[] = []
  const gaps = await measureGaps(run, guest.counters, count, async () => {
    pausesMs.push(await guest.save(`save${pausesMs.length}`))
  })
  return { pausesMs, parts: [], ...gaps, counts: `${pausesMs.length} completed` }
}

/** A quiet time first, then `count` saves. */
async function measureGaps(
  run: BenchRun, counters: CounterWatch, count: number, save: () => Promise<void>,
): Promise<Pick<Measured, 'quietGapsMs' | 'busyGapsMs' | 'saveGapsMs'>> {
  await sleep(3000)
  const quietMs = performance.now()
  await sleep(run.quick ? 3000 : 20_000)
  const busyMs = performance.now()
  run.note(`saving the guest ${count} times`)
  const saveGapsMs: number[] = []
  for (let index = 0; index < count; index++) {
    const beginMs = performance.now()
    await save()
    await sleep(afterMs)
    saveGapsMs.push(highest(counters.gapsMs(beginMs - afterMs, performance.now())))
    await sleep(betweenMs - afterMs)
  }
  return {
    quietGapsMs: counters.gapsMs(quietMs, busyMs), busyGapsMs: counters.gapsMs(busyMs, performance.now()), saveGapsMs,
  }
}

function pauseTable(plain: Measured, large: Measured, savevm: Measured): Table {
  const row = (name: string, { pausesMs }: Measured): Cell[] => [name, pausesMs.length, ...spreadOf(pausesMs)]
  return {
    title: 'Pause of the guest, ms, as QMP has it',
    columns: ['', 'saves', ...spread],
    rows: [
      row('holdfast, 512 MiB', plain), row('holdfast, 4 GiB and 64 GiB disk', large),
      row('savevm to qcow2, 512 MiB', savevm),
    ],
  }
}

function gapTable(plain: Measured, large: Measured, savevm: Measured): Table {
  const rows = (name: string, { quietGapsMs, busyGapsMs, saveGapsMs }: Measured): Cell[][] => [
    [`${name}: nothing saved`, ...spreadOf(quietGapsMs)],
    [`${name}: saved again and again`, ...spreadOf(busyGapsMs)],
    [`${name}: largest around each save`, ...spreadOf(saveGapsMs)],
  ]
  return {
    title: 'Times between two numbers that the guest prints, ms',
    columns: ['', ...spread],
    rows: [...rows('holdfast, 512 MiB', plain), ...rows('holdfast, 4 GiB', large), ...rows('savevm', savevm)],
  }
}

function partsTable(plain: Measured, large: Measured): Table {
  const names = Object.keys(plain.parts[0])
  const of = ({ parts }: Measured, name: string): number[] => parts.map((each) => each[name])
  return {
    title: 'Parts of a checkpoint, ms; saveState and flush run side by side, liveFlush and commit beside the guest',
    columns: ['', '512 MiB p50', '512 MiB p99', '4 GiB p50', '4 GiB p99'],
    rows: names.map((name) => [
      name, median(of(plain, name)), percentile(of(plain, name), 0.99), median(of(large, name)),
      percentile(of(large, name), 0.99),
    ]),
  }
}

function targetsOf(plain: Measured, large: Measured): Target[] {
  const kind = 'at most'
  const ratio = median(large.pausesMs) / median(plain.pausesMs)
  return [
    { what: 'pause, p50', figure: median(plain.pausesMs), limit: 15, kind, unit: 'ms' },
    { what: 'pause, p99', figure: percentile(plain.pausesMs, 0.99), limit: 40, kind, unit: 'ms' },
    { what: 'pause with 4 GiB and a 64 GiB disk against 512 MiB, p50', figure: ratio, limit: 1.5, kind, unit: 'times' },
  ]
}

function spreadOf(values: number[]): Cell[] {
  return [median(values), percentile(values, 0.99), highest(values)]
}
