/**
 * Where a store's control files lie, and paths of unix sockets of any length. A socket's address holds 107
 * bytes; a longer path is reached through a descriptor of its directory under /proc/self/fd.
 */
import { Buffer } from 'node:buffer'
import { basename, dirname, join } from 'node:path'
import { socketPathBytesMax } from './limits.ts'

export interface ControlPaths {
  /** Mode 0700: what lies in it is for the store's owner. */
  directory: string
  socket: string
  pid: string
  log: string
  startLock: string
}

export function controlPaths(store: string): ControlPaths {
  const directory = join(store, 'daemon')
  return {
    directory,
    socket: join(directory, 'control.sock'),
    pid: join(directory, 'pid'),
    log: join(directory, 'log'),
    startLock: join(directory, 'start.lock'),
  }
}

/** An import of it loads all of its parts, a tenth of a command's start, and few paths are so long. */
const fileSystem = (): typeof import('node:fs') => process.getBuiltinModule('node:fs')

/** A socket's path short enough for its address; it holds as long as this object is not disposed of. */
export class SocketPath implements Disposable {
  readonly path: string
  #directoryFd: number | null = null

  /** Throws the system's ENOENT when the directory of a long path does not exist. */
  constructor(path: string) {
    if (Buffer.byteLength(path) <= socketPathBytesMax) {
      this.path = path
      return
    }
    const { constants, openSync } = fileSystem()
    this.#directoryFd = openSync(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY)
    this.path = `/proc/self/fd/${this.#directoryFd}/${basename(path)}`
  }

  close(): void {
    if (this.#directoryFd !== null) fileSystem().closeSync(this.#directoryFd)
    this.#directoryFd = null
  }

  [Symbol.dispose](): void {
    this.close()
  }
}
