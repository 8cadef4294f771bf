/**
 * Kernel, initial RAM disk and firmware, which a hypervisor reads from end to end at its start: 15 MB that would
 * cost a resume more than all else. Verified copies of them are held in memory, named by their contents; the
 * files have no name, so that they end with this process however it ends.
 */
import type { Buffer } from 'node:buffer'
import { join } from 'node:path'
import type { MachineSpec } from '../../drivers/index.ts'
import type { Env, EnvFile } from '../env/env.ts'
import { isCode } from '../errors.ts'
import type { InodeRecord } from '../format/inode.ts'
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

  constructor(env: Env) {
    this.#env = env
  }

  /** Where another process can read the file's contents; null when they are not held. */
  find(inode: InodeRecord): string | null {
    const file = this.#files.get(keyOf(inode))
    return file === undefined ? null : `/proc/${process.pid}/fd/${file.fd}`
  }

  /** Keeps the contents if there is room; what is held stays until `close`. Errors: as `read`. */
  hold(inode: InodeRecord, read: () => Iterable<Buffer>): void {
    const isHeld = this.#files.has(keyOf(inode))
    if (isHeld || this.#files.size >= bootFilesMax || Number(inode.size) > bootFileBytesMax) return
    if (!this.#env.exists(memoryDirectory)) return
    const file = this.#unnamed()
    try {
      let position = 0
      for (const piece of read()) {
        file.write(piece, position)
        position += piece.length
      }
      this.#files.set(keyOf(inode), file)
    } catch (error) {
      file.close()
      // It is read through the mount then.
      if (!isCode(error, 'NO_SPACE')) throw error
    }
  }

  close(): void {
    for (const file of this.#files.values()) file.close()
    this.#files.clear()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #unnamed(): EnvFile {
    const path = join(memoryDirectory, `.holdfast-${this.#env.randomBytes(16).toString('hex')}`)
    const file = this.#env.open(path, 'createNew')
    this.#env.unlink(path)
    return file
  }
}

/** Equal contents have equal roots. */
function keyOf({ dataRoot, size }: InodeRecord): string {
  return `${dataRoot?.toString('hex') ?? ''} ${size}`
}
