/** Ctrl-C: the first aborts the call under way, the second (or the first while none is) ends the command. */
import { exitCodes } from './exit-codes.ts'

const signals = ['SIGINT', 'SIGTERM'] as const

export class Interrupt implements Disposable {
  readonly #abort = new AbortController()
  #calling = false

  constructor() {
    for (const signal of signals) process.on(signal, this.#interrupted)
  }

  /** From now on the first signal aborts what was returned. */
  begin(): AbortSignal {
    this.#calling = true
    return this.#abort.signal
  }

  [Symbol.dispose](): void {
    for (const signal of signals) process.off(signal, this.#interrupted)
  }

  readonly #interrupted = (): void => {
    if (!this.#calling || this.#abort.signal.aborted) process.exit(exitCodes.interrupted)
    this.#abort.abort()
  }
}
