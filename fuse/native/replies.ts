import type { Errno } from '../errno.ts'
import type { LateReplies } from '../late-replies.ts'
import type { Ticket } from '../requests.ts'
import type { Bytes } from '../results.ts'

/** Takes a late result: a negative errno, 0, or a number of bytes; bytes of a read as they are. */
export type LateAnswer = (result: number | Bytes) => void

/** Late replies through the callbacks that the binding waits for. Bounded by libfuse's threads. */
export class NativeReplies implements LateReplies {
  readonly #waiting = new Map<number, LateAnswer>()

  get waitingCount(): number {
    return this.#waiting.size
  }

  expect(unique: number, answer: LateAnswer): void {
    this.#waiting.set(unique, answer)
  }

  failed(ticket: Ticket, errno: Errno): boolean {
    return this.#answer(ticket, errno)
  }

  done(ticket: Ticket): boolean {
    return this.#answer(ticket, 0)
  }

  written(ticket: Ticket, writtenBytes: number): boolean {
    return this.#answer(ticket, writtenBytes)
  }

  bytes(ticket: Ticket, bytes: Bytes): boolean {
    return this.#answer(ticket, bytes)
  }

  /** Fails all that wait: a thread of libfuse that nobody wakes would stay for ever. */
  failAll(errno: Errno): void {
    for (const unique of [...this.#waiting.keys()]) this.#answer({ unique }, errno)
  }

  #answer({ unique }: Pick<Ticket, 'unique'>, result: number | Bytes): boolean {
    const answer = this.#waiting.get(unique)
    if (answer === undefined) return false
    this.#waiting.delete(unique)
    answer(result)
    return true
  }
}
