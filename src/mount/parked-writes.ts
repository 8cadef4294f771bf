/**
 * Writes that wait: for commits when too much of the log is not yet retired, or, of a machine's memory, for
 * space (a refused writeback of mapped memory loses data silently, so it is never refused). A parked write
 * has not taken its place in the log, so no barrier waits behind it. The kernel bounds their number
 * (max_background and the writers that wait for their own).
 */
import { Buffer } from 'node:buffer'
import { DEFERRED } from '../../fuse/index.ts'
import type { Deferred, LateReplies, RequestContext, WriteRequest } from '../../fuse/index.ts'

interface ParkedWrite {
  context: RequestContext
  request: WriteRequest
}

/** Room for a log record's header before the payload. */
const headroomBytes = 80

export class ParkedWrites {
  readonly #replies: LateReplies
  /** Messages that were copied when they were parked before. */
  readonly #copies = new WeakSet<Buffer>()
  #parked: ParkedWrite[] = []
  #isRetrying = false

  constructor(replies: LateReplies) {
    this.#replies = replies
  }

  get count(): number {
    return this.#parked.length
  }

  /** Nothing waits, and nothing is tried again. */
  get isFirst(): boolean {
    return this.#parked.length === 0 && !this.#isRetrying
  }

  park(context: RequestContext, request: WriteRequest): Deferred {
    if (this.#copies.has(request.message)) {
      this.#parked.push({ context, request })
      return DEFERRED
    }
    const message = Buffer.alloc(headroomBytes + request.payloadBytes)
    this.#copies.add(message)
    request.message.copy(message, headroomBytes, request.payloadAt, request.payloadAt + request.payloadBytes)
    this.#parked.push({ context: { ...context }, request: { ...request, message, payloadAt: headroomBytes } })
    return DEFERRED
  }

  /** Tries all again, in order; those that must wait on are parked again by `write`. */
  retry(write: (context: RequestContext, request: WriteRequest) => number | Deferred): void {
    const waiting = this.#parked
    this.#parked = []
    this.#isRetrying = true
    for (const { context, request } of waiting) {
      const outcome = write(context, request)
      if (outcome === DEFERRED) continue
      if (outcome < 0) this.#replies.failed(context, outcome)
      else this.#replies.written(context, outcome)
    }
    this.#isRetrying = false
  }
}
