/**
 * The serving worker of one mount: owns the head of its image and answers the kernel until the file system
 * is unmounted. Its event loop seldom turns while it serves; see messages.ts for how it is talked to.
 */
import { setImmediate as turn } from 'node:timers/promises'
import { parentPort, receiveMessageOnPort } from 'node:worker_threads'
import type { MessagePort } from 'node:worker_threads'
import { ERRNO, Session } from '../../fuse/index.ts'
import type { Deferred, RequestContext, WriteRequest } from '../../fuse/index.ts'
import { systemEnv } from '../env/system.ts'
import { messageOf } from '../errors.ts'
import { Head } from '../image/head.ts'
import { make } from '../image/head-names.ts'
import { truncateData, offsetOf } from '../image/head-data.ts'
import { rootInode } from '../image/ingest.ts'
import { ImageLayout } from '../image/layout.ts'
import { LogWriter } from '../image/log-writer.ts'
import { fileType } from '../image/modes.ts'
import { openChunkReader } from '../store/open.ts'
import type { DataContext } from './data-operations.ts'
import { write } from './data-operations.ts'
import type { FromWorker, ToWorker, WorkerStart } from './messages.ts'
import { unasked } from './messages.ts'
import { HeadOperations } from './operations.ts'
import { ParkedWrites } from './parked-writes.ts'
import { ReadRecorder } from './read-recorder.ts'

/** Each digest of a request leaves some 400 bytes until the loop turns, which costs less than one request. */
const messagesPerTurn = 256

/** Not empty: a read that ends at the start would make the kernel take the file for empty and ask no more. */
const taken = new Uint8Array(1)

class Serving {
  readonly #port: MessagePort
  readonly #context: DataContext
  readonly #session: Session

  constructor(start: WorkerStart, head: Head, post: (message: FromWorker) => void) {
    this.#port = start.port
    this.#context = {
      head, post, parked: new ParkedWrites(start.descriptor), recorder: new ReadRecorder(),
    }
    this.#session = new Session({
      descriptor: start.descriptor,
      operations: new HeadOperations(this.#context),
      controlName: start.controlName,
      onControl: () => this.#drain(),
      onFault: (error) => post({ type: 'fault', message: messageOf(error) }),
    })
  }

  /** Native modules' buffers are freed when the event loop turns, and nowhere else: it does so now and then. */
  async run(): Promise<string> {
    for (;;) {
      const how = this.#session.run(messagesPerTurn)
      if (how !== 'paused') return how
      await turn()
    }
  }

  #drain(): Uint8Array {
    for (let next = receiveMessageOnPort(this.#port); next !== undefined; next = receiveMessageOnPort(this.#port)) {
      this.#handle(next.message as ToWorker)
    }
    return taken
  }

  #handle(message: ToWorker): void {
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
      case 'makeMemory':
        return post({ type: 'made', id: message.id, ...makeMemory(head, message.name, message.bytes) })
      case 'record':
        if (message.on) recorder.start()
        return post({ type: 'touched', id: message.id, touched: message.on ? [] : recorder.finish() })
      case 'statistics':
        return post({ type: 'statistics', id: message.id, statistics: this.#statistics() })
    }
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

  #statistics(): Extract<FromWorker, { type: 'statistics' }>['statistics'] {
    const { head, parked } = this.#context
    return { ...head.statistics(), parked: parked.count, requests: this.#session.counts.requestCount }
  }
}

/** A sparse file of class memory in the root, of mode 0600. */
function makeMemory(head: Head, name: string, bytes: number): { errno: number; inode: number } {
  const root = head.inode(rootInode)!
  const request = { mode: fileType.regular | 0o600, uid: 0, gid: 0, isMemory: true }
  const made = make(head, root, Buffer.from(name), request, 0n)
  if (typeof made === 'number') return { errno: made, inode: 0 }
  return { errno: truncateData(head, made, offsetOf(BigInt(bytes)), 0n), inode: made.number }
}

async function serve(start: WorkerStart): Promise<void> {
  const { port, head: headStart } = start
  const env = systemEnv()
  const post = (message: FromWorker): void => port.postMessage(message)
  await using reader = await openChunkReader(env, headStart.directory)
  using log = new LogWriter(env, new ImageLayout(headStart.directory, headStart.image), {
    imageId: Buffer.from(headStart.imageId, 'hex'),
    domainId: Buffer.from(headStart.domainId, 'hex'),
    keyId: headStart.keyId,
  }, { segment: headStart.segment, sequence: headStart.sequence, connection: start.connection })
  const head = new Head(env, reader, log, headStart, {
    rotated: (segment) => post({ type: 'rotated', id: unasked, segment }),
    syncDue: (segment) => post({ type: 'syncDue', segment }),
    failed: (error) => post({ type: 'failed', message: messageOf(error) }),
  }, start.limits)
  const serving = new Serving(start, head, post)
  post({ type: 'ready' })
  const how = await serving.run()
  post({ type: 'ended', how })
}

// The thread may have been started before its mount was wanted; it ends with it.
parentPort?.once('message', (start: WorkerStart) => void serve(start))
