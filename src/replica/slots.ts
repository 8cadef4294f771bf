/** Places for calls that run at once; those beyond wait in order, those beyond a second limit are refused. */
import { HoldfastError } from '../errors.ts'

export class Slots {
  readonly #waitingMax: number
  #free: number
  readonly #waiting: (() => void)[] = []

  constructor(count: number, waitingMax: number) {
    this.#free = count
    this.#waitingMax = waitingMax
  }

  /** Resolves to what gives the place back. Errors: BUSY. */
  async take(): Promise<Disposable> {
    if (this.#free > 0) this.#free--
    else await this.#wait()
    let isHeld = true
    return {
      [Symbol.dispose]: () => {
        if (isHeld) this.#release()
        isHeld = false
      },
    }
  }

  #wait(): Promise<void> {
    if (this.#waiting.length >= this.#waitingMax) {
      throw new HoldfastError('BUSY', `${this.#waiting.length} calls wait for this replica already: slow down`)
    }
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  /** A place goes from hand to hand, so that nobody overtakes who waits. */
  #release(): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#free++
    else next()
  }
}
