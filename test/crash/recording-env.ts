/**
 * An Env that records every change and every sync below one directory, over any other Env. Paths named in
 * `around` (LevelDB's directory, the lock) go around it: what they hold after a crash is made up otherwise.
 *
 * What is random or a time comes from the seed, so that a run can be repeated.
 */
import { Buffer } from 'node:buffer'
import { relative } from 'node:path'
import type { Env, EnvFile, OpenMode } from '../../src/env/env.ts'
import type { Syncable } from '../../src/mount/lane-sync.ts'
import type { Random } from '../random.ts'
import { applyEdits, emptyTree, locate } from './tree.ts'
import type { Edit, NodeNumber, Tree } from './tree.ts'

export type RecordedOperation =
  | { do: 'names'; edits: Edit[]; isDirectory: boolean; what: string }
  | { do: 'write'; node: NodeNumber; at: number; bytes: Buffer }
  | { do: 'truncate'; node: NodeNumber; bytes: number }
  | { do: 'sync'; node: NodeNumber }
  | { do: 'syncDirectory'; node: NodeNumber }

export interface RecordingOptions {
  inner: Env
  /** All below it is recorded. */
  root: string
  /** Paths below the root, without a slash at either end, that are not. */
  around: readonly string[]
  random: Random
  /** What is there already; taken over. */
  start?: Tree
}

export class RecordingEnv {
  readonly operations: RecordedOperation[] = []
  readonly env: Env
  /** Called before each change of the engine's; what it does itself is recorded like anything else. */
  interleave: () => void = () => undefined
  /** Called after each change with what it was. */
  watch: (operation: RecordedOperation) => void = () => undefined
  readonly #options: RecordingOptions
  /** Names as they are now; contents are not kept here. */
  readonly #tree: Tree
  #wallMs = 1_700_000_000_000
  #isInterleaving = false

  constructor(options: RecordingOptions) {
    this.#options = options
    this.#tree = options.start ?? emptyTree()
    this.env = this.#wrap(options.inner)
  }

  #wrap(inner: Env): Env {
    return {
      ...inner,
      open: (path, mode) => this.#open(path, mode),
      rename: (from, to) => this.#names(to, () => inner.rename(from, to), () => this.#renaming(from, to), `rename ${this.#short(from)} to ${this.#short(to)}`),
      link: (from, to) => this.#names(to, () => inner.link(from, to), () => [{ ...this.#at(to), node: this.#at(from).node! }], `link ${this.#short(to)}`),
      unlink: (path) => this.#names(path, () => inner.unlink(path), () => [{ ...this.#at(path), node: null }], `unlink ${this.#short(path)}`),
      rmdir: (path) => this.#names(path, () => inner.rmdir(path), () => [{ ...this.#at(path), node: null }], `rmdir ${this.#short(path)}`),
      mkdir: (path) => this.#names(path, () => inner.mkdir(path), () => [this.#making(path, true)], `mkdir ${this.#short(path)}`, true),
      syncDirectory: (path) => this.#do(path, () => inner.syncDirectory(path), () => ({ do: 'syncDirectory', node: this.#directory(path) })),
      wallMs: () => (this.#wallMs += 7),
      wallNs: () => BigInt(this.#wallMs += 7) * 1_000_000n,
      randomBytes: (count) => this.#options.random.bytes(count),
    }
  }

  #open(path: string, mode: OpenMode): EnvFile {
    const { inner } = this.#options
    if (!this.#isRecorded(path)) return inner.open(path, mode)
    const isNew = mode !== 'read' && mode !== 'write' && !inner.exists(path)
    if (isNew) this.#before()
    const file = inner.open(path, mode)
    if (isNew) this.#record({ do: 'names', edits: [this.#making(path, false)], isDirectory: false, what: `create ${this.#short(path)}` })
    const { node } = this.#at(path)
    return node === undefined ? file : this.#file(file, node)
  }

  #file(file: EnvFile, node: NodeNumber): EnvFile {
    const write = (source: Uint8Array, at: number): void =>
      this.#do(file.path, () => file.write(source, at), () => ({ do: 'write', node, at, bytes: Buffer.from(source) }))
    return {
      path: file.path,
      fd: file.fd,
      read: (target, position) => file.read(target, position),
      write,
      writev: (sources, position) => write(Buffer.concat(sources), position),
      append: (source) => write(source, file.size()),
      truncate: (bytes) => this.#do(file.path, () => file.truncate(bytes), () => ({ do: 'truncate', node, bytes })),
      size: () => file.size(),
      sync: () => this.#do(file.path, () => file.sync(), () => ({ do: 'sync', node })),
      close: () => file.close(),
      [Symbol.dispose]: () => file.close(),
    }
  }

  #names(path: string, call: () => void, edits: () => Edit[], what: string, isDirectory = false): void {
    this.#do(path, call, () => ({ do: 'names', edits: edits(), isDirectory, what }))
  }

  #do(path: string, call: () => void, describe: () => RecordedOperation): void {
    if (!this.#isRecorded(path)) return call()
    this.#before()
    call()
    this.#record(describe())
  }

  #before(): void {
    if (this.#isInterleaving) return
    this.#isInterleaving = true
    try {
      this.interleave()
    } finally {
      this.#isInterleaving = false
    }
  }

  #record(operation: RecordedOperation): void {
    if (operation.do === 'names') {
      for (const { node } of operation.edits) {
        if (operation.isDirectory && node !== null && !this.#tree.directories.has(node)) this.#tree.directories.set(node, new Map())
      }
      applyEdits(this.#tree.directories, operation.edits)
    }
    this.operations.push(operation)
    this.watch(operation)
  }

  #making(path: string, isDirectory: boolean): Edit {
    const { directory, name } = this.#at(path)
    const node = this.#tree.nextNode
    this.#tree.nextNode += 1
    if (isDirectory) this.#tree.directories.set(node, new Map())
    return { directory, name, node }
  }

  #renaming(from: string, to: string): Edit[] {
    const { directory, name, node } = this.#at(from)
    return [{ directory, name, node: null }, { ...this.#at(to), node: node! }]
  }

  #directory(path: string): NodeNumber {
    return path === this.#options.root ? 1 : this.#at(path).node!
  }

  #at(path: string): { directory: NodeNumber; name: string; node?: NodeNumber } {
    const found = locate(this.#tree, this.#short(path).split('/'))
    if (found === null) throw new Error(`${path} is in a directory that was not recorded`)
    return found
  }

  #short(path: string): string {
    return relative(this.#options.root, path)
  }

  #isRecorded(path: string): boolean {
    const short = this.#short(path)
    if (short.startsWith('..')) return false
    return !this.#options.around.some((name) => short === name || short.startsWith(`${name}/`))
  }
}

/** As the mount's main thread holds a file or directory that it syncs; null where there is none. */
export function recordedFile(env: Env, path: string): Syncable | null {
  if (!env.exists(path)) return null
  if (env.stat(path).kind === 'directory') {
    return { sync: async () => env.syncDirectory(path), close: async () => undefined }
  }
  const file = env.open(path, 'read')
  return { sync: async () => file.sync(), close: async () => file.close() }
}
