/** The same epochs taken in by Holdfast and by borg, and half of them taken away by each: commands of their own. */
import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { closeSync, copyFileSync, fsyncSync, mkdirSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import type { BenchRun, Table } from './bench.ts'
import { timed } from './figures.ts'
import { BenchStore } from './holdfast.ts'
import { runBeside, runToEnd } from './programs.ts'
import { treeBytes } from './tree-bytes.ts'

const chunkBytes = 65_536
const megabyte = 1e6

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
  const [epochs, chunks, changed] = run.quick ? [6, 256, 20] : [30, 1024, 50]
  const store = await BenchStore.make(run.scratch, 'same-epochs')
  const borg = await Borg.make(run)
  await store.create('image', [])
  {
    await using connection = await store.connect()
    const image = connection.image('image')
    const mountPoint = await store.mount(image)
    const offsetsOf = (epoch: number): number[] =>
      Array.from({ length: changed }, (_, at) => ((epoch * 7919 + at * 37) % chunks) * chunkBytes)
    let offsets = Array.from({ length: chunks }, (_, at) => at * chunkBytes)
    for (let epoch = 1; epoch <= epochs; epoch++) {
      changeChunks(join(mountPoint, 'disk'), offsets)
      offsets = offsetsOf(epoch)
      await image.seal()
      copyFileSync(join(mountPoint, 'disk'), borg.file)
      await borg.save(epoch)
      run.note(`epoch ${epoch} of ${epochs}`)
    }
    await connection.unmount(mountPoint)
  }
  await store.stopDaemon()
  const ours = await collectOurs(store, epochs / 2)
  const theirs = await borg.collect(epochs / 2)
  return { table: tableOf(epochs, chunks + (epochs - 1) * changed, ours, theirs), lost: lossesOf(ours, theirs) }
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

async function collectOurs(store: BenchStore, keepLast: number): Promise<Freed> {
  const beforeBytes = treeBytes(store.directory)
  const { ms } = await store.command('gc', '--keep-last', String(keepLast))
  const { json } = await store.command('log', 'image')
  return { beforeBytes, afterBytes: treeBytes(store.directory), epochsLeft: lengthOf(json), ms: [ms] }
}

function lengthOf(json: unknown): number {
  if (!Array.isArray(json)) throw new Error('the log is no list')
  return json.length
}

class Borg {
  readonly file: string
  readonly #source: string
  readonly #repository: string
  readonly #env: NodeJS.ProcessEnv

  private constructor(run: BenchRun) {
    this.#source = run.scratch.path('source')
    this.#repository = run.scratch.path('repository')
    this.#env = {
      ...process.env, BORG_BASE_DIR: run.scratch.path('borg'), BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK: 'yes',
    }
    this.file = join(this.#source, 'disk')
  }

  static async make(run: BenchRun): Promise<Borg> {
    const borg = new Borg(run)
    mkdirSync(borg.#source)
    await borg.#do(['init', '-e', 'none', borg.#repository])
    return borg
  }

  async save(epoch: number): Promise<void> {
    const chunks = ['--chunker-params', `fixed,${chunkBytes}`, '--files-cache', 'disabled']
    await this.#do(['create', '-C', 'lz4', ...chunks, `${this.#repository}::${epoch}`, '.'])
  }

  async collect(keepLast: number): Promise<Freed> {
    const beforeBytes = treeBytes(this.#repository)
    const prune = await timed(() => this.#do(['prune', '--keep-last', String(keepLast), this.#repository]))
    const compact = await timed(() => this.#do(['compact', this.#repository]))
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

function tableOf(epochs: number, chunks: number, ours: Freed, theirs: Freed): Table {
  const row = (name: string, { beforeBytes, afterBytes, epochsLeft, ms }: Freed): (string | number | null)[] => [
    name, sum(ms) / 1e3, ms.length > 1 ? ms[0] / 1e3 : null, ms.length > 1 ? ms[1] / 1e3 : null, epochsLeft,
    beforeBytes / megabyte, afterBytes / megabyte,
  ]
  return {
    title: `The same ${epochs} epochs, ${chunks} chunks of 64 KiB: half of the epochs go`,
    columns: ['', 's', 'prune s', 'compact s', 'epochs left', 'MB before', 'MB after'],
    rows: [row('holdfast gc', ours), row('borg prune, compact', theirs)],
  }
}

function lossesOf(ours: Freed, theirs: Freed): string[] {
  const [our, their] = [sum(ours.ms) / 1e3, sum(theirs.ms) / 1e3]
  return [
    ...(their < our ? [`borg takes ${their.toFixed(2)} s, holdfast ${our.toFixed(2)} s.`] : []),
    ...(theirs.afterBytes < ours.afterBytes
      ? [`borg leaves ${(theirs.afterBytes / megabyte).toFixed(1)} MB, holdfast ${(ours.afterBytes / megabyte).toFixed(1)} MB.`]
      : []),
  ]
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0)
}
