/**
 * Writes that wait: for commits when too much of the log is not yet retired, or, of a machine's memory, for
 * space (a refused writeback of mapped memory loses data silently, so it is never refused). A parked write
 * has not taken its place in the log, so no barrier waits behind it. The kernel bounds their number
 * (max_background and the writers that wait for their own). Before that writers are held up for some milliseconds.
 */
import { Buffer } from 'node:buffer'
import { DEFERRED, ERRNO } from '../../fuse/index.ts'
import type { Deferred, LateReplies, RequestContext, WriteRequest } from '../../fuse/index.ts'
import { isDying } from '../env/signals.ts'

interface ParkedWrite {
  context: RequestContext
  request: WriteRequest
}

export type WaitReason = 'heldUp' | 'commits' | 'space'

/** Room for a log record's header before the payload. */
const headroomBytes = 80

export class ParkedWrites {
  readonly #replies: LateReplies
  /** Messages that were copied when they were parked before. */
  readonly #copies = new WeakSet<Buffer>()
  #parked: ParkedWrite[] = []
  /** Why writes have waited since none did. */
  readonly #told = new Set<WaitReason>()
  #isRetrying = false
  /** Writes that have waited, each once. */
  waited = 0

  constructor(replies: LateReplies) {
    this.#replies = replies
  }

  get count(): number {
    return this.#parked.length
  }

  /** Whether this reason to wait is new since nothing waited. */
  isNews(reason: WaitReason): boolean {
    if (this.#told.has(reason)) return false
    this.#told.add(reason)
    return true
  }

  /** What is parked now was parked before. */
  get isRetrying(): boolean {
    return this.#isRetrying
  }

  park(context: RequestContext, request: WriteRequest): Deferred {
    if (this.#copies.has(request.message)) {
      this.#parked.push({ context, request })
      return DEFERRED
    }
    const message = Buffer.alloc(headroomBytes + request.payloadBytes)
    this.#copies.add(message)
    this.waited += 1
    request.message.copy(message, headroomBytes, request.payloadAt, request.payloadAt + request.payloadBytes)
    this.#parked.push({ context: { ...context }, request: { ...request, message, payloadAt: headroomBytes } })
    return DEFERRED
  }

  /** The write is answered EINTR and forgotten where its asker is being killed; other signals wait as for a disk. */
  interrupt(unique: number): void {
    const found = this.#parked.find(({ context }) => context.unique === unique)
    if (found === undefined || !isDying(found.context.pid)) return
    this.#parked = this.#parked.filter((each) => each !== found)
    this.#replies.failed(found.context, -ERRNO.EINTR)
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
    if (this.#parked.length === 0) this.#told.clear()
  }
}
