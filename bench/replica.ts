/** How fast do packs get to a replica and back, beside curl and the disk, and how long does a publication take? */
import { Buffer } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { HdfsCluster, missingForHdfs } from '../rig/hdfs/index.ts'
import { systemEnv } from '../src/env/system.ts'
import { runProgram } from '../src/env/program.ts'
import { MIB } from '../src/limits.ts'
import { openReplica } from '../src/replica/open.ts'
import type { Replica } from '../src/replica/replica.ts'
import type { Bench, BenchResult, BenchRun, Cell } from './rig/bench.ts'
import { median, percentile, timed } from './rig/figures.ts'

const columns = ['', 'up MB/s', 'down MB/s']
const latencyColumns = ['', 'p50 ms', 'p99 ms']

interface Sizes {
  readonly packBytes: number
  readonly packs: number
  readonly publications: number
}

const quickSizes: Sizes = { packBytes: 8 * MIB, packs: 1, publications: 10 }
const fullSizes: Sizes = { packBytes: 64 * MIB, packs: 5, publications: 100 }

export const replica: Bench = {
  name: 'replica',
  question: 'how fast do packs get to a replica and back, and how long does a publication take?',
  async run(run): Promise<BenchResult> {
    const sizes = run.quick ? quickSizes : fullSizes
    const pack = randomBytes(sizes.packBytes)
    const rates: Cell[][] = [['disk: write and sync, read', ...await diskRates(run, pack, sizes)]]
    const latencies: Cell[][] = []
    const root = run.scratch.path('replica')
    mkdirSync(root)
    await measure('directory', openReplica(systemEnv(), `file://${root}`), pack, sizes, rates, latencies)
    const missing = missingForHdfs()
    if (missing === null) await measureHdfs(run, pack, sizes, rates, latencies)
    return {
      tables: [
        { title: `objects of ${sizes.packBytes / MIB} MiB, median of ${sizes.packs}`, columns, rows: rates },
        { title: `${sizes.publications} publications of 1 KiB, in turn`, columns: latencyColumns, rows: latencies },
      ],
      targets: [],
      lost: lostAgainst('hdfs', 'hdfs: curl', rates),
      notes: [
        'Ours compares length and checksum of every object before it has its name; curl compares nothing.',
        'HDFS: one host, 2 DataNodes, replication 2, no sync on close. All copies share its disk and processors.',
        ...(missing === null ? [] : [`No HDFS: ${missing}.`]),
      ],
    }
  },
}

function lostAgainst(ours: string, baseline: string, rates: readonly Cell[][]): string[] {
  const [own, other] = [ours, baseline].map((name) => rates.find(([each]) => each === name))
  return ['up', 'down'].flatMap((way, at) => {
    const [mine, theirs] = [Number(own?.[at + 1]), Number(other?.[at + 1])]
    return mine < theirs ? [`${way}: ${mine.toFixed(0)} MB/s against ${theirs.toFixed(0)} of ${baseline}`] : []
  })
}

async function diskRates({ scratch }: BenchRun, pack: Buffer, { packs }: Sizes): Promise<Cell[]> {
  const up: number[] = []
  const down: number[] = []
  for (let each = 0; each < packs; each++) {
    const file = await open(scratch.path(`disk-${each}`), 'w+')
    try {
      up.push((await timed(async () => {
        await file.write(pack)
        await file.sync()
      })).ms)
      down.push((await timed(() => file.read(Buffer.allocUnsafe(pack.length), 0, pack.length, 0))).ms)
    } finally {
      await file.close()
    }
  }
  return [rate(pack, up), rate(pack, down)]
}

async function measureHdfs(
  run: BenchRun, pack: Buffer, sizes: Sizes, rates: Cell[][], latencies: Cell[][],
): Promise<void> {
  run.note('starting HDFS')
  await using cluster = await HdfsCluster.start({ dataNodes: 2, replication: 2 })
  const url = `webhdfs://${cluster.address}/bench?user=${cluster.superuser}`
  await measure('hdfs', openReplica(systemEnv(), url), pack, sizes, rates, latencies)
  rates.push(['hdfs: curl', ...await curlRates(run, cluster, pack, sizes)])
}

async function measure(
  name: string, opened: Replica, pack: Buffer, { packs, publications }: Sizes, rates: Cell[][], latencies: Cell[][],
): Promise<void> {
  await using replica = opened
  await replica.makeDirectory('')
  await replica.openGeneration('g1', 'owner', Buffer.from('bench'))
  const up: number[] = []
  const down: number[] = []
  for (let each = 0; each < packs; each++) {
    up.push((await timed(() => replica.put(`pack-${each}`, { bytes: pack.length, open: () => pieces(pack) }))).ms)
    down.push((await timed(() => drain(replica.read(`pack-${each}`)))).ms)
  }
  rates.push([name, rate(pack, up), rate(pack, down)])
  const record = randomBytes(1024)
  const times: number[] = []
  for (let each = 0; each < publications; each++) {
    times.push((await timed(() => replica.publish('g1', `e${each}`, record))).ms)
  }
  latencies.push([`${name}: publish`, percentile(times, 0.5), percentile(times, 0.99)])
  const looks: number[] = []
  for (let each = 0; each < publications; each++) looks.push((await timed(() => replica.stat(`g1/open/e${each}`))).ms)
  latencies.push([`${name}: stat`, percentile(looks, 0.5), percentile(looks, 0.99)])
}

/** The time of the transfers as curl itself says it: its start is not counted. */
async function curlRates({ scratch }: BenchRun, cluster: HdfsCluster, pack: Buffer, { packs }: Sizes): Promise<Cell[]> {
  const file = scratch.path('pack')
  writeFileSync(file, pack)
  const curl = async (...args: string[]): Promise<number> => {
    const seconds = await runProgram('curl', ['-sfL', '-o', '/dev/null', '-w', '%{time_total}', ...args])
    return Number(seconds) * 1000
  }
  const at = (each: number, operation: string): string => {
    return `http://${cluster.address}/webhdfs/v1/bench/curl-${each}?user.name=${cluster.superuser}&${operation}`
  }
  const up: number[] = []
  const down: number[] = []
  for (let each = 0; each < packs; each++) {
    up.push(await curl('-T', file, at(each, 'op=CREATE&blocksize=134217728')))
    down.push(await curl(at(each, 'op=OPEN')))
  }
  return [rate(pack, up), rate(pack, down)]
}

function* pieces(pack: Buffer): Iterable<Uint8Array> {
  for (let at = 0; at < pack.length; at += MIB) yield pack.subarray(at, at + MIB)
}

async function drain(source: AsyncIterable<Uint8Array>): Promise<void> {
  let bytes = 0
  for await (const piece of source) bytes += piece.length
  if (bytes === 0) throw new Error('nothing was read')
}

function rate(pack: Buffer, times: readonly number[]): number {
  return pack.length / 1e3 / median(times)
}
