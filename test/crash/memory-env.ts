/** An Env over a tree in memory, which it changes in place. Paths in `around` lie in the real file system. */
import { Buffer } from 'node:buffer'
import { relative } from 'node:path'
import type { Env, EnvFile, OpenMode, PathStat } from '../../src/env/env.ts'
import { systemEnv } from '../../src/env/system.ts'
import { HoldfastError } from '../../src/errors.ts'
import type { Random } from '../random.ts'
import { locate, resized } from './tree.ts'
import type { NodeNumber, Tree } from './tree.ts'

const plenty = 2 ** 40

interface MemoryOptions {
  tree: Tree
  root: string
  around: readonly string[]
  random: Random
}

export function memoryEnv(options: MemoryOptions): Env {
  const memory = new MemoryFiles(options)
  const real = systemEnv()
  const either = (path: string): Env => (memory.holds(path) ? memory.env : real)
  let wallMs = 1_800_000_000_000
  return {
    open: (path, mode) => either(path).open(path, mode),
    rename: (from, to) => either(from).rename(from, to),
    link: (from, to) => either(from).link(from, to),
    unlink: (path) => either(path).unlink(path),
    mkdir: (path) => either(path).mkdir(path),
    rmdir: (path) => either(path).rmdir(path),
    readdir: (path) => either(path).readdir(path),
    readlink: (path) => either(path).readlink(path),
    stat: (path) => either(path).stat(path),
    exists: (path) => either(path).exists(path),
    syncDirectory: (path) => either(path).syncDirectory(path),
    freeBytes: () => plenty,
    wallMs: () => (wallMs += 7),
    wallNs: () => BigInt(wallMs += 7) * 1_000_000n,
    monotonicMs: () => real.monotonicMs(),
    randomBytes: (count) => options.random.bytes(count),
  }
}

class MemoryFiles {
  readonly env: Pick<Env, 'open' | 'rename' | 'link' | 'unlink' | 'mkdir' | 'rmdir' | 'readdir' | 'readlink' | 'stat' | 'exists' | 'syncDirectory'> & Env
  readonly #options: MemoryOptions
  readonly #tree: Tree
  /** Where contents lie that were written here, with room to grow. */
  readonly #rooms = new Map<NodeNumber, Buffer>()

  constructor(options: MemoryOptions) {
    this.#options = options
    this.#tree = options.tree
    this.env = {
      ...systemEnv(),
      open: (path, mode) => this.#open(path, mode),
      rename: (from, to) => this.#rename(from, to),
      link: (from, to) => this.#link(from, to),
      unlink: (path) => this.#remove(path, 'file'),
      rmdir: (path) => this.#remove(path, 'directory'),
      mkdir: (path) => this.#make(path, (node) => this.#tree.directories.set(node, new Map())),
      readdir: (path) => [...this.#directory(path).keys()],
      readlink: (path) => { throw missing(path) },
      stat: (path) => this.#stat(path),
      exists: (path) => this.#find(path) !== undefined,
      syncDirectory: (path) => void this.#directory(path),
    }
  }

  holds(path: string): boolean {
    const short = relative(this.#options.root, path)
    return !short.startsWith('..') && !this.#options.around.some((name) => short === name || short.startsWith(`${name}/`))
  }

  #open(path: string, mode: OpenMode): EnvFile {
    const found = this.#find(path)
    if (found === undefined && (mode === 'read' || mode === 'write')) throw missing(path)
    if (found !== undefined && mode === 'createNew') throw new HoldfastError('EXISTS', `${path} is there`)
    const node = found ?? this.#make(path, (made) => this.#tree.files.set(made, Buffer.alloc(0)))
    if (!this.#tree.files.has(node)) throw new HoldfastError('IO', `${path} is a directory`)
    return this.#file(path, node)
  }

  #file(path: string, node: NodeNumber): EnvFile {
    const { files } = this.#tree
    const content = (): Buffer => files.get(node)!
    const write = (source: Uint8Array, at: number): void => this.#write(node, source, at)
    return {
      path,
      fd: -1,
      read: (target, position) => position >= content().length ? 0 : content().copy(target, 0, position),
      write,
      writev: (sources, position) => write(Buffer.concat(sources), position),
      append: (source) => write(source, content().length),
      truncate: (bytes) => {
        this.#rooms.delete(node)
        files.set(node, Buffer.from(resized(content(), bytes)))
      },
      size: () => content().length,
      sync: () => undefined,
      close: () => undefined,
      [Symbol.dispose]: () => undefined,
    }
  }

  /** Contents that were there are others' too, and are copied before they change. */
  #write(node: NodeNumber, source: Uint8Array, at: number): void {
    const { files } = this.#tree
    const content = files.get(node)!
    const bytes = Math.max(content.length, at + source.length)
    let room = this.#rooms.get(node)
    if (room === undefined || room.length < bytes) {
      room = Buffer.alloc(room === undefined ? bytes : 2 * bytes)
      content.copy(room)
      this.#rooms.set(node, room)
    }
    room.set(source, at)
    files.set(node, room.subarray(0, bytes))
  }

  #make(path: string, put: (node: NodeNumber) => void): NodeNumber {
    if (this.#find(path) !== undefined) throw new HoldfastError('EXISTS', `${path} is there`)
    const { names, name } = this.#place(path)
    const node = this.#tree.nextNode
    this.#tree.nextNode += 1
    put(node)
    names.set(name, node)
    return node
  }

  #rename(from: string, to: string): void {
    const node = this.#find(from)
    if (node === undefined) throw missing(from)
    const target = this.#find(to)
    if (target !== undefined && (this.#tree.directories.get(target)?.size ?? 0) > 0) throw new HoldfastError('EXISTS', `${to} is not empty`)
    const place = this.#place(to)
    const source = this.#place(from)
    source.names.delete(source.name)
    place.names.set(place.name, node)
  }

  #link(from: string, to: string): void {
    const node = this.#find(from)
    if (node === undefined) throw missing(from)
    if (this.#find(to) !== undefined) throw new HoldfastError('EXISTS', `${to} is there`)
    const place = this.#place(to)
    place.names.set(place.name, node)
  }

  #remove(path: string, kind: 'file' | 'directory'): void {
    const node = this.#find(path)
    const isRight = node !== undefined && (kind === 'file' ? this.#tree.files : this.#tree.directories).has(node)
    if (node === undefined || !isRight) throw missing(path)
    if (kind === 'directory' && this.#tree.directories.get(node)!.size > 0) throw new HoldfastError('EXISTS', `${path} is not empty`)
    const { names, name } = this.#place(path)
    names.delete(name)
  }

  #stat(path: string): PathStat {
    const node = this.#find(path)
    if (node === undefined) throw missing(path)
    const bytes = this.#tree.files.get(node)
    return {
      kind: bytes === undefined ? 'directory' : 'file', bytes: bytes?.length ?? 0, mtimeNs: 0n, ino: BigInt(node), dev: 1n, mode: 0o600,
      uid: 0, gid: 0, links: 1, type: bytes === undefined ? 0o40000 : 0o100000, deviceNumber: 0,
    }
  }

  #directory(path: string): Map<string, NodeNumber> {
    const node = this.#find(path)
    const names = node === undefined ? undefined : this.#tree.directories.get(node)
    if (names === undefined) throw missing(path)
    return names
  }

  #place(path: string): { names: Map<string, NodeNumber>; name: string } {
    const place = locate(this.#tree, this.#parts(path))
    const names = place === null ? undefined : this.#tree.directories.get(place.directory)
    if (place === null || names === undefined) throw missing(path)
    return { names, name: place.name }
  }

  #find(path: string): NodeNumber | undefined {
    const parts = this.#parts(path)
    return parts.length === 0 ? 1 : locate(this.#tree, parts)?.node
  }

  #parts(path: string): string[] {
    return relative(this.#options.root, path).split('/').filter((name) => name !== '')
  }
}

function missing(path: string): HoldfastError {
  return new HoldfastError('NOT_FOUND', `${path} is not there`)
}
