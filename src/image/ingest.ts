/**
 * Takes bases into the store: files and at most one directory tree become the manifest of epoch 0. A base is
 * read once (holes not at all) and never again, so an empty node can resume without it. What changed while it
 * was read is found by comparing its stat before and after, and refused.
 */
import { Buffer } from 'node:buffer'
import { basename, dirname, join, resolve } from 'node:path'
import type { Env, PathStat } from '../env/env.ts'
import { pathBytes } from '../env/path-text.ts'
import { HoldfastError, isCode, messageOf } from '../errors.ts'
import { encodeDirents, nameKey } from '../format/dirent.ts'
import type { Dirent } from '../format/dirent.ts'
import { encodeInode } from '../format/inode.ts'
import type { InodeRecord } from '../format/inode.ts'
import type { Manifest } from '../format/manifest.ts'
import { nameBytesMax } from '../limits.ts'
import type { ChunkId, ChunkStore } from '../store/chunks.ts'
import { putAttributes, putData } from './base-data.ts'
import type { BaseReading } from './base-data.ts'
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

interface Reading extends BaseReading {
  readonly env: Env
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
    const bytes = pathBytes(name)
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
  const { dataRoot, attributesRoot } = await readBase(reading, item)
  return {
    mode: stat.type | stat.mode, uid: stat.uid, gid: stat.gid, linkCount: item.links, deviceNumber: stat.deviceNumber,
    size: stat.kind === 'file' ? BigInt(stat.bytes) : BigInt(target.length),
    accessedNs: stat.mtimeNs, modifiedNs: stat.mtimeNs, changedNs: stat.mtimeNs,
    isMemory: false, isLinkable: false, target, dataRoot, attributesRoot,
  }
}

/** Links, devices, pipes and sockets cannot be opened for their attributes: what they have is left out. */
async function readBase(reading: Reading, item: Found): Promise<Pick<InodeRecord, 'dataRoot' | 'attributesRoot'>> {
  const { env, store, nodes } = reading
  const { path, children, stat } = item
  const names = children === null ? null : buildNames(nodes, children)
  if (path === '' || (children === null && stat.kind !== 'file')) return { dataRoot: names, attributesRoot: null }
  using file = ofBase(item, () => env.open(path, 'read'))
  const dataRoot = children === null ? await putData(reading, file, stat.bytes, (call) => ofBase(item, call)) : names
  const attributesRoot = putAttributes(store, file, (call) => ofBase(item, call))
  checkUnchanged(env, item)
  return { dataRoot, attributesRoot }
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
