/** Collections of garbage through the command line: beside a mount that is written and read, and by a schedule. */
import test from 'ava'
import fs from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { DaemonStatus } from '../../src/daemon/verb.ts'
import type { GarbageReport } from '../../src/image/collection/types.ts'
import type { CheckReport, EpochSummary } from '../../src/image/types.ts'
import { Random } from '../random.ts'
import { RealStore } from './real-store.ts'

const filesMax = 12
const fileBytes = 300_000
const stepsMin = 5

/** Files in a mount that are written, read and removed at random, and what they must hold. */
class Worker {
  readonly #directory: string
  readonly #random: Random
  readonly #expected = new Map<string, Buffer>()
  steps = 0

  constructor(directory: string, random: Random) {
    this.#directory = directory
    this.#random = random
  }

  step(): void {
    const path = join(this.#directory, `file${this.#random.below(filesMax)}`)
    const held = this.#expected.get(path)
    const choice = this.#random.below(4)
    this.steps += 1
    if (held === undefined || choice === 0) return this.#replace(path)
    if (choice === 1) return this.#overwrite(path, held)
    if (choice === 2 && this.#random.below(4) === 0) {
      fs.rmSync(path)
      this.#expected.delete(path)
    } else this.#compare(path, held)
  }

  compareAll(): void {
    for (const [path, held] of this.#expected) this.#compare(path, held)
  }

  #replace(path: string): void {
    const bytes = this.#random.bytes(this.#random.below(fileBytes) + 1)
    fs.writeFileSync(path, bytes)
    this.#expected.set(path, bytes)
  }

  #overwrite(path: string, held: Buffer): void {
    const bytes = this.#random.bytes(Math.min(held.length, 5000))
    const offset = this.#random.below(held.length - bytes.length + 1)
    const file = fs.openSync(path, 'r+')
    fs.writeSync(file, bytes, 0, bytes.length, offset)
    fs.closeSync(file)
    bytes.copy(held, offset)
  }

  #compare(path: string, held: Buffer): void {
    if (!fs.readFileSync(path).equals(held)) throw new Error(`${path} does not hold what was written, step ${this.steps}`)
  }
}

/** Does it until `running` ends, and a few times at least, and hands its result on. */
async function beside<T>(worker: Worker, running: Promise<T>): Promise<T> {
  let isOver = false
  const over = running.finally(() => { isOver = true })
  over.catch(() => undefined)
  for (let steps = 1; ; steps++) {
    worker.step()
    if (isOver && steps >= stepsMin) return over
    await sleep(1)
  }
}

test('a collection beside a mount that is written and read', async (t) => {
  t.timeout(480_000)
  const store = await RealStore.make(t)
  const random = Random.announced(t)
  await store.json(['create', 'web'])
  const mount = store.mountPoint()
  await store.json(['mount', 'web', mount])
  const worker = new Worker(mount, random)
  let freed = 0
  for (let round = 0; round < 4; round++) {
    for (let epoch = 0; epoch < 3; epoch++) await beside(worker, store.json(['seal', 'web', '--note', `round ${round}`]))
    const before = await store.json<EpochSummary[]>(['log', 'web'])
    const dry = await beside(worker, store.json<GarbageReport>(['gc', '--dry-run', '--keep-last', '2', '--max-unused', '0']))
    t.deepEqual((await store.json<EpochSummary[]>(['log', 'web'])).map(({ number }) => number), before.map(({ number }) => number))
    const report = await beside(worker, store.json<GarbageReport>(['gc', '--keep-last', '2', '--max-unused', '0']))
    t.deepEqual(report.removedEpochs, dry.removedEpochs)
    t.deepEqual(report.left, [])
    freed += report.freedBytes
    worker.compareAll()
    t.is((await store.json<EpochSummary[]>(['log', 'web'])).length, 2)
  }
  t.true(freed > fileBytes, `${freed}`)
  t.true(worker.steps > 100, `${worker.steps}`)
  const checked = await beside(worker, store.json<CheckReport>(['check', '--read-data']))
  t.deepEqual(checked.damaged, [])
  await store.json(['unmount', mount])
  await store.json(['mount', 'web', mount])
  worker.compareAll()
  await store.json(['unmount', mount])
  t.is((await store.run(['check', '--read-data'])).code, 0)
})

test('what was removed from a mount is garbage once the mount is idle again', async (t) => {
  t.timeout(120_000)
  const store = await RealStore.make(t)
  await store.json(['create', 'web'])
  const mount = store.mountPoint()
  await store.json(['mount', 'web', mount])
  fs.writeFileSync(join(mount, 'large'), Random.announced(t).bytes(fileBytes))
  await store.json(['seal', 'web'])
  fs.rmSync(join(mount, 'large'))
  await store.json(['seal', 'web'])
  const collect = () => store.json<GarbageReport>(['gc', '--keep-last', '1', '--max-unused', '0'])
  let freedBytes = 0
  // The server says a moment after a commit that it reads by it.
  while (freedBytes < fileBytes) freedBytes += (await collect()).freedBytes
  t.is((await store.run(['check', '--read-data'])).code, 0)
})

test('what would go is told before, in words and as JSON', async (t) => {
  t.timeout(480_000)
  const store = await RealStore.make(t)
  await store.json(['create', 'web', '--base', store.file('disk.raw', Random.announced(t).bytes(fileBytes))])
  for (const note of ['first', 'second', 'third']) await store.json(['seal', 'web', '--note', note])
  const dry = await store.run(['gc', '--dry-run', '--keep-last', '1'])
  t.is(dry.code, 0)
  t.regex(dry.out, /^would go:\nweb@0 .*\nweb@1 .* first\nweb@2 .* second\nwould remove 3 epochs, keep 1\nwould drop /)
  const told = await store.json<GarbageReport>(['gc', '--dry-run', '--keep-last', '1'])
  t.like(told, { dryRun: true, keptEpochs: 1, reasons: { 'web@3': ['newest', 'last'] } })
  t.is((await store.json<EpochSummary[]>(['log', 'web'])).length, 4)
  t.regex((await store.run(['gc', '--keep-last', '1'])).out, /^removed 3 epochs, kept 1\ndropped /)
  for (const words of [['--every', 'off', '--keep-last', '1'], ['--every', '10m', '--dry-run'], ['--every', '1ms']]) {
    t.is((await store.run(['gc', ...words])).code, 2, words.join(' '))
  }
  t.is((await store.run(['gc', '--image', 'none'])).code, 3)
})

test('a daemon collects by a schedule, also the next one', async (t) => {
  t.timeout(480_000)
  const store = await RealStore.make(t)
  await store.json(['create', 'web'])
  const set = await store.run(['gc', '--every', '1s', '--keep-last', '1'])
  t.like(set, { code: 0, out: 'garbage is collected every 1 s while a daemon runs\n' })
  const onlyOneIsLeft = async (): Promise<void> => {
    await store.json(['seal', 'web'])
    while ((await store.json<EpochSummary[]>(['log', 'web'])).length > 1) await sleep(100)
  }
  await store.json(['daemon', 'start'])
  await onlyOneIsLeft()
  await store.killDaemon()
  await store.json(['daemon', 'start'])
  await onlyOneIsLeft()
  while ((await status(store)).garbage?.removedEpochs === null) await sleep(100)
  t.like(await status(store), { garbage: { everyMs: 1000, rules: { keepLast: 1 }, lastError: null } })
  t.regex((await store.run(['daemon', 'status'])).out, /gc +garbage is collected every 1 s .*; last .*: removed \d+ epochs?, freed/)
  t.like(await store.run(['gc', '--every', 'off']), { code: 0, out: 'garbage is not collected by a schedule\n' })
  t.is((await status(store)).garbage, null)
  await store.json(['seal', 'web'])
  await sleep(2500)
  t.is((await store.json<EpochSummary[]>(['log', 'web'])).length, 2)
  await store.json(['daemon', 'stop'])
})

function status(store: RealStore): Promise<DaemonStatus> {
  return store.json<DaemonStatus>(['daemon', 'status'])
}

test('what a replica still waits for stays, unless it is to go all the same', async (t) => {
  t.timeout(480_000)
  const store = await RealStore.make(t)
  await store.json(['create', 'web'])
  for (let epoch = 0; epoch < 3; epoch++) await store.json(['seal', 'web'])
  const [near, far] = [store.mountPoint('near'), store.mountPoint('far')]
  await store.json(['replica', 'add', 'near', `file://${near}`])
  await store.json(['replica', 'add', 'far', `file://${far}`])
  const removed = async (...words: string[]): Promise<string[]> =>
    (await store.json<GarbageReport>(['gc', '--local-only', '--keep-last', '1', ...words])).removedEpochs.map(({ epoch }) => epoch)
  t.deepEqual(await removed(), [])
  t.is((await store.json<GarbageReport>(['gc', '--dry-run', '--keep-last', '1'])).reasons['web@1'][0], 'not on all replicas yet')
  await store.json(['replica', 'sync'])
  t.deepEqual(await removed(), ['web@0', 'web@1', 'web@2'])
  for (let epoch = 4; epoch < 6; epoch++) await store.json(['seal', 'web'])
  t.deepEqual(await removed(), ['web@3'])
  t.deepEqual(await removed('--unreplicated'), ['web@4'])
  await store.json(['replica', 'sync'])
  t.deepEqual((await store.json<EpochSummary[]>(['log', 'web'])).map(({ number, level }) => [number, level]), [[5, 'replicated']])
})
