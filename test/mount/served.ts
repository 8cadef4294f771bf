/** A store with mounted images, served by another process, and taken down after the test, whatever happens. */
import { spawn, spawnSync } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'
import { readMounts } from '../../fuse/index.ts'
import { HoldfastError } from '../../src/errors.ts'
import type { ErrorCode } from '../../src/errors.ts'
import type { CommitResult, DiffEntry, EpochSummary } from '../../src/image/types.ts'
import type { ImageMountOptions, MountEvent } from '../../src/mount/image-mount.ts'
import type { ServingStatistics } from '../../src/mount/messages.ts'
import type { ServeMessage } from './serve.ts'

export type MountSettings = Partial<Omit<ImageMountOptions, 'engine' | 'image' | 'directory'>>

/** The directory of one test, with a short name (addresses of sockets are short too): removed after it, and whatever is still mounted below it detached. */
export function scratch(cleanup: (done: () => void) => void): string {
  const directory = mkdtempSync(join(tmpdir(), 'm-'))
  // Tests become other users, who are to reach the mounts in it.
  chmodSync(directory, 0o711)
  cleanup(() => {
    for (const { mountPoint } of readMounts().toReversed()) {
      if (mountPoint.startsWith(`${directory}/`)) spawnSync('umount', ['-i', '-c', '-l', '-f', mountPoint])
    }
    rmSync(directory, { recursive: true, force: true })
  })
  return directory
}

export class ServedStore {
  readonly directory: string
  readonly child: ChildProcess
  readonly events: MountEvent[] = []
  readonly #settings: MountSettings
  readonly #pending = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>()
  #lastId = 0

  private constructor(directory: string, settings: MountSettings) {
    this.directory = directory
    this.#settings = settings
    this.child = spawn(
      process.execPath, ['--no-warnings', new URL('serve.ts', import.meta.url).pathname, directory],
      { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] },
    )
    this.child.on('message', (message: ServeMessage) => this.#receive(message))
    this.child.on('exit', () => {
      for (const { reject } of this.#pending.values()) reject(new Error('the serving process ended'))
      this.#pending.clear()
    })
  }

  /** The settings are those of all its mounts. Errors: as `openLocalEngine`. */
  static async open(directory: string, settings: MountSettings = {}): Promise<ServedStore> {
    const served = new ServedStore(directory, settings)
    const ready = new Promise<ServeMessage>((resolve) => served.child.once('message', resolve))
    const ended = once(served.child, 'exit').then(() => ({ kind: 'ready' as const, error: undefined, isOver: true }))
    const first = await Promise.race([ready, ended])
    if ('isOver' in first) throw new Error('the serving process ended before it was ready')
    if (first.kind === 'ready' && first.error !== undefined) throw failure(first.error)
    return served
  }

  /** A store of its own for one test. */
  static async start(
    t: Pick<ExecutionContext, 'teardown'>, { directory, ...settings }: MountSettings & { directory?: string } = {},
  ): Promise<ServedStore> {
    const own = directory ?? join(scratch((done) => t.teardown(done)), 'store')
    const served = await ServedStore.open(own, settings)
    t.teardown(() => served.kill())
    return served
  }

  /** A verb of the engine, or one of `serve.ts`. */
  call<T>(verb: string, args: Record<string, unknown> = {}): Promise<T> {
    this.#lastId += 1
    const id = this.#lastId
    return new Promise<T>((resolve, reject) => {
      this.#pending.set(id, { resolve: (value) => resolve(value as T), reject })
      this.child.send({ id, verb, args }, (error) => {
        if (error !== null) reject(error)
      })
    })
  }

  async mount(image: string, settings: MountSettings & { directory?: string } = {}): Promise<ServedMount> {
    const directory = settings.directory ?? mkdtempSync(join(this.directory, '..', `mount-${image}-`))
    const { device } = await this.call<{ device: string }>('mount', { image, ...this.#settings, ...settings, directory })
    return new ServedMount(this, directory, device)
  }

  /** An empty image (or one over a base), mounted. */
  async make(image: string, base: string[] = [], settings: MountSettings = {}): Promise<ServedMount> {
    await this.call('createImage', { image, base })
    return this.mount(image, settings)
  }

  fork(epoch: string, image: string): Promise<unknown> {
    return this.call('fork', { epoch, image })
  }

  log(image: string): Promise<EpochSummary[]> {
    return this.call('log', { image })
  }

  diff(before: string, after: string): Promise<DiffEntry[]> {
    return this.call('diff', { before, after })
  }

  /** Without any goodbye, as a crash does it. */
  async kill(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    const exited = once(this.child, 'exit')
    this.child.kill('SIGKILL')
    await exited
  }

  /** After the mounts are unmounted: the store can be opened again. */
  async close(): Promise<void> {
    await this.call('close')
    await this.kill()
  }

  #receive(message: ServeMessage): void {
    if (message.kind === 'event') this.events.push(message.event)
    if (message.kind !== 'answer') return
    const pending = this.#pending.get(message.id)
    this.#pending.delete(message.id)
    if (message.error !== undefined) pending?.reject(failure(message.error))
    else pending?.resolve(message.result)
  }
}

export class ServedMount {
  readonly store: ServedStore
  readonly directory: string
  readonly device: string

  constructor(store: ServedStore, directory: string, device: string) {
    this.store = store
    this.directory = directory
    this.device = device
  }

  path(...names: string[]): string {
    return join(this.directory, ...names)
  }

  seal(note = ''): Promise<CommitResult> {
    return this.store.call('seal', { directory: this.directory, note })
  }

  statistics(): Promise<ServingStatistics> {
    return this.store.call('statistics', { directory: this.directory })
  }

  unmount(options: { lazy?: boolean; force?: boolean } = {}): Promise<void> {
    return this.store.call('unmount', { directory: this.directory, ...options })
  }
}

function failure({ code, message }: { code: string; message: string }): Error {
  return code === 'UNEXPECTED' ? new Error(message) : new HoldfastError(code as ErrorCode, message)
}
