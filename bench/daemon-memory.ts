/** What does the daemon weigh with a million chunks, once it has read them all? */
import { mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { chunkBytes } from '../src/limits.ts'
import type { Bench, BenchRun, Cell } from './rig/bench.ts'
import { changeChunks, markChunks } from './rig/data.ts'
import { timed } from './rig/figures.ts'
import { BenchStore } from './rig/holdfast.ts'
import { weigh, watchWeight } from './rig/process-memory.ts'
import type { Weight } from './rig/process-memory.ts'
import { runBeside, runUntilEnd, until } from './rig/programs.ts'
import { makeQcow2 } from './rig/qcow2.ts'

const gib = 2 ** 30
const megabyte = 1e6
const limitMegabytes = 400
const chunksASeal = 65_536
const columns = ['', 'at rest MB', 'peak of the read MB', 'of it anonymous MB', 'of it files MB', 'read MB/s']

interface Reading {
  readonly rest: Weight
  readonly peak: Weight
  readonly megabytesPerSecond: number
}

export const daemonMemory: Bench = {
  name: 'daemon-memory',
  question: 'what does the daemon weigh with a million chunks, once it has read them all?',
  async run(run) {
    const fileBytes = (run.quick ? 4 : 64) * gib
    const chunks = fileBytes / chunkBytes
    const theirs = await readThroughQemu(run, fileBytes)
    const { reading: ours, filling, afterSeal } = await readThroughHoldfast(run, fileBytes)
    return {
      tables: [{
        title: `${fileBytes / gib} GiB in ${chunks.toLocaleString('en')} stored chunks: sums of PSS over all processes`,
        columns,
        rows: [rowOf('holdfast', ours), rowOf('qemu-storage-daemon (qcow2, FUSE export)', theirs)],
      }],
      targets: [{
        what: `memory of the daemon with ${chunks.toLocaleString('en')} chunks read`,
        figure: ours.peak.pssBytes / megabyte, limit: limitMegabytes, kind: 'at most', unit: 'MB',
      }],
      lost: losses(ours, theirs),
      notes: [
        'The chunks are synthetic: 32 bytes of their own in each, zeros else, so that they are all distinct and cost ' +
          'little disk. Holdfast decodes and verifies each; the qcow2 image is compressed (zstd).',
        'Read once from end to end with dd, 1 MiB blocks, O_DIRECT, by a daemon that was started for it.',
        `After a further seal of 1,000 changed chunks that daemon weighs ${megabytes(afterSeal)} MB.`,
        `The daemon that took the chunks in, ${chunksASeal.toLocaleString('en')} a seal, weighed ` +
          `${megabytes(filling.peak)} MB at its peak; that took ${(filling.ms / 1e3).toFixed(0)} s.`,
      ],
    }
  },
}

interface Filling {
  readonly ms: number
  readonly peak: Weight
}

async function readThroughHoldfast(
  run: BenchRun, fileBytes: number,
): Promise<{ reading: Reading; filling: Filling; afterSeal: Weight }> {
  const store = await BenchStore.make(run.scratch)
  await store.create('image', [])
  const filling = await fill(run, store, fileBytes)
  run.note('reading through the mount')
  await using connection = await store.connect()
  const image = connection.image('image')
  const directory = await store.mount(image)
  const pid = (await store.daemonPid())!
  const file = join(directory, 'disk.raw')
  const reading = await readAll(file, pid, fileBytes)
  changeChunks(file, fileBytes, 1000, 'after the read')
  await image.seal()
  const afterSeal = weigh(pid)
  await connection.unmount(directory)
  await store.stopDaemon()
  return { reading, filling, afterSeal }
}

/** Writes the file through a mount and seals it bit by bit. The daemon that did so is stopped. */
async function fill(run: BenchRun, store: BenchStore, fileBytes: number): Promise<Filling> {
  await using connection = await store.connect()
  const image = connection.image('image')
  const directory = await store.mount(image)
  const watch = watchWeight((await store.daemonPid())!)
  const chunks = fileBytes / chunkBytes
  const { ms } = await timed(async () => {
    for (let first = 0; first < chunks; first += chunksASeal) {
      run.note(`writing chunk ${first} of ${chunks}`)
      const end = Math.min(first + chunksASeal, chunks)
      markChunks(join(directory, 'disk.raw'), { fileBytes, stride: 1, first, end })
      await image.seal()
    }
  })
  const peak = watch.stop()
  await connection.unmount(directory)
  await store.stopDaemon()
  return { ms, peak }
}

/** The same contents in a qcow2 image that QEMU's storage daemon serves through FUSE. */
async function readThroughQemu(run: BenchRun, fileBytes: number): Promise<Reading> {
  run.note('making and reading the baseline')
  const qcow2 = run.scratch.path('base.qcow2')
  makeQcow2(run.scratch, qcow2, { fileBytes, stride: 1 })
  const directory = run.scratch.path('qemu')
  const file = join(directory, 'exported.raw')
  mkdirSync(directory)
  writeFileSync(file, '')
  const daemon = runUntilEnd(run.scratch, 'qemu-storage-daemon', [
    '--blockdev', `driver=qcow2,node-name=disk,read-only=on,file.driver=file,file.filename=${qcow2}`,
    '--export', `type=fuse,id=export,node-name=disk,mountpoint=${file},writable=off`,
  ])
  await until('the export of qemu-storage-daemon', () => statSync(file).size === fileBytes)
  const reading = await readAll(file, daemon.pid, fileBytes)
  await daemon.end()
  rmSync(qcow2)
  return reading
}

async function readAll(file: string, pid: number, fileBytes: number): Promise<Reading> {
  const rest = weigh(pid)
  const watch = watchWeight(pid)
  const { ms } = await timed(() => runBeside('dd', [`if=${file}`, 'of=/dev/null', 'bs=1M', 'iflag=direct']))
  return { rest, peak: watch.stop(), megabytesPerSecond: fileBytes / megabyte / (ms / 1e3) }
}

function rowOf(name: string, reading: Reading): Cell[] {
  const { rest, peak, megabytesPerSecond } = reading
  const weights = [rest.pssBytes, peak.pssBytes, peak.anonymousBytes, peak.fileBytes].map((bytes) => bytes / megabyte)
  return [name, ...weights, megabytesPerSecond]
}

function megabytes(weight: Weight): string {
  return (weight.pssBytes / megabyte).toFixed(0)
}

function losses(ours: Reading, theirs: Reading): string[] {
  const lost: string[] = []
  if (ours.peak.pssBytes > theirs.peak.pssBytes) {
    const more = (ours.peak.pssBytes - theirs.peak.pssBytes) / megabyte
    lost.push(`It weighs ${more.toFixed(0)} MB more than QEMU's storage daemon.`)
  }
  if (ours.megabytesPerSecond < theirs.megabytesPerSecond) {
    const share = ours.megabytesPerSecond / theirs.megabytesPerSecond
    lost.push(`It reads at ${(share * 100).toFixed(0)} % of the speed of QEMU's storage daemon.`)
  }
  return lost
}
