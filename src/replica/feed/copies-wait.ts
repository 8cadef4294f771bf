/**
 * Waits until objects lie in enough places of their replica. HDFS says that an object is complete when one DataNode
 * has it, and counts the others as they report: mostly within milliseconds, and never while they are down.
 */
import type { Env } from '../../env/env.ts'
import { HoldfastError, isCode } from '../../errors.ts'
import { pause } from '../call.ts'
import { copiesLookMaxMs, copiesLookMinMs, looksAtOnceMax } from '../limits.ts'
import type { CallOptions, Copies, Replica } from '../replica.ts'
import { inGroups } from './groups.ts'

export class CopiesWait {
  readonly #env: Env
  readonly #replica: Replica
  readonly #waitMs: number

  constructor(env: Env, replica: Replica, waitMs: number) {
    this.#env = env
    this.#replica = replica
    this.#waitMs = waitMs
  }

  /** What is gone has nothing to wait for. Errors: FEW_COPIES (not in time), those of the replica, ABORTED. */
  async wait(paths: readonly string[], call: CallOptions): Promise<void> {
    const endMs = this.#env.monotonicMs() + this.#waitMs
    let left = await this.#thin(paths, call)
    for (let ms = copiesLookMinMs; left.length > 0; ms = Math.min(copiesLookMaxMs, 2 * ms)) {
      if (this.#env.monotonicMs() >= endMs) throw this.#tooFew(left)
      await pause(ms, call.signal ?? new AbortController().signal)
      if (call.signal?.aborted === true) throw new HoldfastError('ABORTED', 'stopped on request')
      left = await this.#thin(left.map(({ path }) => path), call)
    }
  }

  async #thin(paths: readonly string[], call: CallOptions): Promise<Thin[]> {
    const thin: Thin[] = []
    await inGroups(paths, looksAtOnceMax, async (path) => {
      try {
        const copies = await this.#replica.copies(path, call)
        if (copies.have < copies.wanted) thin.push({ path, ...copies })
      } catch (error) {
        if (!isCode(error, 'NOT_FOUND')) throw error
      }
    })
    return thin
  }

  #tooFew(left: readonly Thin[]): HoldfastError {
    const [{ path, have, wanted }] = left
    const { url } = this.#replica
    const message = `${left.length} objects on ${url} lie in too few places, such as ${path} in ${have} of ` +
      `${wanted}: look whether its disks are there`
    return new HoldfastError('FEW_COPIES', message, { info: { url, objects: left.length } })
  }
}

interface Thin extends Copies {
  readonly path: string
}
