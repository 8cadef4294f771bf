import { RigError } from '../errors.ts'

/** Lines kept for waits that look back and for the message of a failed wait. */
const linesKeptMax = 4096

/** A line longer than this is cut there: what is not text has no line ends. */
const lineCharactersMax = 65_536

const linesShown = 20

interface Waiter {
  readonly pattern: RegExp
  readonly resolve: (found: Found) => void
  readonly reject: (error: RigError) => void
}

/** A line that matched, and the index of the line after it. */
export interface Found {
  readonly match: RegExpExecArray
  readonly next: number
}

/**
 * The lines of a stream, numbered from 0 as they come, and waits for one of them. Waits may look back at lines that
 * already came, as far as they are kept, so that a line between two calls is not missed.
 */
export class Lines {
  #kept: string[] = []
  #droppedCount = 0
  #rest = ''
  #closed: RigError | undefined
  readonly #waiters = new Set<Waiter>()

  /** The index that the next whole line will have. */
  get count(): number {
    return this.#droppedCount + this.#kept.length
  }

  /** The last lines, for messages. */
  get tail(): string {
    return [...this.#kept.slice(-linesShown), this.#rest].join('\n')
  }

  push(text: string): void {
    const lines = (this.#rest + text).split('\n')
    this.#rest = lines.pop()!.slice(-lineCharactersMax)
    for (const line of lines) this.#add(line.replaceAll('\r', ''))
  }

  /** No more lines will come: every wait that is not fulfilled by a kept line fails. */
  close(reason: string): void {
    this.#closed ??= new RigError('CLOSED', reason)
    for (const waiter of this.#waiters) waiter.reject(this.#closed)
  }

  /**
   * Waits for a line that matches, the first at or after index `from`.
   * @throws RigError TIMEOUT after `timeoutMs`, CLOSED when the stream ended.
   */
  async find(pattern: RegExp, from: number, timeoutMs: number): Promise<Found> {
    for (let index = Math.max(0, from - this.#droppedCount); index < this.#kept.length; index++) {
      const match = pattern.exec(this.#kept[index])
      if (match !== null) return { match, next: this.#droppedCount + index + 1 }
    }
    if (this.#closed !== undefined) throw this.#closed
    return await this.#wait(pattern, timeoutMs)
  }

  async #wait(pattern: RegExp, timeoutMs: number): Promise<Found> {
    const { promise, resolve, reject } = Promise.withResolvers<Found>()
    const waiter = { pattern, resolve, reject }
    this.#waiters.add(waiter)
    const timer = setTimeout(() => {
      reject(new RigError('TIMEOUT', `no line ${pattern} within ${timeoutMs} ms; the last ones:\n${this.tail}`))
    }, timeoutMs)
    try {
      return await promise
    } finally {
      clearTimeout(timer)
      this.#waiters.delete(waiter)
    }
  }

  #add(line: string): void {
    this.#kept.push(line)
    if (this.#kept.length >= 2 * linesKeptMax) {
      this.#droppedCount += linesKeptMax
      this.#kept = this.#kept.slice(linesKeptMax)
    }
    for (const waiter of this.#waiters) {
      const match = waiter.pattern.exec(line)
      if (match !== null) waiter.resolve({ match, next: this.count })
    }
  }
}
