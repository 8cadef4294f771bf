/**
 * Requests that could not be carried out yet. The session keeps each message as the kernel sent it, and presents it
 * again when it is told that this makes sense: any operation can be postponed, whatever its answer looks like.
 */
import { Buffer } from 'node:buffer'
import type { Errno } from './errno.ts'
import { replyError } from './late-reply.ts'
import type { Ticket } from './requests.ts'

/**
 * What an operation throws that lacks something and may not wait: it has changed nothing (or nothing that may not be
 * done again), and is called again with the same request after `PostponedRequests.retry`.
 */
export class Postponed extends Error {
  constructor() {
    super('the operation is to be called again later')
    this.name = 'Postponed'
  }
}

/** For the serving thread. */
export interface PostponedRequests {
  readonly count: number
  /** All of them are presented again, in their order, when the present message is done with. */
  retry(): void
  /** One of them is answered, and not presented again; false when it is not among them. */
  fail(unique: number, errno: Errno): boolean
}

interface Kept {
  readonly ticket: Ticket
  readonly message: Buffer
}

export class KeptMessages implements PostponedRequests {
  readonly #descriptor: number
  #kept: Kept[] = []
  #isDue = false

  constructor(descriptor: number) {
    this.#descriptor = descriptor
  }

  get count(): number {
    return this.#kept.length
  }

  retry(): void {
    this.#isDue = this.#kept.length > 0
  }

  fail(unique: number, errno: Errno): boolean {
    const found = this.#kept.find(({ ticket }) => ticket.unique === unique)
    if (found === undefined) return false
    this.#kept = this.#kept.filter((each) => each !== found)
    replyError(this.#descriptor, found.ticket, errno)
    return true
  }

  /** `message` is copied. */
  keep({ unique, resent, opcode }: Ticket, message: Uint8Array): void {
    this.#kept.push({ ticket: { unique, resent, opcode }, message: Buffer.from(message) })
  }

  /** What is to be presented again now. */
  takeDue(): Buffer[] {
    if (!this.#isDue) return []
    this.#isDue = false
    const messages = this.#kept.map(({ message }) => message)
    this.#kept = []
    return messages
  }
}
