/** What does an epoch of a working guest cost to store? */
import { setTimeout as sleep } from 'node:timers/promises'
import type { CheckpointResult } from '../src/index.ts'
import type { Bench, BenchRun, Cell, Table } from './rig/bench.ts'
import { epochParts } from './rig/epoch-parts.ts'
import type { FileChanges } from './rig/epoch-parts.ts'
import { median } from './rig/figures.ts'
import { BenchMachine, plainShape } from './rig/machine.ts'
import type { GuestShape } from './rig/machine.ts'
import { SavevmGuest } from './rig/savevm.ts'

const kilobyte = 1e3
const megabyte = 1e6
const memoryPath = '/machine.memory'
const diskPath = '/disk.raw'
/** The guest settles after its boot, as one that has run for a while. */
const settleMs = 30_000
/** Nothing in its rows can be compressed or was stored before, and each lies in three places. */
const heavyShape: GuestShape = { ...plainShape, name: 'heavy', payloadBytes: 1024, intervalMs: 10 }

interface Measured {
  readonly baseBytes: number
  readonly first: CheckpointResult
  readonly later: readonly CheckpointResult[]
  readonly parts: Map<number, Map<string, FileChanges>>
}

export const epochSize: Bench = {
  name: 'epoch-size',
  question: 'what does an epoch of a working guest cost to store?',
  async run(run) {
    const epochs = run.quick ? 3 : 8
    const intervalMs = run.quick ? 3000 : 10_000
    const ours = await measureHoldfast(run, plainShape, epochs, intervalMs)
    const heavy = await measureHoldfast(run, heavyShape, epochs, intervalMs)
    const growth = await measureSavevm(run, Math.min(epochs, 3), intervalMs)
    const sizes = ours.later.map(({ epoch }) => epoch.storedBytes!)
    const firstBytes = ours.baseBytes + ours.first.epoch.storedBytes!
    const kind = 'at most'
    return {
      tables: [
        epochTable('Stored by each epoch of the demo’s guest, KB', ours),
        epochTable(`Stored by each epoch of a guest whose rows have ${heavyShape.payloadBytes} bytes, KB`, heavy),
        baselineTable(ours, heavy, growth),
      ],
      targets: [
        { what: 'stored by an epoch of the demo', figure: median(sizes) / megabyte, limit: 0.75, kind, unit: 'MB' },
        { what: 'stored by the first, base included', figure: firstBytes / megabyte, limit: 235, kind, unit: 'MB' },
      ],
      lost: lossesOf(heavy),
      notes: [
        `Guest: Debian under TCG with 512 MiB of memory and 2 GiB of disk, inserting rows into SQLite; epochs ` +
          `${intervalMs / 1000} s apart, from ${(run.quick ? 3000 : settleMs) / 1000} s after the boot on.`,
        `The demo’s guest inserts a row of a number, a time and ${plainShape.payloadBytes} bytes without a pattern, ` +
          `syncs it, and sleeps ${plainShape.intervalMs} ms; the second guest’s rows have ${heavyShape.payloadBytes} ` +
          `such bytes, and it sleeps ${heavyShape.intervalMs} ms. No compression makes them smaller, and each lies in ` +
          'the guest’s memory and on its disk, in the database and in its log: equal bytes at places that differ ' +
          'within their chunks of 64 KiB are stored again.',
        'Manifest and device state: what an epoch added to the packs besides the chunks of memory and disk.',
        'Baselines are calculated from the same changes: each changed chunk of 64 KiB compressed by itself with LZ4; ' +
          'each changed page of 4 KiB compressed by itself, without the index that this would need. savevm is a ' +
          'guest of its own.',
        'borg, restic and their like are held against Holdfast by the bench "compare".',
      ],
    }
  },
}

async function measureHoldfast(
  run: BenchRun, shape: GuestShape, epochs: number, intervalMs: number,
): Promise<Measured> {
  await using machine = await BenchMachine.start(run, shape)
  await sleep(run.quick ? 3000 : settleMs)
  const first = await machine.image.checkpoint()
  const baseBytes = (await machine.connection.stats()).storedBytes - first.epoch.storedBytes!
  const later: CheckpointResult[] = []
  for (let index = 0; index < epochs; index++) {
    await sleep(intervalMs)
    later.push(await machine.image.checkpoint())
    run.note(`epoch ${later.at(-1)!.epoch.number} stored ${later.at(-1)!.epoch.storedBytes} bytes`)
  }
  await machine.close()
  const numbers = later.map(({ epoch }) => epoch.number)
  const parts = await epochParts(machine.store.directory, machine.image.name, numbers, [memoryPath, diskPath])
  return { baseBytes, first, later, parts }
}

/** What the disk grew by with each save; the first one holds all of the memory's contents, as each does. */
async function measureSavevm(run: BenchRun, saves: number, intervalMs: number): Promise<number[]> {
  await using guest = await SavevmGuest.start(run)
  await sleep(run.quick ? 3000 : settleMs)
  await guest.save('first')
  const growth: number[] = []
  for (let index = 0; index < saves; index++) {
    const before = guest.diskBytes
    await sleep(intervalMs)
    await guest.save(`save${index}`)
    growth.push(guest.diskBytes - before)
  }
  return growth
}

function epochTable(title: string, { baseBytes, first, later, parts }: Measured): Table {
  const rows = later.map(({ epoch }): Cell[] => {
    const memory = parts.get(epoch.number)!.get(memoryPath)!
    const disk = parts.get(epoch.number)!.get(diskPath)!
    const rest = epoch.storedBytes! - memory.storedBytes - disk.storedBytes
    const bytes = [epoch.storedBytes!, memory.storedBytes, disk.storedBytes, rest, epoch.writtenBytes]
    return [`epoch ${epoch.number}`, ...bytes.map((each) => each / kilobyte), memory.chunks, memory.pages,
      disk.chunks, disk.pages]
  })
  return {
    title,
    columns: ['', 'stored', 'memory', 'disk', 'manifest and state', 'written', 'memory chunks', 'pages', 'disk chunks', 'pages'],
    rows: [
      ['epoch 0, the disk as it was', baseBytes / kilobyte, null, baseBytes / kilobyte, null, null, null, null, null, null],
      ['epoch 1, memory for the first time', first.epoch.storedBytes! / kilobyte, null, null, null,
        first.epoch.writtenBytes / kilobyte, null, null, null, null],
      ...rows,
    ],
  }
}

/** The load for which the target was not set. */
function lossesOf({ later }: Measured): string[] {
  const stored = median(later.map(({ epoch }) => epoch.storedBytes!)) / megabyte
  return [`an epoch of the guest with rows of ${heavyShape.payloadBytes} bytes stores ${stored.toFixed(2)} MB.`]
}

function baselineTable(ours: Measured, heavy: Measured, growth: number[]): Table {
  const stored = ({ later }: Measured): Cell => median(later.map(({ epoch }) => epoch.storedBytes!)) / kilobyte
  const others = ({ later, parts }: Measured, name: 'wholeBytes' | 'pageBytes'): Cell => median(later.map(({ epoch }) =>
    [...parts.get(epoch.number)!.values()].reduce((sum, each) => sum + each[name], 0))) / kilobyte
  return {
    title: 'Stored by an epoch, KB, p50',
    columns: ['', 'demo', `rows of ${heavyShape.payloadBytes} bytes`],
    rows: [
      ['holdfast, all of the epoch', stored(ours), stored(heavy)],
      ['changed chunks of 64 KiB, LZ4', others(ours, 'wholeBytes'), others(heavy, 'wholeBytes')],
      ['changed pages of 4 KiB, LZ4', others(ours, 'pageBytes'), others(heavy, 'pageBytes')],
      ['savevm to qcow2', median(growth) / kilobyte, null],
    ],
  }
}
