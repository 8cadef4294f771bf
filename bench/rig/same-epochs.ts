/** The same epochs taken in by Holdfast and by borg, and half of them taken away by each: commands of their own. */
import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { closeSync, copyFileSync, cpSync, fsyncSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import type { BenchRun, Cell, Table } from './bench.ts'
import { timed } from './figures.ts'
import { BenchStore } from './holdfast.ts'
import { runBeside, runToEnd } from './programs.ts'
import { treeBytes } from './tree-bytes.ts'

const chunkBytes = 65_536
const megabyte = 1e6

/** `usual`: packs (borg: segments) with little garbage are left as they are. `all`: they are rewritten, too. */
const ways = ['usual', 'all'] as const
type Way = (typeof ways)[number]

interface Freed {
  readonly beforeBytes: number
  readonly afterBytes: number
  readonly epochsLeft: number
  /** Of each command, in their order. */
  readonly ms: readonly number[]
}

export interface SameEpochs {
  readonly table: Table
  readonly lost: readonly string[]
}

/** An image of random chunks, of which some change in each epoch. Null: borg is not here. */
export async function collectSameEpochs(run: BenchRun): Promise<SameEpochs | null> {
  if (spawnSync('borg', ['--version']).error !== undefined) return null
  const [epochs, chunks, changed] = run.quick ? [12, 256, 128] : [40, 2048, 250]
  const store = await BenchStore.make(run.scratch, 'same-epochs')
  const borg = await Borg.make(run)
  await takeIn(run, store, borg, { epochs, chunks, changed })
  const kept = epochs / 2
  const rows: Cell[][] = []
  const lost: string[] = []
  for (const way of ways) {
    const ours = await withCopy(store.directory, way, () => collectOurs(store, kept, way))
    const theirs = await withCopy(borg.directory, way, () => borg.collect(kept, way))
    if (ours.epochsLeft !== theirs.epochsLeft) throw new Error(`${ours.epochsLeft} epochs are left, borg has ${theirs.epochsLeft}`)
    rows.push(row(oursNames[way], ours), row(theirsNames[way], theirs))
    lost.push(...lossesOf(way, ours, theirs))
  }
  const neededBytes = (chunks + (kept - 1) * changed) * chunkBytes
  const title = `The same ${epochs} epochs, ${chunks + (epochs - 1) * changed} chunks of 64 KiB: half of the epochs go, ` +
    `chunks of ${(neededBytes / megabyte).toFixed(0)} MB are still needed`
  return { table: { title, columns, rows }, lost }
}

interface Scale {
  readonly epochs: number
  readonly chunks: number
  /** In each epoch. */
  readonly changed: number
}

async function takeIn(run: BenchRun, store: BenchStore, borg: Borg, { epochs, chunks, changed }: Scale): Promise<void> {
  await store.create('image', [])
  await using connection = await store.connect()
  const image = connection.image('image')
  const mountPoint = await store.mount(image)
  // Neighbours change together, and what was changed once changes again later.
  const offsetsOf = (epoch: number): number[] =>
    Array.from({ length: changed }, (_, at) => ((epoch * 7919 + at) % chunks) * chunkBytes)
  for (let epoch = 1; epoch <= epochs; epoch++) {
    const all = Array.from({ length: chunks }, (_, at) => at * chunkBytes)
    changeChunks(join(mountPoint, 'disk'), epoch === 1 ? all : offsetsOf(epoch))
    await image.seal()
    copyFileSync(join(mountPoint, 'disk'), borg.file)
    await borg.save(epoch)
    run.note(`epoch ${epoch} of ${epochs}`)
  }
  await connection.unmount(mountPoint)
  await store.stopDaemon()
}

/** Each way begins with the same bytes. */
async function withCopy<T>(directory: string, way: Way, collect: () => Promise<T>): Promise<T> {
  const kept = `${directory}.kept`
  if (way === ways[0]) cpSync(directory, kept, { recursive: true, preserveTimestamps: true })
  else {
    rmSync(directory, { recursive: true })
    cpSync(kept, directory, { recursive: true, preserveTimestamps: true })
  }
  return collect()
}

/** Nothing in them can be compressed or was stored before. */
function changeChunks(path: string, offsets: readonly number[]): void {
  const file = openSync(path, 'a')
  closeSync(file)
  const changing = openSync(path, 'r+')
  for (const offset of offsets) writeSync(changing, randomBytes(chunkBytes), 0, chunkBytes, offset)
  fsyncSync(changing)
  closeSync(changing)
}

async function collectOurs(store: BenchStore, keepLast: number, way: Way): Promise<Freed> {
  const beforeBytes = treeBytes(store.directory)
  const { ms } = await store.command('gc', '--keep-last', String(keepLast), ...(way === 'all' ? ['--max-unused', '0'] : []))
  const { json } = await store.command('log', 'image')
  return { beforeBytes, afterBytes: treeBytes(store.directory), epochsLeft: lengthOf(json), ms: [ms] }
}

function lengthOf(json: unknown): number {
  if (!Array.isArray(json)) throw new Error('the log is no list')
  return json.length
}

class Borg {
  readonly file: string
  /** Of its repository and its cache, which belong together. */
  readonly directory: string
  readonly #source: string
  readonly #repository: string
  readonly #env: NodeJS.ProcessEnv

  private constructor(run: BenchRun) {
    this.#source = run.scratch.path('source')
    this.directory = run.scratch.path('borg')
    this.#repository = join(this.directory, 'repository')
    this.#env = {
      ...process.env, BORG_BASE_DIR: join(this.directory, 'base'), BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK: 'yes',
    }
    this.file = join(this.#source, 'disk')
  }

  static async make(run: BenchRun): Promise<Borg> {
    const borg = new Borg(run)
    for (const directory of [borg.#source, borg.directory]) mkdirSync(directory)
    await borg.#do(['init', '-e', 'none', borg.#repository])
    return borg
  }

  async save(epoch: number): Promise<void> {
    const chunks = ['--chunker-params', `fixed,${chunkBytes}`, '--files-cache', 'disabled']
    await this.#do(['create', '-C', 'lz4', ...chunks, `${this.#repository}::${epoch}`, '.'])
  }

  async collect(keepLast: number, way: Way): Promise<Freed> {
    const beforeBytes = treeBytes(this.#repository)
    const threshold = way === 'all' ? ['--threshold', '0'] : []
    const prune = await timed(() => this.#do(['prune', '--keep-last', String(keepLast), this.#repository]))
    const compact = await timed(() => this.#do(['compact', ...threshold, this.#repository]))
    const names = runToEnd('env', [`BORG_BASE_DIR=${this.#env.BORG_BASE_DIR}`,
      'BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes', 'borg', 'list', '--short', this.#repository])
    return {
      beforeBytes, afterBytes: treeBytes(this.#repository), epochsLeft: names.trim().split('\n').length,
      ms: [prune.ms, compact.ms],
    }
  }

  #do(args: string[]): Promise<void> {
    return runBeside('borg', args, { cwd: this.#source, env: this.#env })
  }
}

const oursNames: Record<Way, string> = { usual: 'holdfast gc', all: 'holdfast gc --max-unused 0' }
const theirsNames: Record<Way, string> = { usual: 'borg prune, compact', all: 'borg prune, compact --threshold 0' }
const columns = ['', 's', 'prune s', 'compact s', 'epochs left', 'MB before', 'MB after', 'MB freed']

function row(name: string, { beforeBytes, afterBytes, epochsLeft, ms }: Freed): Cell[] {
  const [prune, compact] = ms.length > 1 ? ms.map((each) => each / 1e3) : [null, null]
  const megabytes = [beforeBytes, afterBytes, beforeBytes - afterBytes].map((bytes) => bytes / megabyte)
  return [name, sum(ms) / 1e3, prune, compact, epochsLeft, ...megabytes]
}

function lossesOf(way: Way, ours: Freed, theirs: Freed): string[] {
  const [our, their] = [sum(ours.ms) / 1e3, sum(theirs.ms) / 1e3]
  const names = `${theirsNames[way]}:`
  return [
    ...(their < our ? [`${names} takes ${their.toFixed(2)} s, ${oursNames[way]} ${our.toFixed(2)} s.`] : []),
    ...(theirs.afterBytes < ours.afterBytes
      ? [`${names} leaves ${(theirs.afterBytes / megabyte).toFixed(1)} MB, ${oursNames[way]} ${(ours.afterBytes / megabyte).toFixed(1)} MB.`]
      : []),
  ]
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0)
}
