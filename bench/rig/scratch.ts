/** Everything that a bench leaves on the machine, so that it can be taken away: also after a failure or Ctrl-C. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readMounts } from '../../fuse/index.ts'

type Undo = () => void | Promise<void>

export class Scratch implements AsyncDisposable {
  readonly directory = mkdtempSync(join(tmpdir(), 'holdfast-bench-'))
  #memoryDirectory: string | undefined
  readonly #undos: Undo[] = []
  #closed: Promise<void> | undefined

  path(...names: string[]): string {
    return join(this.directory, ...names)
  }

  /**
   * A directory in memory. Sparse files of many small pieces belong here: a disk's file system that discards what is
   * deleted takes minutes to delete them.
   */
  memoryPath(...names: string[]): string {
    this.#memoryDirectory ??= mkdtempSync('/dev/shm/holdfast-bench-')
    return join(this.#memoryDirectory, ...names)
  }

  /** Steps run in reverse order; one that fails does not keep the others from running. */
  defer(undo: Undo): void {
    this.#undos.push(undo)
  }

  /** Idempotent. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    const failures: unknown[] = []
    for (let undo = this.#undos.pop(); undo !== undefined; undo = this.#undos.pop()) {
      try {
        await undo()
      } catch (error) {
        failures.push(error)
      }
    }
    for (const { mountPoint } of readMounts().toReversed()) {
      if (mountPoint.startsWith(`${this.directory}/`)) spawnSync('umount', ['-i', '-c', '-l', '-f', mountPoint])
    }
    for (const directory of [this.directory, this.#memoryDirectory]) {
      if (directory !== undefined) rmSync(directory, { recursive: true, force: true })
    }
    if (failures.length > 0) throw new AggregateError(failures, 'not everything could be cleaned up')
  }
}
