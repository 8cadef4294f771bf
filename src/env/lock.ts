/**
 * An exclusive lock on a file, held by the operating system (an open-file-description lock) and so gone with
 * the process, however it ends. The file's text names the holder for people; programs do not trust it.
 */
import { Buffer } from 'node:buffer'
import { tryLock } from 'fs-native-extensions'
import { HoldfastError } from '../errors.ts'
import type { Env, EnvFile } from './env.ts'
import { openStored } from './stored.ts'

const holderBytesMax = 64

export class FileLock implements Disposable {
  readonly #file: EnvFile

  private constructor(file: EnvFile) {
    this.#file = file
  }

  /** Errors: LOCKED when another open file holds it, in this process or another; DAMAGED where it is no file. */
  static take(env: Env, path: string): FileLock {
    const file = openStored(env, path, 'create')
    try {
      if (!tryLock(file.fd)) throw lockedBy(file)
      const holder = Buffer.from(`${process.pid}\n`)
      file.write(holder, 0)
      file.truncate(holder.length)
      return new FileLock(file)
    } catch (error) {
      file.close()
      throw error
    }
  }

  /** Lets go. Idempotent; the file stays. */
  close(): void {
    this.#file.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }
}

function lockedBy(file: EnvFile): HoldfastError {
  const text = Buffer.alloc(holderBytesMax)
  const holder = text.toString('latin1', 0, file.read(text, 0)).trim()
  const pid = /^\d+$/.test(holder) ? Number(holder) : undefined
  const by = `held by process ${pid ?? '(unknown)'}: stop it, or talk to its daemon`
  return new HoldfastError('LOCKED', `${file.path} is ${by}`, { info: { path: file.path, pid } })
}
