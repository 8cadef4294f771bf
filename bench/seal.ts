/** Does a seal cost what was changed, whatever the size of the image? */
import { join } from 'node:path'
import type { Image, Store } from '../src/index.ts'
import { changeChunks, changedOffsets, markChunks } from './rig/data.ts'
import type { Bench, BenchRun, Cell } from './rig/bench.ts'
import { median, timed } from './rig/figures.ts'
import { BenchStore } from './rig/holdfast.ts'
import { allocatedBytes, makeQcow2, takeSnapshot, writePages } from './rig/qcow2.ts'

const gib = 2 ** 30

interface Shape {
  readonly name: string
  readonly gibibytes: number
  /** One chunk of so many has contents. */
  readonly stride: number
}

const shapes: readonly Shape[] = [
  { name: 'small', gibibytes: 1, stride: 1 },
  { name: 'large', gibibytes: 64, stride: 8 },
]
const changeCounts = [1, 100, 10_000]
const columns = [
  'image', 'changed chunks', 'write+sync ms', 'barrier ms', 'commit ms', 'stored KB', 'other records',
  'qcow2 write+flush ms', 'qcow2 snapshot ms', 'qcow2 KB',
]

interface Sealed {
  readonly writeMs: number
  readonly barrierMs: number
  readonly commitMs: number
  readonly storedBytes: number
  readonly otherRecords: number
}

interface Snapshot {
  readonly writeMs: number
  readonly snapshotMs: number
  readonly bytes: number
}

export const seal: Bench = {
  name: 'seal',
  question: 'does a seal cost what was changed, whatever the size of the image?',
  async run(run) {
    const rows: Cell[][] = []
    for (const shape of shapes) rows.push(...await measureShape(run, shape))
    return {
      tables: [{ title: 'Medians of the rounds; each changes one 4 KiB page in each of N chunks', columns, rows }],
      targets: [],
      lost: losses(rows),
      notes: [
        'Contents of the images are synthetic: 32 bytes in each stored chunk, zeros else. 1 GiB has 16,384 stored ' +
          'chunks, 64 GiB has 131,072.',
        'Changed pages are half without a pattern. A barrier is all that a writer waits for; commit is until durable.',
        'qcow2 has clusters of 64 KiB; its times hold the start of qemu-io or qemu-img (some 20 ms). It copies whole ' +
          'clusters, and a snapshot copies its first-level table and changes its reference counts.',
        'Other records: nodes of the manifest put for the epoch.',
      ],
    }
  },
}

async function measureShape(run: BenchRun, shape: Shape): Promise<Cell[][]> {
  run.note(`an image of ${shape.gibibytes} GiB`)
  const fileBytes = shape.gibibytes * gib
  const store = await BenchStore.make(run.scratch, `store-${shape.name}`)
  await store.create('image', [])
  await using connection = await store.connect()
  const image = connection.image('image')
  const directory = await store.mount(image, `mount-${shape.name}`)
  const file = join(directory, 'disk.raw')
  const marked = { fileBytes, stride: shape.stride }
  const qcow2 = run.scratch.path(`${shape.name}.qcow2`)
  makeQcow2(run.scratch, qcow2, marked)
  markChunks(file, marked)
  await image.seal()
  const rows: Cell[][] = []
  for (const count of changeCounts) {
    const sealed: Sealed[] = []
    const snapshots: Snapshot[] = []
    for (let round = 0; round < (run.quick ? 1 : 5); round++) {
      const seed = `${count} ${round}`
      sealed.push(await sealOnce(connection, image, count, () => changeChunks(file, fileBytes, count, seed)))
      snapshots.push(await snapshotOnce(qcow2, fileBytes, count, seed, round))
    }
    rows.push(rowOf(shape, count, sealed, snapshots))
  }
  await connection.unmount(directory)
  await store.stopDaemon()
  return rows
}

async function sealOnce(store: Store, image: Image, count: number, change: () => void): Promise<Sealed> {
  const before = await store.stats()
  const { ms: writeMs } = await timed(change)
  const { barrierMs, commitMs } = await image.seal()
  const after = await store.stats()
  return {
    writeMs, barrierMs, commitMs, storedBytes: after.storedBytes - before.storedBytes,
    otherRecords: after.records - before.records - count,
  }
}

async function snapshotOnce(
  qcow2: string, fileBytes: number, count: number, seed: string, round: number,
): Promise<Snapshot> {
  const before = allocatedBytes(qcow2)
  const { ms: writeMs } = await timed(() => writePages(qcow2, changedOffsets(fileBytes, count), round + 1))
  const { ms: snapshotMs } = await timed(() => takeSnapshot(qcow2, seed))
  return { writeMs, snapshotMs, bytes: allocatedBytes(qcow2) - before }
}

function rowOf(shape: Shape, count: number, sealed: Sealed[], snapshots: Snapshot[]): Cell[] {
  const middle = (name: keyof Sealed): number => median(sealed.map((each) => each[name]))
  const other = (name: keyof Snapshot): number => median(snapshots.map((each) => each[name]))
  return [
    `${shape.gibibytes} GiB`, count, middle('writeMs'), middle('barrierMs'), middle('commitMs'),
    middle('storedBytes') / 1e3, middle('otherRecords'), other('writeMs'), other('snapshotMs'), other('bytes') / 1e3,
  ]
}

function losses(rows: Cell[][]): string[] {
  return rows.flatMap(([image, count, writeMs, barrierMs, commitMs, , , qcow2WriteMs, qcow2SnapshotMs]) => {
    const ours = Number(writeMs) + Number(barrierMs) + Number(commitMs)
    const theirs = Number(qcow2WriteMs) + Number(qcow2SnapshotMs)
    if (ours <= theirs) return []
    return [`${image}, ${count} chunks: write and seal take ${ours.toFixed(0)} ms, qcow2 ${theirs.toFixed(0)} ms.`]
  })
}
