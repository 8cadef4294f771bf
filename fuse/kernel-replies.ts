import type { Errno } from './errno.ts'
import { replyBytes, replyDone, replyError, replyWritten } from './late-reply.ts'
import type { LateReplies } from './late-replies.ts'
import type { Ticket } from './requests.ts'
import type { Bytes } from './results.ts'

/** Late replies written to the descriptor of a connection, which stays the caller's. */
export class KernelReplies implements LateReplies {
  readonly #descriptor: number

  constructor(descriptor: number) {
    this.#descriptor = descriptor
  }

  failed(ticket: Ticket, errno: Errno): boolean {
    return replyError(this.#descriptor, ticket, errno)
  }

  done(ticket: Ticket): boolean {
    return replyDone(this.#descriptor, ticket)
  }

  written(ticket: Ticket, writtenBytes: number): boolean {
    return replyWritten(this.#descriptor, ticket, writtenBytes)
  }

  bytes(ticket: Ticket, bytes: Bytes): boolean {
    return replyBytes(this.#descriptor, ticket, bytes)
  }
}
