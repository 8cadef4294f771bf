/** How long after a seal is an epoch on HDFS, and how many objects does that make? */
import { Buffer } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { HdfsCluster, missingForHdfs } from '../rig/hdfs/index.ts'
import { runProgram } from '../src/env/program.ts'
import { systemEnv } from '../src/env/system.ts'
import type { Image } from '../src/index.ts'
import { MIB } from '../src/limits.ts'
import { openReplica } from '../src/replica/open.ts'
import type { Replica } from '../src/replica/replica.ts'
import type { Bench, BenchResult, BenchRun, Cell } from './rig/bench.ts'
import { changeChunks, markChunks } from './rig/data.ts'
import { median, percentile } from './rig/figures.ts'
import { BenchStore } from './rig/holdfast.ts'

const fileBytes = 256 * MIB
/** Pages that an epoch changes, each in a chunk of its own. */
const changeCount = 60
const columns = ['epochs apart', 'count', 'p50 ms', 'p99 ms', 'first 100: p50', 'last 100: p50', 'sent KB an epoch']
const objectColumns = ['epochs apart', 'after', 'files', 'directories', 'objects a day', 'a file each: objects a day']

interface Series {
  readonly everyMs: number
  readonly count: number
}

const quick: readonly Series[] = [{ everyMs: 1500, count: 6 }, { everyMs: 100, count: 30 }]
const full: readonly Series[] = [{ everyMs: 5000, count: 12 }, { everyMs: 100, count: 1000 }]

export const replication: Bench = {
  name: 'replication',
  question: 'how long after a seal is an epoch on HDFS, and how many objects does that make?',
  async run(run): Promise<BenchResult> {
    const missing = missingForHdfs()
    if (missing !== null) return { tables: [], targets: [], lost: [], notes: [`No HDFS: ${missing}.`] }
    run.note('starting HDFS')
    await using cluster = await HdfsCluster.start({ dataNodes: 2, replication: 2 })
    const rows: Cell[][] = []
    const objects: Cell[][] = []
    const medians: number[] = []
    for (const series of run.quick ? quick : full) {
      const measured = await measure(run, cluster, series)
      const { lags, sentBytes } = measured
      medians.push(median(lags))
      rows.push([
        `${series.everyMs / 1000} s`, lags.length, median(lags), percentile(lags, 0.99), median(lags.slice(0, 100)),
        median(lags.slice(-100)), sentBytes / series.count / 1024,
      ])
      objects.push(objectRow(series, measured))
    }
    const baseline = await curlPut(run, cluster, 300 * 1024)
    return {
      tables: [
        { title: 'From the return of a seal (durable) to its record being on HDFS', columns, rows },
        { title: 'What the NameNode holds: files, directories and blocks', columns: objectColumns, rows: objects },
      ],
      targets: [
        { what: 'epochs far apart, p50', figure: medians[0], limit: 250, kind: 'at most', unit: 'ms' },
        { what: 'epochs 0.1 s apart, p50', figure: medians[1], limit: 1300, kind: 'at most', unit: 'ms' },
      ],
      lost: medians[0] > baseline ? [`one epoch: ${medians[0].toFixed(0)} ms; one curl: ${baseline.toFixed(0)} ms`] : [],
      notes: [
        `Baseline: one curl puts 300 KiB as one file, no check, in ${baseline.toFixed(0)} ms.`,
        `${changeCount} scattered pages change in an epoch. HDFS: one host, 2 DataNodes, replication 2, no sync.`,
        'Objects a day: those at the end of the series, and what a day adds once they are merged: whole packs, index ' +
          'runs, batches of records.',
      ],
    }
  },
}

interface Measured {
  readonly lags: number[]
  readonly sentBytes: number
  readonly files: number
  readonly directories: number
}

async function measure(run: BenchRun, cluster: HdfsCluster, { everyMs, count }: Series): Promise<Measured> {
  const bench = await BenchStore.make(run.scratch, `store-${everyMs}`)
  const base = run.scratch.path(`disk-${everyMs}`)
  markChunks(base, { fileBytes, stride: 4 })
  await bench.create('web', [base])
  await using store = await bench.connect()
  const path = `bench-${everyMs}-${randomBytes(3).toString('hex')}`
  const url = `webhdfs://${cluster.address}/${path}?user=${cluster.superuser}`
  await using replica = openReplica(systemEnv(), url)
  await replica.makeDirectory('')
  await store.addReplica('hdfs', url)
  await store.syncReplicas()
  const before = await replica.usage()
  const image = store.image('web')
  const file = join(await bench.mount(image, `mount-${everyMs}`), `disk-${everyMs}`)
  run.note(`${count} epochs, ${everyMs} ms apart`)
  const lags = await sealAll(bench.directory, image, file, { everyMs, count })
  const { objectBytes } = await replica.usage()
  const { files, directories } = await census(replica, '')
  return { lags, sentBytes: objectBytes - before.objectBytes, files, directories }
}

/** Milliseconds from each seal's return to its publication, by the replicator's own note. */
async function sealAll(store: string, image: Image, file: string, { everyMs, count }: Series): Promise<number[]> {
  const sealed: { number: number; atMs: number }[] = []
  const lags: number[] = []
  const look = (): void => {
    const published = publishedIn(store)
    while (sealed.length > 0 && sealed[0].number <= published) lags.push(performance.now() - sealed.shift()!.atMs)
  }
  const looking = setInterval(look, 4)
  try {
    const beganMs = performance.now()
    for (let at = 0; at < count; at++) {
      await sleep(Math.max(0, beganMs + at * everyMs - performance.now()))
      changeChunks(file, fileBytes, changeCount, `epoch ${at}`)
      const { epoch } = await image.seal()
      sealed.push({ number: epoch.number, atMs: performance.now() })
    }
    for (let waited = 0; sealed.length > 0 && waited < 30_000; waited += 20) await sleep(20)
  } finally {
    clearInterval(looking)
  }
  return lags
}

function publishedIn(store: string): number {
  const text = readFileSync(join(store, 'replicas', 'hdfs.json'), 'utf8')
  const { note } = JSON.parse(text) as { note: { images: Record<string, { published: number }> } }
  return Math.max(-1, ...Object.values(note.images).map(({ published }) => published))
}

async function census(replica: Replica, directory: string): Promise<{ files: number; directories: number }> {
  let [files, directories] = [0, 1]
  for await (const { name, kind } of replica.list(directory)) {
    if (kind === 'object') files += 1
    else {
      const below = await census(replica, directory === '' ? name : `${directory}/${name}`)
      files += below.files
      directories += below.directories
    }
  }
  return { files, directories }
}

const dayMs = 86_400_000

/**
 * A file is two objects, itself and its block. What remains of a day: packs (one file and directory each 128 MiB),
 * batches of a thousand records, runs of half a million entries; and what is not merged yet, as it is now.
 */
function objectRow({ everyMs, count }: Series, { sentBytes, files, directories }: Measured): Cell[] {
  const epochs = dayMs / everyMs
  const packs = epochs * (sentBytes / count) / (128 * MIB)
  const batches = epochs / 1000
  const aDay = 2 * files + directories + 3 * packs + 2 * batches
  return [`${everyMs / 1000} s`, `${count} epochs`, files, directories, Math.round(aDay), Math.round(2 * 2 * epochs)]
}

async function curlPut({ scratch }: BenchRun, cluster: HdfsCluster, bytes: number): Promise<number> {
  const file = scratch.path('epoch')
  writeFileSync(file, Buffer.alloc(bytes, 7))
  const times: number[] = []
  for (let each = 0; each < 10; each++) {
    const url = `http://${cluster.address}/webhdfs/v1/curl-${each}?user.name=${cluster.superuser}&op=CREATE`
    const seconds = await runProgram('curl', ['-sfL', '-o', '/dev/null', '-w', '%{time_total}', '-T', file, url])
    times.push(Number(seconds) * 1000)
  }
  return median(times)
}
