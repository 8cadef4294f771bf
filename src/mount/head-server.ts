/**
 * The head of an image as a serving thread holds it, whichever transport brings the requests: the file
 * operations on it, and what the owning thread tells and asks between two of them.
 */
import { ERRNO } from '../../fuse/index.ts'
import type {
  Deferred, FileOperations, LateReplies, PostponedRequests, RequestContext, WriteRequest,
} from '../../fuse/index.ts'
import { systemEnv } from '../env/system.ts'
import { messageOf } from '../errors.ts'
import { truncateData } from '../image/head-data.ts'
import { offsetOf } from '../image/offset.ts'
import { make } from '../image/head-names.ts'
import type { HeadLimits } from '../image/head-limits.ts'
import { replayLog } from '../image/head-replay.ts'
import { Head } from '../image/head.ts'
import { rootInode } from '../image/ingest.ts'
import { ImageLayout } from '../image/layout.ts'
import type { LogFollower } from '../image/log-follower.ts'
import { LogWriter } from '../image/log-writer.ts'
import { SyncMark } from '../image/sync-mark.ts'
import { fileType } from '../image/modes.ts'
import { WaitingFetchClient } from '../image/remote/fetch-client.ts'
import type { FetcherPort } from '../image/remote/messages.ts'
import type { HeadStart } from '../image/types.ts'
import { openChunkReader } from '../store/open.ts'
import type { ThreadReader } from '../store/thread-reader.ts'
import { AbsentChunks } from './absent-chunks.ts'
import type { DataContext } from './data-operations.ts'
import { write } from './data-operations.ts'
import type { FromServer, ServingStatistics, ToServer } from './messages.ts'
import { unasked } from './messages.ts'
import { HeadOperations } from './operations.ts'
import { ParkedWrites } from './parked-writes.ts'
import { ReadRecorder } from './read-recorder.ts'
import { answeringRepeated, CarriedOut } from './repeated.ts'

export interface HeadServerOptions {
  head: HeadStart
  /** Other limits of the head than the usual ones. */
  limits?: Partial<HeadLimits>
  /** Of a SyncMark: how far the owner of the mount has synced the log. */
  syncMark: SharedArrayBuffer
  /** Number of the mount, for the log's records. */
  connection: number
  replies: LateReplies
  post: (message: FromServer) => void
  /** In a takeover the log as far as it was read before; closed here. */
  ahead?: LogFollower
  /** Why the server before accepted nothing more, in a takeover. */
  failure?: string | null
  /** Where records come from that the store lacks. */
  source?: FetcherPort
  /** Requests that the transport keeps to be tried again; without it an operation waits for what it lacks. */
  postponed?: () => PostponedRequests
  /** Of the transport, for the statistics. */
  requestCounts: () => RequestCounts
}

export interface RequestCounts {
  requests: number
  /** Those of them that the kernel had sent to a server before. */
  resent: number
}

export class HeadServer {
  readonly operations: FileOperations
  readonly #context: DataContext
  readonly #requestCounts: () => RequestCounts
  readonly #carriedOut: CarriedOut
  readonly #absent: AbsentChunks | null
  readonly #postponed: (() => PostponedRequests) | undefined
  readonly #resources: AsyncDisposableStack

  private constructor(options: HeadServerOptions, head: Head, reader: ThreadReader, resources: AsyncDisposableStack) {
    const { post, postponed } = options
    this.#context = { head, post, parked: new ParkedWrites(options.replies), recorder: new ReadRecorder() }
    this.#postponed = postponed
    this.#carriedOut = takeOver(options, head)
    const plain = new HeadOperations(this.#context)
    const isPlain = options.head.takeover === null && options.source === undefined
    const operations = isPlain ? plain : answeringRepeated(plain, this.#carriedOut)
    const waits = options.source !== undefined && postponed !== undefined
    this.#absent = waits ? new AbsentChunks({ head, reader, carriedOut: this.#carriedOut, postponed, post }) : null
    this.operations = this.#absent === null ? operations : this.#absent.guarding(operations)
    this.#requestCounts = options.requestCounts
    this.#resources = resources
  }

  /** Errors: IO, DAMAGED. */
  static async open(options: HeadServerOptions): Promise<HeadServer> {
    const { head: start, post, connection } = options
    const syncMark = new SyncMark(options.syncMark)
    const env = systemEnv()
    await using resources = new AsyncDisposableStack()
    const source = options.source && new WaitingFetchClient(options.source)
    const reader = resources.use(await openChunkReader(env, start.directory, source, start.secret))
    const log = resources.use(new LogWriter(env, new ImageLayout(start.directory, start.image), {
      imageId: Buffer.from(start.imageId, 'hex'),
      domainId: Buffer.from(start.domainId, 'hex'),
      keys: reader.keys,
    }, { segment: start.segment, sequence: start.sequence, connection, syncMark }))
    const head = new Head(env, reader, log, start, {
      rotated: (segment) => post({ type: 'rotated', id: unasked, segment }),
      syncDue: (segment) => post({ type: 'syncDue', segment }),
      failed: (error) => post({ type: 'failed', message: messageOf(error) }),
    }, options.limits)
    return new HeadServer(options, head, reader, resources.move())
  }

  /** Messages come from now on. */
  reached(): void {
    this.#absent?.reached()
  }

  /** Between two requests, and after all that the kernel sent again. */
  handle(message: ToServer): void {
    if (this.#postponedCount === 0) this.#carriedOut.end()
    const { head, post, recorder } = this.#context
    switch (message.type) {
      case 'rotate':
        return post({ type: 'rotated', id: message.id, segment: head.rotate() })
      case 'retire':
        head.retire(message.segment, Buffer.from(message.manifest, 'hex'))
        post({ type: 'retired', segment: message.segment })
        return this.#retryParked()
      case 'retry':
        return this.#retryParked()
      case 'fail':
        head.fail(new Error(message.reason))
        return this.#retryParked()
      case 'arrived':
        return this.#absent?.arrived(message.chunks, message.parcel)
      case 'missing':
        return this.#absent?.missing(message.chunks, message.reason)
      case 'releaseMemory':
        return this.#absent?.releaseMemory()
      case 'makeMemory':
        return post({ type: 'made', id: message.id, ...makeMemory(head, message.name, message.bytes) })
      case 'record':
        if (message.on) recorder.start()
        return post({ type: 'touched', id: message.id, touched: message.on ? [] : recorder.finish() })
      case 'statistics':
        return post({ type: 'statistics', id: message.id, statistics: this.#statistics() })
    }
  }

  /** After the last request. Idempotent. */
  close(): Promise<void> {
    return this.#resources.disposeAsync()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  get #postponedCount(): number {
    return this.#postponed?.().count ?? 0
  }

  #retryParked(): void {
    const { parked, post } = this.#context
    if (parked.count === 0) return
    parked.retry((context, request) => this.#write(context, request))
    if (parked.count === 0) post({ type: 'resumed' })
  }

  /** A throw here must not take the other parked writes with it. */
  #write(context: RequestContext, request: WriteRequest): number | Deferred {
    try {
      return write(this.#context, context, request)
    } catch (error) {
      this.#context.post({ type: 'fault', message: messageOf(error) })
      return -ERRNO.EIO
    }
  }

  #statistics(): ServingStatistics {
    const { head, parked } = this.#context
    const { count, waited } = parked
    const { answered: repeated } = this.#carriedOut
    const postponed = this.#postponedCount
    return { ...head.statistics(), parked: count, waited, postponed, ...this.#requestCounts(), repeated }
  }
}

/** In a takeover lays what the server before us logged over the head; the requests that it carried out. */
function takeOver({ head: start, connection, failure, ahead }: HeadServerOptions, head: Head): CarriedOut {
  using _ = ahead
  if (start.takeover === null) return new CarriedOut(new Set())
  const carriedOut = replayLog(systemEnv(), head, start, start.takeover, connection, ahead)
  head.loseReferences()
  if (failure) head.fail(new Error(failure))
  return new CarriedOut(carriedOut)
}

/** A sparse file of class memory in the root, of mode 0600. */
function makeMemory(head: Head, name: string, bytes: number): { errno: number; inode: number } {
  const root = head.inode(rootInode)!
  const request = { mode: fileType.regular | 0o600, uid: 0, gid: 0, isMemory: true }
  const made = make(head, root, Buffer.from(name), request, 0n)
  if (typeof made === 'number') return { errno: made, inode: 0 }
  return { errno: truncateData(head, made, offsetOf(BigInt(bytes)), 0n), inode: made.number }
}
