/**
 * The native transport: libfuse's threads bring the requests to the main thread of the process, where the
 * head lives. The owning thread is that same thread, so messages are plain calls; those to the owner come
 * later all the same, since it is told of a request before that has been answered.
 */
import { FuseError, NativeMount, nativeSupports, unmount } from '../../fuse/index.ts'
import type { LateReplies, UnmountOptions } from '../../fuse/index.ts'
import { HoldfastError, messageOf } from '../errors.ts'
import { HeadServer } from './head-server.ts'
import type { RequestCounts } from './head-server.ts'
import type { FromServer, ToServer } from './messages.ts'
import { fromFuse } from './mount-errors.ts'
import { Questions } from './questions.ts'
import type { Answer, Question } from './questions.ts'
import type { Serving, Transport, TransportOptions } from './transport.ts'

export const nativeTransport: Transport = { name: 'native', supports: nativeSupports, open }

async function open(options: TransportOptions): Promise<Serving> {
  if (options.grantsPrivileges === true) {
    throw new HoldfastError('UNSUPPORTED', 'set-uid bits and devices count on the kernel transport only: mount with it')
  }
  const serving = new NativeServing(options)
  await serving.start(options)
  return serving
}

/** Late replies of a mount that is made after the head that uses them. */
class NativeServing implements Serving {
  readonly descriptor = null
  readonly #onMessage: (message: FromServer) => void
  readonly #questions = new Questions((message) => this.send(message))
  #server: HeadServer | null = null
  #mount: NativeMount | null = null

  constructor(options: TransportOptions) {
    this.#onMessage = options.onMessage
  }

  /** Errors: as `Transport.open`. */
  async start(options: TransportOptions): Promise<void> {
    const { head, limits, syncMark, connection, directory, image, source } = options
    const replies = this.replies
    const post = (message: FromServer): void => this.#post(message)
    const requestCounts = (): RequestCounts => ({ requests: this.#mounted.counts.requestCount, resent: 0 })
    const server = await HeadServer.open({
      head, limits, syncMark, connection, source, replies, post, requestCounts,
    })
    this.#server = server
    try {
      this.#mount = NativeMount.open({
        directory, name: `holdfast:${image}`, operations: server.operations,
        onFault: (error) => post({ type: 'fault', message: messageOf(error) }),
      })
    } catch (error) {
      await server.close()
      throw error instanceof FuseError ? fromFuse(error) : error
    }
    void this.#mounted.ended.then(() => this.#end())
  }

  get directory(): string {
    return this.#mounted.directory
  }

  get device(): string {
    return this.#mounted.device
  }

  readonly replies: LateReplies = {
    failed: (ticket, errno) => this.#mounted.replies.failed(ticket, errno),
    done: (ticket) => this.#mounted.replies.done(ticket),
    written: (ticket, bytes) => this.#mounted.replies.written(ticket, bytes),
    bytes: (ticket, bytes) => this.#mounted.replies.bytes(ticket, bytes),
  }

  send(message: ToServer): void {
    try {
      this.#server?.handle(message)
    } catch (error) {
      this.#post({ type: 'fault', message: messageOf(error) })
    }
  }

  ask<T extends FromServer['type']>(question: Question): Promise<Answer<T>> {
    return this.#questions.ask<T>(question)
  }

  async lookUpFiles(): Promise<void> {
    throw new HoldfastError('UNSUPPORTED', 'the native transport cannot fill the page cache')
  }

  crashed(): boolean {
    return false
  }

  async unmount(options: UnmountOptions): Promise<void> {
    try {
      await unmount(this.directory, options)
    } catch (error) {
      if (!(error instanceof FuseError && error.code === 'FUSE_NOT_MOUNTED')) {
        throw error instanceof FuseError ? fromFuse(error) : error
      }
    }
    this.#mounted.expectEnd()
    await this.#mounted.ended
    await this.#server?.close()
    this.#server = null
  }

  async close(): Promise<void> {
    this.#mounted.close()
  }

  get #mounted(): NativeMount {
    if (this.#mount === null) throw new HoldfastError('FAILED_STATE', 'the image is not mounted')
    return this.#mount
  }

  #post(message: FromServer): void {
    queueMicrotask(() => {
      this.#questions.take(message)
      this.#onMessage(message)
    })
  }

  #end(): void {
    this.#questions.end(new HoldfastError('FAILED_STATE', 'the mount is no longer served: mount the image again'))
    this.#post({ type: 'ended', how: 'unmounted' })
  }
}
