/**
 * Serves one kernel connection: reads requests from the FUSE device, lets the dispatcher answer
 * them, writes the replies. Made for a worker thread of its own: `run` blocks it until the file
 * system is unmounted (or the process killed), and only `onControl` lets others in.
 *
 * Opens are stateless. Without the methods `open` and `opendir` the kernel is told ENOSYS at the
 * first open and then opens and closes without any request, with FOPEN_KEEP_CACHE (and CACHE_DIR)
 * as we want it. Measured: an open and a close cost 4 to 12 us so, 15 to 16 us when answered with
 * FOPEN_PARALLEL_DIRECT_WRITES, which gains nothing for that: 4 KiB direct writes 76 k/s against
 * 74 k/s at depth 16, 54 k/s against 57 k/s from 4 processes at once, both within the noise (the
 * kernel heeds the flag only together with FOPEN_DIRECT_IO, which forbids shared mappings).
 */
import { readSync, writeSync, writevSync } from 'node:fs'
import { Dispatcher } from './dispatch.ts'
import type { DispatchCounts } from './dispatch.ts'
import { ERRNO } from './errno.ts'
import { FuseError, systemCode } from './errors.ts'
import { limits } from './limits.ts'
import type { FileOperations } from './operations.ts'
import { KeptMessages } from './postponed.ts'
import type { PostponedRequests } from './postponed.ts'
import { Message } from './protocol/message.ts'
import type { Negotiated } from './protocol/negotiate.ts'
import { Reply } from './protocol/reply.ts'
import { traceReply, traceRequest } from './protocol/trace.ts'
import type { RequestContext } from './requests.ts'

export interface SessionOptions {
  /** /dev/fuse, opened for reading and writing, and mounted or about to be. Stays the caller's. */
  readonly descriptor: number
  readonly operations: FileOperations
  /** A throw of the file system or a reply that the kernel refused. May not throw. */
  readonly onFault: (error: unknown) => void
  /** Set for a connection that another server has opened: no INIT will come. */
  readonly negotiated?: Negotiated
  /** Told when INIT has been answered; a supervisor keeps it for the next server. */
  readonly onNegotiated?: (negotiated: Negotiated) => void
  /** Secret name of the control file, see `control.ts`. */
  readonly controlName?: string
  readonly onControl?: () => Uint8Array
  /** One line for each request and each reply. */
  readonly onTrace?: (line: string) => void
  readonly writeBytesMax?: number
  readonly backgroundCount?: number
  readonly readaheadBytesMax?: number
  readonly cacheValidSeconds?: number
  readonly killPrivileges?: boolean
  readonly exportSupport?: boolean
}

/** Why the loop ended: unmounted (by force too), or aborted through the connection's control file. */
export type SessionEnd = 'unmounted' | 'aborted'

const NOTHING = new Uint8Array(0)

const defaults = Object.freeze({
  writeBytesMax: limits.writeBytesMax,
  backgroundCount: limits.backgroundCount,
  readaheadBytesMax: limits.readaheadBytesMax,
  killPrivileges: true,
  exportSupport: false,
  controlName: undefined,
  onControl: () => NOTHING,
})

export class Session {
  readonly #descriptor: number
  readonly #message: Message
  readonly #reply: Reply
  readonly #dispatcher: Dispatcher
  readonly #postponed: KeptMessages
  readonly #onFault: (error: unknown) => void
  readonly #onTrace: ((line: string) => void) | undefined
  #negotiated: Negotiated | undefined

  constructor(options: SessionOptions) {
    checkOptions(options)
    this.#postponed = new KeptMessages(options.descriptor)
    const onPostponed = (context: RequestContext): void => this.#postpone(context)
    const full = { ...defaults, ...withoutUndefined(options), onNegotiated: this.#agreed(options), onPostponed }
    this.#descriptor = options.descriptor
    this.#negotiated = options.negotiated
    this.#onFault = options.onFault
    this.#onTrace = options.onTrace
    this.#message = new Message(Buffer.from(new ArrayBuffer(limits.messageHeadBytes + full.writeBytesMax)))
    this.#reply = new Reply(options.cacheValidSeconds ?? limits.cacheValidSeconds)
    this.#dispatcher = new Dispatcher(full, this.#message, this.#reply)
  }

  /** Undefined until INIT has been answered. */
  get negotiated(): Negotiated | undefined {
    return this.#negotiated
  }

  /** Requests whose operations threw `Postponed`. */
  get postponed(): PostponedRequests {
    return this.#postponed
  }

  get counts(): Readonly<DispatchCounts> {
    return this.#dispatcher.counts
  }

  /**
   * Serves until the end, or until that many messages were read ('paused': call it again); throws FUSE_READ_FAILED
   * when the descriptor cannot be read.
   */
  run(): SessionEnd
  run(messagesMax: number): SessionEnd | 'paused'
  run(messagesMax = Infinity): SessionEnd | 'paused' {
    const { buffer } = this.#message
    for (let count = 0; ; count += 1) {
      if (count >= messagesMax) return 'paused'
      const length = this.#read(buffer)
      if (typeof length !== 'number') return length
      if (length === 0) continue
      if (this.#onTrace !== undefined) this.#traced(length, this.#onTrace)
      else this.#dispatcher.dispatch(length)
      if (this.#reply.bytes !== 0) this.#send()
      for (const message of this.#postponed.takeDue()) this.#again(message)
    }
  }

  #postpone(context: RequestContext): void {
    const { buffer, length } = this.#message
    this.#postponed.keep(context, buffer.subarray(0, length))
  }

  #again(message: Buffer): void {
    message.copy(this.#message.buffer)
    this.#dispatcher.dispatch(message.length)
    if (this.#reply.bytes !== 0) this.#send()
  }

  /** Bytes of the next message, 0 for none this time. */
  #read(buffer: Buffer): number | SessionEnd {
    try {
      return readSync(this.#descriptor, buffer, 0, buffer.length, null)
    } catch (error) {
      return endOrRetry(error)
    }
  }

  #send(): void {
    const { buffer, bytes, pieces } = this.#reply
    try {
      if (pieces === null) writeSync(this.#descriptor, buffer, 0, bytes, null)
      else writevSync(this.#descriptor, [buffer.subarray(0, bytes), ...pieces])
    } catch (error) {
      this.#refused(error)
    }
  }

  /** ENOENT: nobody waits for this reply any more. ENODEV: the next read will say so. */
  #refused(error: unknown): void {
    const code = systemCode(error)
    if (code === 'ENOENT' || code === 'ENODEV') return
    this.#onFault(new FuseError('FUSE_WRITE_FAILED', 'the kernel refused a reply', { cause: error }))
    if (this.#reply.buffer.readInt32LE(4) !== 0) return
    this.#reply.error(-ERRNO.EIO)
    this.#send()
  }

  #traced(length: number, onTrace: (line: string) => void): void {
    const whole = this.#message.start(length)
    const { unique } = this.#message
    onTrace(whole ? traceRequest(this.#message) : `> (${length} bytes that are no message)`)
    this.#dispatcher.dispatch(length)
    onTrace(traceReply(unique, this.#reply))
  }

  #agreed(options: SessionOptions): (negotiated: Negotiated) => void {
    return (negotiated) => {
      this.#negotiated = negotiated
      options.onNegotiated?.(negotiated)
    }
  }
}

/** An option that is there but undefined means its default. */
function withoutUndefined(options: SessionOptions): SessionOptions {
  const entries = Object.entries(options).filter(([, value]) => value !== undefined)
  return Object.fromEntries(entries) as unknown as SessionOptions
}

function endOrRetry(error: unknown): 0 | SessionEnd {
  switch (systemCode(error)) {
    case 'ENODEV':
      return 'unmounted'
    case 'ECONNABORTED':
      return 'aborted'
    case 'ENOENT': // The request was interrupted between our wake-up and the copy.
    case 'EINTR':
      return 0
    case 'EAGAIN':
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, limits.retryMs)
      return 0
    default:
      throw new FuseError('FUSE_READ_FAILED', 'the FUSE device cannot be read', { cause: error })
  }
}

function checkOptions(options: SessionOptions): void {
  const { writeBytesMax = defaults.writeBytesMax, backgroundCount = defaults.backgroundCount } = options
  const pages = writeBytesMax / limits.pageBytes
  if (!Number.isInteger(pages) || pages < 1 || pages > limits.requestPagesMax) {
    throw new FuseError('FUSE_BAD_OPTION', `writeBytesMax ${writeBytesMax} is not 1 to 256 pages`)
  }
  const { backgroundCountMin, backgroundCountMax } = limits
  if (!(backgroundCount >= backgroundCountMin && backgroundCount <= backgroundCountMax)) {
    throw new FuseError(
      'FUSE_BAD_OPTION',
      `backgroundCount ${backgroundCount} is not ${backgroundCountMin} to ${backgroundCountMax}`,
    )
  }
}
