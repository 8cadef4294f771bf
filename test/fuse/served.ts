/** A memory file system mounted for one test and taken down after it, whatever happens. */
import { spawn, spawnSync } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'
import { ControlFile, mountAt, secretControlName } from '../../fuse/index.ts'
import type { ServeCommand, ServeEvent, ServeOptions } from './serve.ts'

export type Counts = {
  readonly reads: Readonly<Record<string, number>>
  readonly requestCount: number
  readonly malformedCount: number
  readonly unknownCount: number
  readonly faultCount: number
  readonly inodeCount: number
  readonly lookupCount: number
  readonly postponedCount: number
}

/** An empty directory, removed after the test; whatever is still mounted on it is detached. */
export function mountPoint(t: ExecutionContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-fuse-'))
  t.teardown(() => {
    while (mountAt(directory) !== undefined) {
      if (spawnSync('umount', ['-i', '-c', '-l', '-f', directory]).status !== 0) break
    }
    rmdirSync(directory)
  })
  return directory
}

export class Served {
  readonly directory: string
  readonly controlName: string
  readonly child: ChildProcess
  readonly events: ServeEvent[] = []

  private constructor(options: ServeOptions, descriptors: readonly number[]) {
    this.directory = options.directory
    this.controlName = options.controlName
    this.child = spawn(
      process.execPath,
      ['--no-warnings', new URL('serve.ts', import.meta.url).pathname, JSON.stringify(options)],
      { stdio: ['ignore', 'inherit', 'inherit', ...descriptors, 'ipc'] },
    )
    this.child.on('message', (event: ServeEvent) => this.events.push(event))
  }

  /** Serves a mount of its own until the test is over. */
  static async start(t: ExecutionContext, options: Partial<ServeOptions> = {}): Promise<Served> {
    const directory = options.directory ?? mountPoint(t)
    const descriptors = options.descriptor === undefined ? [] : [options.descriptor]
    const inherited = options.descriptor === undefined ? {} : { descriptor: 3 }
    const served = new Served(
      { controlName: secretControlName(), ...options, ...inherited, directory },
      descriptors,
    )
    t.teardown(() => served.stop())
    await served.event('mounted')
    return served
  }

  path(...names: string[]): string {
    return join(this.directory, ...names)
  }

  /** The first event of a kind, waited for. */
  async event<Kind extends ServeEvent['kind']>(kind: Kind): Promise<Extract<ServeEvent, { kind: Kind }>> {
    for (;;) {
      const found = this.events.find((event) => event.kind === kind)
      if (found !== undefined) return found as Extract<ServeEvent, { kind: Kind }>
      const exited = once(this.child, 'exit').then(() => true)
      const isOver = await Promise.race([exited, once(this.child, 'message').then(() => false)])
      if (isOver && !this.events.some((event) => event.kind === kind)) throw new Error(`no ${kind} event`)
    }
  }

  command(command: ServeCommand): void {
    this.child.send(command)
  }

  /** What the session and the file system have counted. */
  async counts(): Promise<Counts> {
    await using control = await ControlFile.open(this.directory, this.controlName)
    return JSON.parse((await control.poke()).toString()) as Counts
  }

  async kill(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    const exited = once(this.child, 'exit')
    this.child.kill('SIGKILL')
    await exited
  }

  /** Unmounts first: a process with a thread in a FUSE read cannot end by itself. */
  async stop(): Promise<void> {
    if (mountAt(this.directory) !== undefined) spawnSync('umount', ['-i', '-c', '-l', this.directory])
    await this.kill()
  }
}
