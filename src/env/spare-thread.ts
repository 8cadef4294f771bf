/**
 * Threads of one kind, of which one may be started before it is wanted: loading its code takes longer than all that is
 * waited for later. What it is for it learns from the first message, so it knows nothing before.
 */
import type { Worker } from 'node:worker_threads'

export class SpareThread {
  readonly #start: () => Worker
  #spare: Worker | null = null

  constructor(start: () => Worker) {
    this.#start = start
  }

  /** Starts one that the next `take` will find ready; it does not keep the process alive. */
  warm(): void {
    if (this.#spare !== null) return
    const thread = this.#start()
    this.#spare = thread
    thread.unref()
    const forget = (): void => {
      if (this.#spare === thread) this.#spare = null
    }
    thread.once('exit', forget)
    // One that could not be started is not missed: the next one is started when wanted, and says why it cannot.
    thread.once('error', forget)
  }

  /** The caller posts it what it is for. */
  take(): Worker {
    const thread = this.#spare ?? this.#start()
    this.#spare = null
    thread.ref()
    return thread
  }
}
