/** A store for one bench, its daemon, and what the daemon weighs. */
import { spawn } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { connect, openStore } from '../../src/index.ts'
import type { Image, Store } from '../../src/index.ts'
import type { Scratch } from './scratch.ts'

const program = join(import.meta.dirname, '../../bin/holdfast.js')

export interface CommandOutcome {
  readonly json: unknown
  /** From the start of its process to its end. */
  readonly ms: number
  /** When that start was: milliseconds since 1970. */
  readonly beganMs: number
}

export class BenchStore {
  readonly directory: string
  readonly #scratch: Scratch

  private constructor(scratch: Scratch, directory: string) {
    this.directory = directory
    this.#scratch = scratch
  }

  /** An empty store, whose daemon (if one is started) ends with the bench. */
  static async make(scratch: Scratch, name = 'store'): Promise<BenchStore> {
    const made = new BenchStore(scratch, scratch.path(name))
    const store = await openStore(made.directory, { create: true })
    await store.close()
    scratch.defer(() => made.stopDaemon())
    return made
  }

  /** An image over files, taken in by this process without a daemon. */
  async create(image: string, base: string[]): Promise<void> {
    await using store = await openStore(this.directory)
    await store.createImage(image, { base })
  }

  /** The store through its daemon, which is started if there is none. The caller closes it. */
  connect(): Promise<Store> {
    return connect(this.directory)
  }

  /** Mounts an image in the bench's directory; where. */
  async mount(image: Image, name = `mount-${image.name}`): Promise<string> {
    const directory = this.#scratch.path(name)
    mkdirSync(directory, { recursive: true })
    await image.mount(directory)
    return directory
  }

  /** A command of the command line in a process of its own, with `--json`. */
  async command(...words: string[]): Promise<CommandOutcome> {
    const beganMs = Date.now()
    const beginMs = performance.now()
    const child = spawn(process.execPath, [program, '--store', this.directory, '--json', ...words], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const texts = ['', '']
    child.stdout.setEncoding('utf8').on('data', (text: string) => (texts[0] += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (texts[1] += text))
    const exited = Promise.withResolvers<number>()
    child.once('exit', () => exited.resolve(performance.now() - beginMs))
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject)
      child.once('close', resolve)
    })
    if (code !== 0) throw new Error(`holdfast ${words.join(' ')} ended with ${code}: ${texts[0]}${texts[1]}`)
    return { json: JSON.parse(texts[0]), ms: await exited.promise, beganMs }
  }

  /** The daemon's process; null when none runs. */
  async daemonPid(): Promise<number | null> {
    const { json } = await this.command('daemon', 'status')
    const status = json as { running: boolean; pid: number }
    return status.running ? status.pid : null
  }

  /** Ends the daemon, its machines and its mounts, if one runs. */
  async stopDaemon(): Promise<void> {
    if (await this.daemonPid() !== null) await this.command('daemon', 'stop', '--force')
  }
}
