/**
 * Kernel, initial RAM disk and firmware, which a hypervisor reads from end to end at its start: 15 MB that would
 * cost a resume more than all else. Verified copies of them are held in memory, named by their contents; the
 * files have no name, so that they end with this process however it ends.
 */
import { Buffer } from 'node:buffer'
import { join } from 'node:path'
import type { MachineSpec } from '../../drivers/index.ts'
import type { Env, EnvFile } from '../env/env.ts'
import { isCode } from '../errors.ts'
import type { InodeRecord } from '../format/inode.ts'
import { MIB } from '../limits.ts'
import { bootFileBytesMax, bootFilesMax } from './limits.ts'

/** Never a disk: what is encrypted in the store is plain here. */
const memoryDirectory = '/dev/shm'

/** Those of them that a machine has, by their paths in the image. */
export function bootFiles({ kernel, firmware }: MachineSpec): string[] {
  return [kernel?.image, kernel?.initrd, firmware].filter((path) => typeof path === 'string')
}

export class BootFiles implements Disposable {
  readonly #env: Env
  readonly #files = new Map<string, EnvFile>()
  /** Without contents yet. */
  readonly #reserved = new Map<string, EnvFile>()

  constructor(env: Env) {
    this.#env = env
  }

  /** Where another process can read the file's contents; null when they are not held. */
  find(inode: InodeRecord): string | null {
    const file = this.#files.get(keyOf(inode))
    return file === undefined ? null : placeOf(file)
  }

  /** Where they will be once they are held; null when there is no room for them. */
  reserve(inode: InodeRecord): string | null {
    const key = keyOf(inode)
    const there = this.#files.get(key) ?? this.#reserved.get(key)
    if (there !== undefined) return placeOf(there)
    const file = this.#hasRoom(inode) ? this.#filled(zeros(Number(inode.size))) : null
    if (file !== null) this.#reserved.set(key, file)
    return file && placeOf(file)
  }

  /** Keeps the contents if there is room; what is held stays until `close`. Errors: as `read`. */
  hold(inode: InodeRecord, read: () => Iterable<Buffer>): void {
    const key = keyOf(inode)
    const reserved = this.#reserved.get(key)
    if (this.#files.has(key) || (reserved === undefined && !this.#hasRoom(inode))) return
    this.#reserved.delete(key)
    const file = this.#filled(read(), reserved)
    if (file !== null) this.#files.set(key, file)
  }

  close(): void {
    for (const file of [...this.#files.values(), ...this.#reserved.values()]) file.close()
    this.#files.clear()
    this.#reserved.clear()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #hasRoom({ size }: InodeRecord): boolean {
    const isMuch = this.#files.size + this.#reserved.size >= bootFilesMax || Number(size) > bootFileBytesMax
    return !isMuch && this.#env.exists(memoryDirectory)
  }

  /** Null, and closed, where there is no space: it is read through the mount then. Errors: as `pieces`. */
  #filled(pieces: Iterable<Buffer>, file = this.#unnamed()): EnvFile | null {
    try {
      let position = 0
      for (const piece of pieces) {
        file.write(piece, position)
        position += piece.length
      }
      return file
    } catch (error) {
      file.close()
      if (isCode(error, 'NO_SPACE')) return null
      throw error
    }
  }

  #unnamed(): EnvFile {
    const path = join(memoryDirectory, `.holdfast-${this.#env.randomBytes(16).toString('hex')}`)
    const file = this.#env.open(path, 'createNew')
    this.#env.unlink(path)
    return file
  }
}

function placeOf({ fd }: EnvFile): string {
  return `/proc/${process.pid}/fd/${fd}`
}

/** Memory that is there when the contents come. */
function* zeros(bytes: number): Generator<Buffer> {
  const piece = Buffer.alloc(Math.min(bytes, MIB))
  for (let left = bytes; left > 0; left -= piece.length) yield piece.subarray(0, left)
}

/** Equal contents have equal roots. */
function keyOf({ dataRoot, size }: InodeRecord): string {
  return `${dataRoot?.toString('hex') ?? ''} ${size}`
}
