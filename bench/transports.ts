/** What does serving without root cost? fio with direct I/O on one file, through each transport and on the disk. */
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TransportName } from '../src/index.ts'
import type { Bench, BenchResult, BenchRun, Cell } from './rig/bench.ts'
import { median } from './rig/figures.ts'
import { BenchStore } from './rig/holdfast.ts'
import { runBeside } from './rig/programs.ts'

interface Job {
  readonly title: string
  readonly unit: 'IOPS' | 'MB/s'
  readonly parameters: readonly string[]
}

const random = (kind: 'randread' | 'randwrite', depth: number): Job => ({
  title: `${kind} 4k QD${depth}`,
  unit: 'IOPS',
  parameters: [`--rw=${kind}`, '--bs=4k', `--iodepth=${depth}`],
})
const sequential = (kind: 'read' | 'write'): Job => ({
  title: `${kind} 1M`,
  unit: 'MB/s',
  parameters: [`--rw=${kind}`, '--bs=1M', '--iodepth=1'],
})

/** The first fills the file. */
const jobs: readonly Job[] = [
  sequential('write'), sequential('read'),
  random('randread', 1), random('randread', 16), random('randwrite', 1), random('randwrite', 16),
]
const fileMegabytes = 256

interface FioReport {
  readonly jobs: readonly { readonly read: FioSide; readonly write: FioSide }[]
}

interface FioSide {
  readonly iops: number
  readonly bw_bytes: number
}

interface Place {
  readonly name: string
  readonly file: string
  /** One list of figures for each job. */
  readonly figures: readonly number[][]
}

export const transports: Bench = {
  name: 'transports',
  question: 'what does serving without root, through fuse-native, cost beside the kernel transport?',
  async run(run) {
    const store = await BenchStore.make(run.scratch)
    await using connection = await store.connect()
    const places = [placeAt('disk', run.scratch.directory)]
    for (const transport of ['kernel', 'native'] satisfies TransportName[]) {
      const image = await connection.createImage(transport)
      const directory = run.scratch.path(`mount-${transport}`)
      mkdirSync(directory)
      await image.mount(directory, { transport })
      const place = placeAt(transport, directory)
      places.push(place)
      await runJob(run, place, jobs[0])
      await image.seal()
    }
    await measure(run, places)
    for (const name of ['kernel', 'native']) await connection.unmount(run.scratch.path(`mount-${name}`))
    return resultOf(places)
  },
}

/** In turns, each round in another order: whatever else the machine does meets all alike. */
async function measure(run: BenchRun, places: readonly Place[]): Promise<void> {
  for (const [index, job] of jobs.entries()) {
    run.note(job.title)
    for (let round = 0; round < (run.quick ? 1 : 3); round++) {
      for (let turn = 0; turn < places.length; turn++) {
        const place = places[(round + turn) % places.length]
        place.figures[index].push(await runJob(run, place, job))
      }
    }
  }
}

async function runJob(run: BenchRun, place: Place, job: Job): Promise<number> {
  const report = run.scratch.path('fio.json')
  const time = job === jobs[0] ? [] : ['--time_based', `--runtime=${run.quick ? 1 : 3}`]
  await runBeside('fio', [
    '--name=job', `--filename=${place.file}`, `--size=${fileMegabytes}M`, '--direct=1', '--ioengine=libaio',
    '--fallocate=none', '--randrepeat=0', '--output-format=json', `--output=${report}`, ...job.parameters, ...time,
  ])
  const [{ read, write }] = (JSON.parse(readFileSync(report, 'utf8')) as FioReport).jobs
  const side = job.parameters[0].includes('read') ? read : write
  return job.unit === 'IOPS' ? side.iops : side.bw_bytes / 1e6
}

function placeAt(name: string, directory: string): Place {
  return { name, file: join(directory, 'file'), figures: jobs.map(() => []) }
}

function resultOf(places: readonly Place[]): BenchResult {
  const middle = (name: string, index: number): number =>
    median(places.find((place) => place.name === name)?.figures[index] ?? [])
  const rows = jobs.map(({ title, unit }, index): Cell[] => {
    const [kernel, native, disk] = ['kernel', 'native', 'disk'].map((name) => middle(name, index))
    return [title, unit, kernel, native, disk, kernel / native]
  })
  return {
    tables: [{
      title: `fio, direct=1, a file of ${fileMegabytes} MB, medians of the rounds`,
      columns: ['job', 'unit', 'kernel', 'native', 'disk', 'kernel / native'],
      rows,
    }],
    targets: [],
    lost: rows.flatMap(([title, , kernel, native]) =>
      Number(native) > Number(kernel) ? [`${String(title)}: the native transport is faster.`] : []),
    notes: [
      'Both transports serve a head of their own with its log and commits behind. The files were filled and sealed ' +
        'before, so what is read first lies in packs.',
      'The native transport serves from the main thread of the daemon, in requests of at most 128 KiB.',
    ],
  }
}
