/**
 * A door into a serving thread. That thread sleeps in read(2) on the FUSE device and never runs
 * its event loop, so a message posted to it waits for ever. What it does read is the kernel's queue:
 * a read of the control file is a request in it, for which the session calls `onControl` (which
 * drains a MessagePort with `receiveMessageOnPort`) and answers with the bytes that this returns.
 *
 * Reads are for other processes. A thread that waits for a server in its own process keeps that from
 * ending when it is killed: the connection stays open while the thread waits, and the thread waits
 * until the connection is closed. So the process that serves wakes its thread without waiting, by
 * asking the kernel for cached pages of the control file (`Waker`): the answer, that there are none,
 * comes by the same queue.
 *
 * The file has a secret name in the root, is in no listing, and belongs to root with mode 0600.
 * It is read with O_DIRECT: opens are answered ENOSYS once for all files, so the session cannot
 * ask for direct I/O on this one, and a cached read would not reach it a second time.
 */
import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { lstat, open } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { limits } from './limits.ts'
import { askForNothing } from './notify.ts'
import type { Attributes, Entry } from './results.ts'

/** Above every inode number, and still a safe integer. */
export const CONTROL_NODEID = 2 ** 52 + 1

const NAME_BITS = 128
const EPOCH = { seconds: 0, nanoseconds: 0 }

/** Not empty, because the kernel answers direct reads past the end without asking. */
const attributes: Attributes = {
  inode: CONTROL_NODEID,
  sizeChunk: limits.controlBytesMax / limits.chunkBytes,
  sizeWithin: 0,
  blockCount: 0,
  accessed: EPOCH,
  modified: EPOCH,
  changed: EPOCH,
  mode: 0o100600,
  linkCount: 1,
  uid: 0,
  gid: 0,
  deviceNumber: 0,
  ioBytes: limits.pageBytes,
}

export const controlEntry: Entry = Object.freeze({
  node: CONTROL_NODEID,
  attributes: Object.freeze(attributes),
  validSeconds: 0,
})

/** A name that nobody guesses. */
export function secretControlName(): string {
  return `.holdfast-${randomBytes(NAME_BITS / 8).toString('hex')}`
}

/** The other end of the door: for any thread or process but the serving thread. */
export class ControlFile {
  readonly #handle: FileHandle

  private constructor(handle: FileHandle) {
    this.#handle = handle
  }

  /** `directory` is the mount point. */
  static async open(directory: string, controlName: string): Promise<ControlFile> {
    return new ControlFile(await open(join(directory, controlName), constants.O_RDONLY | constants.O_DIRECT))
  }

  /** Lets the serving thread run its `onControl` between two requests; what that returned. */
  async poke(): Promise<Buffer> {
    const answer = Buffer.allocUnsafe(limits.controlBytesMax)
    const { bytesRead } = await this.#handle.read(answer, 0, answer.length, 0)
    return answer.subarray(0, bytesRead)
  }

  close(): Promise<void> {
    return this.#handle.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/** Lets the serving thread of this process run its `onControl` between two requests. */
export class Waker {
  readonly #descriptor: number
  readonly #path: string

  private constructor(descriptor: number, path: string) {
    this.#descriptor = descriptor
    this.#path = path
  }

  /** `directory` is the mount point. */
  static async open(descriptor: number, directory: string, controlName: string): Promise<Waker> {
    const waker = new Waker(descriptor, join(directory, controlName))
    await lstat(waker.#path)
    return waker
  }

  /**
   * Waits for nothing, holds nothing open, and says nothing about what came of it. The kernel forgets the
   * control file when memory is short: then it is looked up again, which finds nothing once the mount is
   * detached from its directory.
   */
  wake(): void {
    if (askForNothing(this.#descriptor, CONTROL_NODEID)) return
    // What fails here is a mount that is detached or gone, and its session knows that first.
    lstat(this.#path).then(() => askForNothing(this.#descriptor, CONTROL_NODEID)).catch(() => undefined)
  }
}
