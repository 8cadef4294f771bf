/**
 * `mounts.json` in the store: the directories that its daemon has mounted, so that after a crash the next one finds
 * the mounts that nobody serves any more and takes them away. A JSON list of paths; losing it loses no data.
 */
import { join } from 'node:path'
import type { Env } from '../env/env.ts'
import { publishFile, readWhole } from '../env/publish.ts'
import { MIB } from '../limits.ts'

const fileBytesMax = MIB

export class MountList {
  readonly #env: Env
  readonly #path: string
  readonly #directories: Set<string>

  constructor(env: Env, store: string) {
    this.#env = env
    this.#path = join(store, 'mounts.json')
    this.#directories = new Set(this.#read())
  }

  directories(): string[] {
    return [...this.#directories]
  }

  /** Errors: NO_SPACE, IO. */
  add(directory: string): void {
    if (this.#directories.has(directory)) return
    this.#directories.add(directory)
    this.#write()
  }

  /** Errors: NO_SPACE, IO. */
  remove(directory: string): void {
    if (this.#directories.delete(directory)) this.#write()
  }

  #read(): string[] {
    if (!this.#env.exists(this.#path)) return []
    try {
      const given: unknown = JSON.parse(Buffer.from(readWhole(this.#env, this.#path, fileBytesMax)).toString())
      return Array.isArray(given) ? given.filter((each) => typeof each === 'string') : []
    } catch {
      // A help only: what is not found here is found by `holdfast clean`.
      return []
    }
  }

  #write(): void {
    publishFile(this.#env, this.#path, Buffer.from(JSON.stringify(this.directories())))
  }
}
