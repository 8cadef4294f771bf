/** What do many mounts, many files and a change to a large file cost? */
import { closeSync, mkdirSync, openSync, readdirSync, statSync, truncateSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { Image, Store } from '../src/index.ts'
import type { Bench, BenchRun, Cell, Table } from './rig/bench.ts'
import { timed } from './rig/figures.ts'
import { BenchStore } from './rig/holdfast.ts'
import { weigh } from './rig/process-memory.ts'

const mebibyte = 2 ** 20
const gibibyte = 2 ** 30
const namesPerDirectory = 1000

export const many: Bench = {
  name: 'many',
  question: 'what do many mounts, many files and a change to a large file cost?',
  async run(run) {
    return {
      tables: [await mounts(run), await files(run), await copyUp(run)],
      targets: [], lost: [],
      notes: [
        'Memory is the sum of the proportional set sizes of the daemon and its children, a process that stands by included.',
        'A seal that follows a few changes costs what they cost, whatever the number of files; the resume is a mount ' +
          'of the image in the running daemon and the first listing of one directory.',
        'A file is changed in one byte over a sealed epoch: an overlay of directories would copy it whole first.',
      ],
    }
  },
}

async function mounts(run: BenchRun): Promise<Table> {
  const store = await BenchStore.make(run.scratch, 'many-mounts')
  await using connection = await store.connect()
  const rows: Cell[][] = []
  let count = 0
  let empty = 0
  for (const goal of run.quick ? [0, 1, 8] : [0, 1, 16, 64]) {
    run.note(`${goal} mounts in one daemon`)
    const { ms } = await timed(async () => {
      for (; count < goal; count += 1) {
        await connection.createImage(`image-${count}`)
        const directory = await store.mount(connection.image(`image-${count}`))
        writeFileSync(join(directory, 'file'), 'in use')
      }
    })
    const added = goal - Number(rows.at(-1)?.[0] ?? 0)
    const bytes = weigh((await store.daemonPid())!).pssBytes
    if (goal === 0) empty = bytes
    const each = goal === 0 ? null : (bytes - empty) / goal / mebibyte
    rows.push([goal, bytes / mebibyte, each, added === 0 ? null : ms / added])
  }
  return { title: 'Mounts in one daemon', columns: ['mounts', 'daemon MB', 'MB a mount', 'ms to make and mount one'], rows }
}

async function files(run: BenchRun): Promise<Table> {
  const count = run.quick ? 5000 : 100_000
  const store = await BenchStore.make(run.scratch, 'many-files')
  await using connection = await store.connect()
  await connection.createImage('files')
  const image = connection.image('files')
  const rows: Cell[][] = []
  const note = (what: string, ms: number, storedBytes: number | null = null): void => {
    run.note(what)
    rows.push([what, ms, storedBytes === null ? null : storedBytes / 1024])
  }
  const directory = await store.mount(image)
  note(`make ${count} files`, (await timed(() => makeFiles(directory, 0, count))).ms)
  await noteSeal(note, `seal after ${count} files`, image)
  note('list and stat them all', (await timed(() => statAll(directory))).ms)
  for (const changes of [1, 100]) {
    makeFiles(directory, count + changes * namesPerDirectory, changes)
    await noteSeal(note, `seal after ${changes} more`, image)
  }
  await connection.unmount(directory)
  note('mount again, list one directory', (await timed(() => remount(connection, image, directory))).ms)
  await connection.unmount(directory)
  return { title: `${count} files in an image`, columns: ['what', 'ms', 'stored KB'], rows }
}

async function remount(connection: Store, image: Image, directory: string): Promise<void> {
  await connection.image(image.name).mount(directory)
  readdirSync(join(directory, 'd0'))
}

async function noteSeal(
  note: (what: string, ms: number, storedBytes: number | null) => void, what: string, image: Image,
): Promise<void> {
  const { ms, result } = await timed(() => image.seal())
  note(what, ms, result.epoch.storedBytes)
}

function makeFiles(directory: string, from: number, count: number): void {
  for (let number = from; number < from + count; number += 1) {
    const parent = join(directory, `d${Math.floor(number / namesPerDirectory)}`)
    if (number === from || number % namesPerDirectory === 0) mkdirSync(parent, { recursive: true })
    writeFileSync(join(parent, `file-${number}`), `${number}`)
  }
}

function statAll(directory: string): void {
  for (const parent of readdirSync(directory)) {
    for (const name of readdirSync(join(directory, parent))) statSync(join(directory, parent, name))
  }
}

async function copyUp(run: BenchRun): Promise<Table> {
  const store = await BenchStore.make(run.scratch, 'copy-up')
  await using connection = await store.connect()
  await connection.createImage('large')
  const directory = await store.mount(connection.image('large'))
  const rows: Cell[][] = []
  for (const gibibytes of run.quick ? [1] : [1, 64]) {
    run.note(`one byte of ${gibibytes} GiB`)
    const file = join(directory, `file-${gibibytes}`)
    writeFileSync(file, '')
    truncateSync(file, gibibytes * gibibyte)
    const descriptor = openSync(file, 'r+')
    const data = Buffer.alloc(mebibyte, 'data ')
    for (let at = 0; at < gibibytes * gibibyte; at += gibibyte / 4) writeSync(descriptor, data, 0, data.length, at)
    await connection.image('large').seal()
    const { ms } = await timed(() => writeSync(descriptor, 'x', gibibyte / 2 + 5))
    closeSync(descriptor)
    const { epoch } = await connection.image('large').seal()
    rows.push([`${gibibytes} GiB`, ms, epoch.writtenBytes, (epoch.storedBytes ?? 0) / 1024])
  }
  await connection.unmount(directory)
  const columns = ['file', 'write ms', 'written bytes', 'stored KB with nodes']
  return { title: 'One byte written over a sealed file', columns, rows }
}
