/**
 * Takes bases into the store: files and at most one directory tree become the manifest of epoch 0. A base is
 * read once and never again, so an empty node can resume without it. What changed while it was read is found
 * by comparing its stat before and after, and refused.
 */
import { Buffer } from 'node:buffer'
import { basename, dirname, join, resolve } from 'node:path'
import type { Env, PathStat } from '../env/env.ts'
import { HoldfastError, isCode, messageOf } from '../errors.ts'
import { encodeDirents, nameKey } from '../format/dirent.ts'
import type { Dirent } from '../format/dirent.ts'
import { encodeInode } from '../format/inode.ts'
import type { InodeRecord } from '../format/inode.ts'
import type { Manifest } from '../format/manifest.ts'
import { isZero } from '../chunk/zero.ts'
import { chunkBytes, nameBytesMax } from '../limits.ts'
import type { ChunkId, ChunkStore } from '../store/chunks.ts'
import { breathe } from '../store/progress.ts'
import { entryType, fileType } from './modes.ts'
import { build } from './tree/build.ts'
import type { NodeStore } from './tree/nodes.ts'
import type { CallOptions } from './types.ts'

export const rootInode = 1

/** As the kernel follows them. */
const linksMax = 40

interface Found {
  number: number
  path: string
  stat: PathStat
  links: number
  children: Dirent[] | null
}

/** Errors: BASE_UNREADABLE, BASE_CHANGED, BASE_CLASH, NO_SPACE, IO, ABORTED. */
export async function ingest(
  env: Env, store: ChunkStore, nodes: NodeStore, bases: readonly string[], options: CallOptions = {},
): Promise<Manifest> {
  const walk = new BaseWalk(env, bases)
  const found = [...walk.found.values()].sort((a, b) => a.number - b.number)
  const total = found.reduce((sum, item) => sum + (item.stat.kind === 'file' ? item.stat.bytes : 0), 0)
  const reading = { env, store, nodes, options, done: 0, total }
  const records: [number, Buffer][] = []
  for (const item of found) records.push([item.number, encodeInode(await takeIn(reading, item, walk.link(item)))])
  return {
    inodes: build(nodes, records), nextInode: walk.nextNumber, inodeCount: records.length, orphans: [],
  }
}

interface Reading {
  env: Env
  store: ChunkStore
  nodes: NodeStore
  options: CallOptions
  done: number
  total: number
}

/** Finds everything that the bases hold, numbered; hard links become one inode. */
class BaseWalk {
  readonly found = new Map<string, Found>()
  readonly #env: Env
  #next = rootInode
  #targets = new Map<number, Buffer>()

  constructor(env: Env, bases: readonly string[]) {
    this.#env = env
    const stats = bases.map((given) => this.#followed(given))
    const directories = stats.filter(({ stat }) => stat.kind === 'directory')
    if (directories.length > 1) {
      throw new HoldfastError('BASE_CLASH', 'only one of the bases may be a directory: it becomes the root')
    }
    const root = this.#root(directories[0])
    for (const { name, path, stat } of stats) {
      if (stat.kind === 'directory') continue
      if (stat.kind !== 'file') throw unreadable(path, new Error('it is neither a file nor a directory'))
      if (root.children!.some((dirent) => dirent.name.equals(Buffer.from(name)))) {
        throw new HoldfastError('BASE_CLASH', `two bases want the name /${name}: rename one`)
      }
      this.#child(root, name, path, stat)
    }
  }

  get nextNumber(): number {
    return this.#next
  }

  link(item: Found): Buffer {
    return this.#targets.get(item.number) ?? Buffer.alloc(0)
  }

  #root(directory: { path: string; stat: PathStat } | undefined): Found {
    if (directory !== undefined) return this.#add(directory.path, directory.stat)
    // It belongs to whoever makes the image: a user without root could make no file in root's.
    const [uid, gid] = [process.geteuid?.() ?? 0, process.getegid?.() ?? 0]
    const stat: PathStat = {
      kind: 'directory', bytes: 0, mtimeNs: BigInt(Math.round(this.#env.wallMs())) * 1_000_000n, ino: 0n, dev: 0n,
      mode: 0o755, uid, gid, links: 2, deviceNumber: 0, type: fileType.directory,
    }
    const root: Found = { number: this.#next++, path: '', stat, links: 2, children: [] }
    this.found.set('/', root)
    return root
  }

  #add(path: string, stat: PathStat): Found {
    const key = stat.kind === 'directory' ? path : `${stat.dev}:${stat.ino}`
    const known = this.found.get(key)
    if (known !== undefined) return known
    const isDirectory = stat.kind === 'directory'
    const links = isDirectory ? 2 : 0
    const item: Found = { number: this.#next++, path, stat, links, children: isDirectory ? [] : null }
    this.found.set(key, item)
    if (stat.kind === 'link') this.#targets.set(item.number, ofBase(item, () => this.#env.readlink(path)))
    if (isDirectory) {
      for (const name of this.#names(path).sort()) {
        const child = join(path, name)
        this.#child(item, name, child, this.#stat(child))
      }
    }
    return item
  }

  #child(parent: Found, name: string, path: string, stat: PathStat): void {
    const bytes = Buffer.from(name)
    if (bytes.length > nameBytesMax) throw new HoldfastError('BASE_UNREADABLE', `the name of ${path} is too long`)
    const item = this.#add(path, stat)
    if (item.children === null) item.links += 1
    else parent.links += 1
    parent.children!.push({ name: bytes, inode: item.number, type: entryType(stat.type) })
  }

  /** A base may be named through symbolic links; it keeps the name that was given. */
  #followed(given: string): { name: string; path: string; stat: PathStat } {
    let path = given
    for (let links = 0; ; links += 1) {
      const stat = this.#stat(path)
      if (stat.kind !== 'link') return { name: basename(given), path, stat }
      if (links === linksMax) throw unreadable(given, new Error('too many symbolic links'))
      path = resolve(dirname(path), this.#env.readlink(path).toString())
    }
  }

  #names(path: string): string[] {
    try {
      return this.#env.readdir(path)
    } catch (error) {
      throw unreadable(path, error)
    }
  }

  #stat(path: string): PathStat {
    try {
      return this.#env.stat(path)
    } catch (error) {
      throw unreadable(path, error)
    }
  }
}

async function takeIn(reading: Reading, item: Found, target: Buffer): Promise<InodeRecord> {
  const { stat } = item
  const dataRoot = await readBase(reading, item)
  return {
    mode: stat.type | stat.mode, uid: stat.uid, gid: stat.gid, linkCount: item.links, deviceNumber: stat.deviceNumber,
    size: stat.kind === 'file' ? BigInt(stat.bytes) : BigInt(target.length),
    accessedNs: stat.mtimeNs, modifiedNs: stat.mtimeNs, changedNs: stat.mtimeNs,
    isMemory: false, target, dataRoot, attributesRoot: null,
  }
}

async function readBase(reading: Reading, item: Found): Promise<ChunkId | null> {
  if (item.children !== null) {
    const root = buildNames(reading.nodes, item.children)
    if (item.path !== '') checkUnchanged(reading.env, item)
    return root
  }
  if (item.stat.kind !== 'file') return null
  const root = await readFile(reading, item)
  checkUnchanged(reading.env, item)
  return root
}

/** What the base's own file system refuses is about the base; the store's failures keep their codes. */
function ofBase<T>(item: Found, call: () => T): T {
  try {
    return call()
  } catch (error) {
    if (isCode(error, 'IO', 'NOT_FOUND')) throw unreadable(item.path, error)
    throw error
  }
}

function checkUnchanged(env: Env, item: Found): void {
  const now = ofBase(item, () => env.stat(item.path))
  const { stat } = item
  const same = now.bytes === stat.bytes && now.mtimeNs === stat.mtimeNs && now.ino === stat.ino && now.dev === stat.dev
  if (!same) {
    throw new HoldfastError('BASE_CHANGED', `${item.path} changed while it was taken in: stop what writes to it, ` +
      'and create the image again')
  }
}

/** Chunks first, then one tree over them; 64 KiB of ids for each 128 MiB of data are held meanwhile. */
async function readFile(reading: Reading, item: Found): Promise<ChunkId | null> {
  const { env, store, options } = reading
  using file = ofBase(item, () => env.open(item.path, 'read'))
  const entries: [number, ChunkId][] = []
  const window = Buffer.alloc(windowChunks * chunkBytes)
  for (let at = 0; at < item.stat.bytes; at += window.length) {
    const bytes = ofBase(item, () => file.read(window, at))
    window.fill(0, bytes)
    for (let from = 0; from < bytes; from += chunkBytes) {
      const plain = window.subarray(from, from + chunkBytes)
      if (!isZero(plain)) entries.push([(at + from) / chunkBytes, store.put(plain, 'data').id])
    }
    reading.done += bytes
    options.progress?.({ step: 'taking in the base', done: reading.done, total: reading.total, unit: 'bytes' })
    await breathe(options)
  }
  return entries.length === 0 ? null : build(reading.nodes, entries)
}

const windowChunks = 16

function buildNames(nodes: NodeStore, children: readonly Dirent[]): ChunkId | null {
  const byKey = new Map<number, Dirent[]>()
  for (const dirent of children) {
    const key = nameKey(dirent.name)
    byKey.set(key, [...byKey.get(key) ?? [], dirent])
  }
  const entries = [...byKey].sort(([a], [b]) => a - b)
    .map(([key, list]): [number, Buffer] => [key, encodeDirents(list)])
  return entries.length === 0 ? null : build(nodes, entries)
}

function unreadable(path: string, cause: unknown): HoldfastError {
  return new HoldfastError('BASE_UNREADABLE', `the base ${path} cannot be read: ${messageOf(cause)}`, { cause })
}
