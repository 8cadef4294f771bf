/** How soon does a guest run on a node that has nothing, from HDFS? */
import { copyFileSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { HdfsCluster, missingForHdfs } from '../rig/hdfs/index.ts'
import { systemEnv } from '../src/env/system.ts'
import type { MachineSummary, ResumeResult } from '../src/index.ts'
import { openReplica } from '../src/replica/open.ts'
import type { Bench, BenchResult, BenchRun, Cell } from './rig/bench.ts'
import { highest, median, timed } from './rig/figures.ts'
import { BenchStore } from './rig/holdfast.ts'
import { BenchMachine, plainShape } from './rig/machine.ts'
import { runToEnd } from './rig/programs.ts'
import { SavevmGuest } from './rig/savevm.ts'

const imageName = 'machine'
const epochs = 3
const memoryBytes = plainShape.memoryMebibytes * 2 ** 20

interface RestoreAnswer {
  readonly fetchedBytes: number
  readonly restoreMs: number
  readonly parts: Record<string, number>
  readonly resumed?: ResumeResult
}

interface Restoration {
  /** From the start of the first command's process to the end of the last one's. */
  readonly commandsMs: number
  /** From there to the guest running. */
  readonly runningMs: number
  readonly restore: RestoreAnswer
  readonly resume: ResumeResult
  /** From there to the first number that the guest says. */
  readonly insertMs: number
}

/** The daemon of an empty node has been there for a while. */
const settlingMs = 2000

export const restore: Bench = {
  name: 'restore',
  question: 'how soon does a guest run on a node that has nothing, from HDFS?',
  async run(run) {
    const missing = missingForHdfs()
    if (missing !== null) return { tables: [], targets: [], lost: [], notes: [`No HDFS: ${missing}.`] }
    await using cluster = await HdfsCluster.start({ dataNodes: 2 })
    const url = `webhdfs://${cluster.address}/bench?user=${cluster.superuser}`
    const imageBytes = await fillReplica(run, url)
    const count = run.quick ? 1 : 5
    const joint: Restoration[] = []
    const lazy: Restoration[] = []
    const full: Restoration[] = []
    for (let round = 0; round < count; round++) joint.push(await restoreOn(run, url, `joint-${round}`, ['--resume']))
    for (let round = 0; round < Math.ceil(count / 2); round++) {
      lazy.push(await restoreOn(run, url, `lazy-${round}`, []))
      full.push(await restoreOn(run, url, `full-${round}`, ['--full']))
    }
    const loadvmMs = await loadvmAfterCopy(run, cluster, Math.ceil(count / 2))
    return report({ joint, lazy, full }, loadvmMs, imageBytes)
  },
}

/** Node A: a guest, some epochs of it in HDFS, and its end. Returns the image's bytes: memory and used disk. */
async function fillReplica(run: BenchRun, url: string): Promise<number> {
  const replica = openReplica(systemEnv(), url)
  await replica.makeDirectory('')
  await replica.close()
  await using machine = await BenchMachine.start(run)
  await machine.store.command('replica', 'add', 'hdfs', url)
  for (let epoch = 0; epoch < epochs; epoch++) {
    await sleep(3000)
    await machine.store.command('vm', 'checkpoint', imageName)
  }
  await machine.store.command('replica', 'sync')
  const { json } = await machine.store.command('stats')
  return (json as { plainBytes: number }).plainBytes
}

/** On a node of its own: a store that holds nothing, with its daemon. */
async function restoreOn(run: BenchRun, url: string, name: string, options: string[]): Promise<Restoration> {
  run.note(`restoring on an empty node: ${name}`)
  const store = await BenchStore.make(run.scratch, name)
  await store.command('daemon', 'start')
  await sleep(settlingMs)
  const began = performance.now()
  const { json, beganMs } = await store.command('restore', url, imageName, '--takeover', ...options)
  const restored = json as RestoreAnswer
  const resume = restored.resumed ?? (await store.command('vm', 'resume', imageName)).json as ResumeResult
  const commandsMs = performance.now() - began
  await firstNumber(resume.machine)
  const insertMs = performance.now() - began
  await store.stopDaemon()
  return { commandsMs, runningMs: resume.ranMs - beganMs, restore: restored, resume, insertMs }
}

async function firstNumber({ console: socket }: MachineSummary): Promise<void> {
  const log = join(dirname(socket), 'console.log')
  const deadlineMs = performance.now() + 60_000
  while (!/counter \d+/.test(readFileSync(log, 'latin1'))) {
    if (performance.now() > deadlineMs) throw new Error('the restored guest does not count')
    await sleep(5)
  }
}

/** What one would do without Holdfast: a qcow2 file with a snapshot, brought from HDFS by curl. */
async function loadvmAfterCopy(run: BenchRun, cluster: HdfsCluster, count: number): Promise<number[]> {
  await using baseline = await SavevmGuest.start(run)
  await sleep(3000)
  await baseline.save('saved')
  const local = run.scratch.path('snapshot.qcow2')
  copyFileSync(run.scratch.path(`savevm-${plainShape.name}.qcow2`), local)
  const place = `http://${cluster.address}/webhdfs/v1/snapshot`
  runToEnd('curl', ['-sSfL', '-T', local, `${place}?op=CREATE&overwrite=true&user.name=${cluster.superuser}`])
  const times: number[] = []
  for (let round = 0; round < count; round++) {
    const { ms } = await timed(async () => {
      runToEnd('curl', ['-sSfL', '-o', run.scratch.path('fetched.qcow2'), `${place}?op=OPEN&user.name=${cluster.superuser}`])
    })
    times.push(ms + await baseline.killAndLoad('saved'))
  }
  return times
}

interface Restorations {
  /** With one command. */
  readonly joint: Restoration[]
  /** With two. */
  readonly lazy: Restoration[]
  readonly full: Restoration[]
}

function report({ joint, lazy, full }: Restorations, loadvmMs: number[], imageBytes: number): BenchResult {
  const runningMs = joint.map((each) => each.runningMs)
  const shares = joint.map(({ restore: { fetchedBytes } }) => 100 * fetchedBytes / imageBytes)
  const row = (name: string, times: number[]): Cell[] => [name, times.length, Math.min(...times), median(times), highest(times)]
  return {
    tables: [
      {
        title: 'Time to a running guest on an empty node, ms',
        columns: ['', 'rounds', 'fastest', 'p50', 'slowest'],
        rows: [
          row('holdfast, one command, to the guest running', runningMs),
          row('holdfast, one command, to the guest’s next insert', joint.map(({ insertMs }) => insertMs)),
          row('holdfast, two commands', lazy.map(({ commandsMs }) => commandsMs)),
          row('holdfast, all of it restored first, two commands', full.map(({ commandsMs }) => commandsMs)),
          row('loadvm after a copy with curl', loadvmMs),
        ],
      },
      { title: 'Parts in the daemon, of one command, p50 in ms; most go on side by side', columns: ['', 'ms'], rows: parts(joint) },
      {
        title: 'Fetched before the guest runs',
        columns: ['', 'MB'],
        rows: [
          ['lazily', median(joint.map(({ restore: { fetchedBytes } }) => fetchedBytes / 1e6))],
          ['all', median(full.map(({ restore: { fetchedBytes } }) => fetchedBytes / 1e6))],
          ['the image, plain', imageBytes / 1e6],
        ],
      },
    ],
    targets: [
      { what: 'empty node to running guest, one command, p50', figure: median(runningMs), limit: 400, kind: 'at most', unit: 'ms' },
      { what: 'fetched before it runs, of the image', figure: median(shares), limit: 10, kind: 'at most', unit: '%' },
    ],
    lost: median(runningMs) > median(loadvmMs) ? ['loadvm after a copy is faster.'] : [],
    notes: [
      `The guest has ${memoryBytes / 2 ** 20} MiB of memory; its image has ${epochs} epochs with a machine.`,
      'An empty node: a store that holds nothing, its daemon running; the user has run a machine on this host before, so ' +
        'what its hypervisor can do is known. HDFS: one host, 2 DataNodes, replication 2.',
      'Fetched before the guest runs: by the restore; what the resume then asks for besides is not counted.',
      'All copies share the disk and the processors of one host.',
    ],
  }
}

function parts(restorations: readonly Restoration[]): Cell[][] {
  const rows = (what: string, all: Record<string, number>[]): Cell[][] => {
    return Object.keys(all[0]).map((name) => [`${what}: ${name}`, median(all.map((each) => each[name] ?? 0))])
  }
  return [
    ...rows('restore', restorations.map(({ restore }) => restore.parts)),
    ...rows('resume', restorations.map(({ resume }) => resume.parts)),
  ]
}
