/** Notes which chunks of machines' memory and disks are read, in the order of their first read. */
import type { InodeState } from '../image/inode-state.ts'
import { chunkBytes } from '../limits.ts'
import type { TouchedChunks } from './messages.ts'

/** A working set larger than this is no longer one: 1 GiB. */
const chunksMax = 16_384

export class ReadRecorder {
  #touched: Map<number, Set<number>> | null = null
  #count = 0

  start(): void {
    this.#touched = new Map()
    this.#count = 0
  }

  note(state: InodeState, chunk: number, within: number, bytes: number): void {
    if (this.#touched === null || this.#count >= chunksMax) return
    let chunks = this.#touched.get(state.number)
    if (chunks === undefined) this.#touched.set(state.number, (chunks = new Set()))
    const before = chunks.size
    const last = chunk + Math.floor((within + Math.max(bytes, 1) - 1) / chunkBytes)
    for (let each = chunk; each <= last; each += 1) chunks.add(each)
    this.#count += chunks.size - before
  }

  /** What was noted since the start; ends the recording. */
  finish(): TouchedChunks[] {
    const touched = [...this.#touched ?? []].map(([inode, chunks]) => ({ inode, chunks: [...chunks] }))
    this.#touched = null
    return touched
  }
}
