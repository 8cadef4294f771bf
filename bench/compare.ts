/** What do backup programs need for the same epochs? */
import { spawnSync } from 'node:child_process'
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Bench, BenchRun, Cell } from './rig/bench.ts'
import { median, timed } from './rig/figures.ts'
import { runBeside } from './rig/programs.ts'
import { BenchMachine } from './rig/machine.ts'
import { treeBytes } from './rig/tree-bytes.ts'

const megabyte = 1e6
const files = ['disk.raw', 'machine.memory']

interface Saved {
  readonly firstMs: number
  readonly nextMs: readonly number[]
  readonly firstBytes: number
  readonly nextBytes: number
  readonly restoreMs: number
}

/** A program that takes a directory into a repository, and gives the last one back. */
interface Archiver {
  readonly name: string
  readonly program: string
  /** Secrets and caches of its own, in the bench's directory. */
  environment(directory: string): Record<string, string>
  init(repository: string): string[]
  save(repository: string, name: string): string[]
  restore(repository: string, name: string, target: string): string[]
}

const archivers: readonly Archiver[] = [
  {
    name: 'borg, fixed chunks of 64 KiB, LZ4',
    program: 'borg',
    environment: (directory) => ({
      BORG_BASE_DIR: directory, BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK: 'yes',
    }),
    init: (repository) => ['init', '-e', 'none', repository],
    save: (repository, name) => [
      'create', '-C', 'lz4', '--chunker-params', 'fixed,65536', '--files-cache', 'disabled',
      `${repository}::${name}`, '.',
    ],
    restore: (repository, name) => ['extract', '--sparse', `${repository}::${name}`],
  },
  {
    name: 'restic',
    program: 'restic',
    environment: (directory) => ({ RESTIC_PASSWORD: 'bench', RESTIC_CACHE_DIR: directory }),
    init: (repository) => ['-q', 'init', '-r', repository],
    save: (repository, name) => ['-q', '-r', repository, 'backup', '--force', '--host', 'bench', '--tag', name, '.'],
    restore: (repository, _name, target) => ['-q', '-r', repository, 'restore', 'latest', '--target', target],
  },
]

export const compare: Bench = {
  name: 'compare',
  question: 'what do backup programs need for the same epochs?',
  async run(run) {
    const present = archivers.filter(({ program }) => spawnSync(program, ['--version']).error === undefined)
    const missing = archivers.filter((each) => !present.includes(each)).map(({ name }) => name)
    await using machine = await BenchMachine.start(run)
    const { saved: ours, numbers } = await saveWithHoldfast(run, machine)
    const saves = present.map((archiver) => ({ archiver, repository: new Repository(run, archiver) }))
    for (const number of numbers) {
      const directory = await exportEpoch(run, machine, number)
      for (const { repository } of saves) await repository.save(directory, number)
      rmSync(directory, { recursive: true })
    }
    const theirs: [string, Saved][] = []
    for (const { archiver, repository } of saves) theirs.push([archiver.name, await repository.finish()])
    return {
      tables: [{
        title: `${numbers.length} epochs of one guest: 2 GiB of disk and 512 MiB of memory`,
        columns: ['', 'first save s', 'next s, p50', 'stored first MB', 'by all the next MB', 'restore of the last s'],
        rows: [rowOf('holdfast', ours), ...theirs.map(([name, saved]) => rowOf(name, saved))],
      }],
      targets: [],
      lost: theirs.flatMap(([name, saved]) => losses(ours, name, saved)),
      notes: [
        'Holdfast saves the running guest: the time is from the request to durable, the guest stands still for ' +
          'milliseconds of it. Its first save is a checkpoint alone, the base was taken in before; stored by the ' +
          'first is both, and the kernel and initrd that the machine starts from (15 MB). Restore: both exported.',
        'The others get the exported files of each epoch, in memory. None of them can save a running guest as one.',
        ...missing.map((name) => `Not installed, so not measured: ${name}.`),
      ],
    }
  },
}

async function saveWithHoldfast(run: BenchRun, machine: BenchMachine): Promise<{ saved: Saved; numbers: number[] }> {
  const times: number[] = []
  const numbers: number[] = []
  const bytes: number[] = []
  await sleep(run.quick ? 1000 : 30_000)
  for (let index = 0; index < (run.quick ? 3 : 6); index++) {
    const { ms, result } = await timed(() => machine.image.checkpoint())
    times.push(ms)
    numbers.push(result.epoch.number)
    bytes.push((await machine.connection.stats()).storedBytes)
    await sleep(run.quick ? 2000 : 10_000)
  }
  await machine.image.stopMachine({ force: true })
  const { ms: restoreMs, result } = await timed(() => exportEpoch(run, machine, numbers.at(-1)!))
  rmSync(result, { recursive: true })
  const [firstMs, ...nextMs] = times
  return { numbers, saved: { firstMs, nextMs, firstBytes: bytes[0], nextBytes: bytes.at(-1)! - bytes[0], restoreMs } }
}

/** Into memory, so that no program waits for a disk to read them. */
async function exportEpoch(run: BenchRun, machine: BenchMachine, number: number): Promise<string> {
  const directory = run.scratch.memoryPath(`epoch-${number}`)
  mkdirSync(directory)
  for (const file of files) await machine.image.export(number, `/${file}`, join(directory, file))
  return directory
}

class Repository {
  readonly #run: BenchRun
  readonly #archiver: Archiver
  readonly #path: string
  readonly #environment: NodeJS.ProcessEnv
  readonly #times: number[] = []
  readonly #bytes: number[] = []
  #last = ''

  constructor(run: BenchRun, archiver: Archiver) {
    this.#run = run
    this.#archiver = archiver
    this.#path = run.scratch.path(archiver.program)
    this.#environment = { ...process.env, ...archiver.environment(run.scratch.path(`${archiver.program}-own`)) }
  }

  async save(directory: string, number: number): Promise<void> {
    const { name, init, save } = this.#archiver
    this.#run.note(`saving epoch ${number} with ${name}`)
    if (this.#times.length === 0) await this.#do(init(this.#path), directory)
    this.#last = `epoch-${number}`
    const { ms } = await timed(() => this.#do(save(this.#path, this.#last), directory))
    this.#times.push(ms)
    this.#bytes.push(treeBytes(this.#path))
  }

  async finish(): Promise<Saved> {
    const target = this.#run.scratch.memoryPath('restored')
    mkdirSync(target)
    const restore = this.#archiver.restore(this.#path, this.#last, target)
    const { ms: restoreMs } = await timed(() => this.#do(restore, target))
    rmSync(target, { recursive: true })
    const [firstMs, ...nextMs] = this.#times
    return { firstMs, nextMs, firstBytes: this.#bytes[0], nextBytes: this.#bytes.at(-1)! - this.#bytes[0], restoreMs }
  }

  #do(args: string[], directory: string): Promise<void> {
    return runBeside(this.#archiver.program, args, { cwd: directory, env: this.#environment })
  }
}

function rowOf(name: string, saved: Saved): Cell[] {
  const { firstMs, nextMs, firstBytes, nextBytes, restoreMs } = saved
  return [name, firstMs / 1e3, median(nextMs) / 1e3, firstBytes / megabyte, nextBytes / megabyte, restoreMs / 1e3]
}

function losses(ours: Saved, name: string, theirs: Saved): string[] {
  const megabytes = (bytes: number): string => `${(bytes / megabyte).toFixed(1)} MB`
  const seconds = (ms: number): string => `${(ms / 1e3).toFixed(2)} s`
  const lost: string[] = []
  const note = (what: string, text: (value: number) => string, our: number, their: number): void => {
    if (their < our) lost.push(`${name}: ${what} ${text(their)}, holdfast ${text(our)}.`)
  }
  note('first save', seconds, ours.firstMs, theirs.firstMs)
  note('next saves', seconds, median(ours.nextMs), median(theirs.nextMs))
  note('stored by the first', megabytes, ours.firstBytes, theirs.firstBytes)
  note('stored by the next', megabytes, ours.nextBytes, theirs.nextBytes)
  note('restore', seconds, ours.restoreMs, theirs.restoreMs)
  return lost
}
