/**
 * Files for threads that must not block: the one that owns the control socket syncs segments and pokes
 * mounts through these. Errors as in env.ts.
 */
import { lstat, open, statfs } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { isCode, wrapIo } from '../errors.ts'

export class AsyncFile {
  readonly #handle: FileHandle
  readonly #path: string

  private constructor(handle: FileHandle, path: string) {
    this.#handle = handle
    this.#path = path
  }

  /** Null when there is no such file. Errors: IO. */
  static async open(path: string): Promise<AsyncFile | null> {
    try {
      return new AsyncFile(await open(path, 'r'), path)
    } catch (error) {
      if (isCode(error, 'ENOENT')) return null
      throw wrapIo(error, `opening ${path}`)
    }
  }

  get fd(): number {
    return this.#handle.fd
  }

  /** Bytes read from the start of the file. */
  async read(target: Uint8Array): Promise<number> {
    try {
      return (await this.#handle.read(target, 0, target.length, 0)).bytesRead
    } catch (error) {
      throw wrapIo(error, `reading ${this.#path}`)
    }
  }

  /** fdatasync, which also covers what other descriptors wrote. */
  async sync(): Promise<void> {
    try {
      await this.#handle.datasync()
    } catch (error) {
      throw wrapIo(error, `syncing ${this.#path}`)
    }
  }

  async close(): Promise<void> {
    await this.#handle.close()
  }
}

/** Asks the file system that holds a path about itself, which no cache answers. Errors: IO, with the system's cause. */
export async function askFileSystem(path: string): Promise<void> {
  try {
    await statfs(path)
  } catch (error) {
    throw wrapIo(error, `asking the file system of ${path}`)
  }
}

/** Looks a path up, and no more. Errors: IO, with the system's cause. */
export async function lookUp(path: string): Promise<void> {
  try {
    await lstat(path)
  } catch (error) {
    throw wrapIo(error, `looking up ${path}`)
  }
}
