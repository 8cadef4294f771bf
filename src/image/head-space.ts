/** Admits what a head writes by the space that is left, asking for that only now and then. */
import { constants } from 'node:os'
import type { Env } from '../env/env.ts'
import { MIB } from '../limits.ts'

const { ENOSPC } = constants.errno

/** How often free space is asked for: a statfs each so many bytes. */
const spaceCheckBytes = 16 * MIB

export class HeadSpace {
  readonly #env: Env
  readonly #directory: string
  readonly #reserveBytes: number
  #allowanceBytes = 0

  constructor(env: Env, directory: string, reserveBytes: number) {
    this.#env = env
    this.#directory = directory
    this.#reserveBytes = reserveBytes
  }

  freeBytes(): number {
    return this.#env.freeBytes(this.#directory)
  }

  /** 0 when `bytes` more may be written, else -ENOSPC. */
  admit(bytes: number, unretiredBytes: number): number {
    if (bytes > this.#allowanceBytes) {
      // What the log holds is to be written a second time, into packs, before its segments go.
      const free = this.freeBytes() - this.#reserveBytes - unretiredBytes
      this.#allowanceBytes = Math.min(spaceCheckBytes, free)
      if (bytes > this.#allowanceBytes) return -ENOSPC
    }
    this.#allowanceBytes -= bytes
    return 0
  }

  /** The same for what makes room: it may use half of the reserve. */
  admitRelease(bytes: number): number {
    return bytes > this.freeBytes() - this.#reserveBytes / 2 ? -ENOSPC : 0
  }
}
