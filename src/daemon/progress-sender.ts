/**
 * Sends a call's progress: the newest at most every `progressIntervalMs`, and nothing to a client that is
 * behind. Nothing is queued: old progress is worthless.
 */
import type { Progress } from '../image/types.ts'
import { progressBacklogBytesMax, progressIntervalMs } from './limits.ts'

export class ProgressSender {
  readonly #send: (progress: Progress) => void
  readonly #backlog: { readonly writableLength: number }
  #latest: Progress | null = null
  #timer: NodeJS.Timeout | null = null

  constructor(send: (progress: Progress) => void, backlog: { readonly writableLength: number }) {
    this.#send = send
    this.#backlog = backlog
  }

  readonly note = (progress: Progress): void => {
    this.#latest = progress
    if (this.#timer === null) this.#flush()
  }

  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.#latest = null
  }

  #flush(): void {
    this.#timer = null
    if (this.#latest === null) return
    if (this.#backlog.writableLength <= progressBacklogBytesMax) this.#send(this.#latest)
    this.#latest = null
    this.#timer = setTimeout(() => this.#flush(), progressIntervalMs)
    this.#timer.unref()
  }
}
