/** What does a mount cost its users, beside the directory below and a FUSE file system that does nothing else? */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { secretControlName } from '../fuse/index.ts'
import type { Bench, BenchRun, Cell } from './rig/bench.ts'
import { BenchStore } from './rig/holdfast.ts'

interface Job {
  readonly title: string
  readonly unit: 'MB/s' | 'IOPS'
  readonly parameters: readonly string[]
}

/** Rates of `--output-format=json`; `bw` in KiB a second. */
interface FioReport {
  readonly jobs: readonly Record<'read' | 'write', { readonly iops: number; readonly bw: number }>[]
}

const depth16 = ['--ioengine=libaio', '--iodepth=16']
const jobs: readonly Job[] = [
  { title: 'write 1 MiB MB/s', unit: 'MB/s', parameters: ['--rw=write', '--bs=1m'] },
  { title: 'read 1 MiB MB/s', unit: 'MB/s', parameters: ['--rw=read', '--bs=1m'] },
  { title: 'randread 4 KiB /s', unit: 'IOPS', parameters: ['--rw=randread', '--bs=4k'] },
  { title: 'depth 16 /s', unit: 'IOPS', parameters: ['--rw=randread', '--bs=4k', ...depth16] },
  { title: 'randwrite 4 KiB /s', unit: 'IOPS', parameters: ['--rw=randwrite', '--bs=4k'] },
  { title: 'depth 16 /s', unit: 'IOPS', parameters: ['--rw=randwrite', '--bs=4k', ...depth16] },
]

export const mount: Bench = {
  name: 'mount',
  question: 'what does a mount cost its users?',
  async run(run) {
    const rows: Cell[][] = []
    const plain = run.scratch.path('plain')
    mkdirSync(plain)
    rows.push(measure(run, 'plain directory', plain))
    rows.push(measure(run, 'FUSE, contents in memory', await serveMemory(run)))
    const store = await BenchStore.make(run.scratch, 'store')
    await store.create('image', [])
    await using connection = await store.connect()
    const image = connection.image('image')
    const directory = await store.mount(image)
    rows.push(measure(run, 'image, in its log', directory))
    await image.seal()
    rows.push(measureReads(run, 'image, sealed', directory))
    await connection.unmount(directory)
    await store.stopDaemon()
    return {
      tables: [{ title: 'fio, direct=1, one job', columns: ['where', ...jobs.map(({ title }) => title)], rows }],
      targets: [],
      lost: [],
      notes: [
        'A mount cannot be faster than its FUSE: the second row is a file system with its contents in memory.',
        'An image writes to its log at once and commits behind; writers wait when a gibibyte is not committed yet.',
        'Sealed contents are read from packs: decoded, verified, and kept in a cache of 8 MiB.',
      ],
    }
  },
}

function measure(run: BenchRun, name: string, directory: string): Cell[] {
  run.note(name)
  return [name, ...jobs.map((job) => fio(run, job, directory))]
}

function measureReads(run: BenchRun, name: string, directory: string): Cell[] {
  run.note(name)
  return [name, ...jobs.map((job) => /rw=(rand)?read/.test(job.parameters[0]) ? fio(run, job, directory) : null)]
}

function fio(run: BenchRun, job: Job, directory: string): number {
  const { stdout, stderr, status } = spawnSync('fio', [
    '--name=mount', `--filename=${directory}/fio`, '--size=256m', '--direct=1', '--ioengine=psync', '--fallocate=none',
    '--time_based', `--runtime=${run.quick ? 1 : 5}`, '--refill_buffers', '--output-format=json', ...job.parameters,
  ], { encoding: 'utf8', maxBuffer: 2 ** 24 })
  if (status !== 0) throw new Error(`fio failed: ${stderr}`)
  const [{ read, write }] = (JSON.parse(stdout) as FioReport).jobs
  return job.unit === 'IOPS' ? read.iops + write.iops : (read.bw + write.bw) * 1024 / 1e6
}

/** The file system of the transport's own tests, in a process of its own. */
async function serveMemory(run: BenchRun): Promise<string> {
  const directory = run.scratch.path('memory')
  mkdirSync(directory)
  const program = new URL('../test/fuse/serve.ts', import.meta.url).pathname
  const options = JSON.stringify({ directory, controlName: secretControlName() })
  const child = spawn(process.execPath, ['--no-warnings', program, options], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  run.scratch.defer(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, 'exit')
    child.disconnect()
    await exited
  })
  await once(child, 'message')
  return directory
}
