/** The real Env: Node's synchronous file calls, with errors turned into ours and short writes finished. */
import { Buffer } from 'node:buffer'
import fs from 'node:fs'
import { HoldfastError, isCode, wrapIo } from '../errors.ts'
import type { Env, EnvFile, OpenMode, PathKind, PathStat } from './env.ts'
import { nodePath, pathText } from './path-text.ts'
import { WallClock } from './wall-clock.ts'

export function systemEnv(): Env {
  return environment
}

const openFlags: Record<OpenMode, number> = {
  read: fs.constants.O_RDONLY,
  write: fs.constants.O_RDWR,
  create: fs.constants.O_RDWR | fs.constants.O_CREAT,
  createNew: fs.constants.O_RDWR | fs.constants.O_CREAT | fs.constants.O_EXCL,
}

const clock = new WallClock()

const environment: Env = Object.freeze({
  open: (path: string, mode: OpenMode) => new SystemFile(path, openFd(path, openFlags[mode])),
  rename: (from: string, to: string) =>
    attempt(`renaming ${from} to ${to}`, () => fs.renameSync(nodePath(from), nodePath(to))),
  link: (from: string, to: string) =>
    attempt(`linking ${from} as ${to}`, () => fs.linkSync(nodePath(from), nodePath(to))),
  unlink: (path: string) => attempt(`removing ${path}`, () => fs.unlinkSync(nodePath(path))),
  mkdir: (path: string) => attempt(`making ${path}`, () => fs.mkdirSync(nodePath(path), 0o700)),
  rmdir: (path: string) => attempt(`removing ${path}`, () => fs.rmdirSync(nodePath(path))),
  readdir: (path: string) => attempt(`listing ${path}`, () => fs.readdirSync(nodePath(path), 'buffer').map(pathText)),
  readlink: (path: string) => attempt(`reading ${path}`, () => fs.readlinkSync(nodePath(path), 'buffer')),
  stat: (path: string) => attempt(`looking at ${path}`, () => describe(fs.lstatSync(nodePath(path), { bigint: true }))),
  exists: (path: string) => attempt(`looking at ${path}`, () => isThere(path)),
  syncDirectory,
  freeBytes: (path: string) => attempt(`asking for the free space of ${path}`, () => freeBytesOf(path)),
  wallMs: () => Date.now(),
  wallNs: () => clock.nowNs(),
  monotonicMs: () => performance.now(),
  // The global loads what is behind it when it is first used, which few commands do.
  randomBytes: (count: number) => crypto.getRandomValues(Buffer.allocUnsafeSlow(count)),
})

class SystemFile implements EnvFile {
  readonly path: string
  readonly fd: number
  #open = true

  constructor(path: string, fd: number) {
    this.path = path
    this.fd = fd
  }

  read(target: Uint8Array, position: number): number {
    return attempt(`reading ${this.path}`, () => {
      let done = 0
      while (done < target.length) {
        const count = fs.readSync(this.fd, target, done, target.length - done, position + done)
        if (count === 0) break
        done += count
      }
      return done
    })
  }

  write(source: Uint8Array, position: number): void {
    attempt(`writing ${this.path}`, () => {
      let done = 0
      while (done < source.length) {
        done += fs.writeSync(this.fd, source, done, source.length - done, position + done)
      }
    })
  }

  writev(sources: readonly Uint8Array[], position: number): void {
    const bytes = sources.reduce((sum, source) => sum + source.length, 0)
    const written = attempt(`writing ${this.path}`, () => fs.writevSync(this.fd, sources, position))
    if (written < bytes) this.write(Buffer.concat(sources).subarray(written), position + written)
  }

  append(source: Uint8Array): void {
    attempt(`writing ${this.path}`, () => {
      for (let done = 0; done < source.length;) done += fs.writeSync(this.fd, source, done)
    })
  }

  truncate(bytes: number): void {
    attempt(`cutting ${this.path}`, () => fs.ftruncateSync(this.fd, bytes))
  }

  size(): number {
    return attempt(`looking at ${this.path}`, () => fs.fstatSync(this.fd).size)
  }

  sync(): void {
    attempt(`syncing ${this.path}`, () => fs.fdatasyncSync(this.fd))
  }

  close(): void {
    if (!this.#open) return
    this.#open = false
    attempt(`closing ${this.path}`, () => fs.closeSync(this.fd))
  }

  [Symbol.dispose](): void {
    this.close()
  }
}

function openFd(path: string, flags: number): number {
  return attempt(`opening ${path}`, () => fs.openSync(nodePath(path), flags, 0o600))
}

function syncDirectory(path: string): void {
  attempt(`syncing ${path}`, () => {
    const fd = fs.openSync(nodePath(path), fs.constants.O_RDONLY | fs.constants.O_DIRECTORY)
    try {
      fs.fsyncSync(fd)
    } finally {
      fs.closeSync(fd)
    }
  })
}

function isThere(path: string): boolean {
  return fs.lstatSync(nodePath(path), { throwIfNoEntry: false }) !== undefined
}

function freeBytesOf(path: string): number {
  const space = fs.statfsSync(nodePath(path))
  return space.bavail * space.bsize
}

function describe(stat: fs.BigIntStats): PathStat {
  return {
    kind: kindOf(stat),
    bytes: Number(stat.size),
    mtimeNs: stat.mtimeNs,
    ino: stat.ino,
    dev: stat.dev,
    mode: Number(stat.mode) & 0o7777,
    uid: Number(stat.uid),
    gid: Number(stat.gid),
    links: Number(stat.nlink),
    type: Number(stat.mode) & 0o170000,
    deviceNumber: Number(stat.rdev),
  }
}

function kindOf(stat: fs.BigIntStats): PathKind {
  if (stat.isFile()) return 'file'
  if (stat.isDirectory()) return 'directory'
  return stat.isSymbolicLink() ? 'link' : 'other'
}

function attempt<T>(doing: string, call: () => T): T {
  try {
    return call()
  } catch (error) {
    throw translate(error, doing)
  }
}

function translate(error: unknown, doing: string): HoldfastError {
  const detail = { cause: error }
  if (isCode(error, 'ENOENT', 'ENOTDIR')) return new HoldfastError('NOT_FOUND', `${doing}: no such path`, detail)
  if (isCode(error, 'EEXIST', 'ENOTEMPTY')) return new HoldfastError('EXISTS', `${doing}: it exists already`, detail)
  return wrapIo(error, doing)
}
