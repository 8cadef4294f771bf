/**
 * The client of a daemon's control socket. This file and what it imports is all that a command loads before
 * its request is sent: it is kept small.
 */
import type { Buffer } from 'node:buffer'
import { connect, type Socket } from 'node:net'
import { HoldfastError, isCode, messageOf } from '../errors.ts'
import type { CallOptions, Progress } from '../image/types.ts'
import { errorOf } from './faults.ts'
import { replyBytesMax } from './limits.ts'
import { LineReader } from './lines.ts'
import { decodeDaemonLine, encodeLine, mismatchOf, type DaemonMessage, type Hello } from './protocol.ts'
import { controlPaths, SocketPath } from './socket-path.ts'
import { controlProtocol, version } from './version.ts'

export interface ClientCallOptions extends CallOptions {
  /** The call goes on in the daemon when this client goes away. */
  detached?: boolean
}

interface PendingCall {
  resolve(result: unknown): void
  reject(error: HoldfastError): void
  progress?: (progress: Progress) => void
}

export class ControlClient implements AsyncDisposable {
  readonly #socket: Socket
  readonly #lines = new LineReader(replyBytesMax)
  readonly #calls = new Map<number, PendingCall>()
  readonly #closed: Promise<void>
  readonly #greeted = Promise.withResolvers<boolean>()
  readonly #hello: Hello = { protocol: controlProtocol, version, pid: process.pid }
  #nextId = 1
  #failure: HoldfastError | null = null
  #isLost = false
  #isMoved = false

  /** Connects to the store's daemon; null when none runs. DAEMON when there is one that cannot be reached. */
  static async connect(store: string): Promise<ControlClient | null> {
    const { socket } = controlPaths(store)
    try {
      using path = new SocketPath(socket)
      return new ControlClient(await connected(path.path))
    } catch (error) {
      if (isCode(error, 'ENOENT', 'ECONNREFUSED', 'ENOTDIR')) return null
      throw new HoldfastError('DAEMON', `cannot reach the daemon at ${socket}: ${messageOf(error)}`, { cause: error })
    }
  }

  private constructor(socket: Socket) {
    this.#socket = socket
    this.#closed = new Promise((resolve) => socket.once('close', () => resolve()))
    socket.on('data', (bytes: Buffer) => this.#receive(bytes))
    socket.on('error', (error) => this.#lose(error))
    socket.on('close', () => this.#lose())
    socket.write(encodeLine({ hello: this.#hello }))
  }

  /** Runs a verb in the daemon. Rejects with the daemon's error, DAEMON when it goes away, ABORTED. */
  call(verb: string, args: object, options: ClientCallOptions = {}): Promise<unknown> {
    const { signal, progress, detached } = options
    if (this.#failure !== null) return Promise.reject(this.#failure)
    if (signal?.aborted) return Promise.reject(new HoldfastError('ABORTED', 'stopped before it began'))
    const id = this.#nextId++
    const abort = (): void => void this.#socket.write(encodeLine({ id, abort: true }))
    return new Promise((resolve, reject) => {
      signal?.addEventListener('abort', abort, { once: true })
      const settle = (): void => {
        signal?.removeEventListener('abort', abort)
        this.#calls.delete(id)
      }
      this.#calls.set(id, {
        progress,
        resolve: (result) => (settle(), resolve(result)),
        reject: (error) => (settle(), reject(error)),
      })
      this.#socket.write(encodeLine({ id, verb, args, ...(detached === true ? { detached } : {}) }))
    })
  }

  /** No call can be made any more. */
  get isOver(): boolean {
    return this.#failure !== null
  }

  /** Whether it said hello: a daemon that was killed is connected to until the kernel has closed its last socket. */
  get greeted(): Promise<boolean> {
    return this.#greeted.promise
  }

  /** The other side hung up without a word. */
  get isLost(): boolean {
    return this.#isLost
  }

  /** What it did not answer it did not begin: another process of the daemon takes it. */
  get isMoved(): boolean {
    return this.#isMoved
  }

  /** Resolves when the connection is over, whoever ended it. */
  get closed(): Promise<void> {
    return this.#closed
  }

  async close(): Promise<void> {
    this.#fail(new HoldfastError('ABORTED', 'the connection to the daemon was closed'))
    await this.#closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #receive(bytes: Buffer): void {
    try {
      for (const line of this.#lines.push(bytes)) this.#handle(decodeDaemonLine(line))
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error
      this.#fail(error)
    }
  }

  #handle(message: DaemonMessage): void {
    if (message.type === 'hello') {
      const mismatch = mismatchOf(this.#hello, message.hello)
      if (mismatch !== null) throw mismatch
      return this.#greeted.resolve(true)
    }
    if (message.type === 'moved') {
      this.#isMoved = true
      return this.#lose()
    }
    if (message.type === 'error' && message.id === null) throw errorOf(message.error)
    const call = this.#calls.get(message.id ?? -1)
    // A call that was settled already (the connection failed) has no use for late answers.
    if (call === undefined) return
    if (message.type === 'progress') call.progress?.(message.progress)
    else if (message.type === 'result') call.resolve(message.result)
    else call.reject(errorOf(message.error))
  }

  #lose(cause?: unknown): void {
    if (this.#failure === null) this.#isLost = true
    this.#fail(lost(cause))
  }

  #fail(error: HoldfastError): void {
    this.#failure ??= error
    this.#greeted.resolve(false)
    for (const call of this.#calls.values()) call.reject(this.#failure)
    this.#socket.destroy()
  }
}

function connected(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path)
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.off('error', reject)
      resolve(socket)
    })
  })
}

function lost(cause?: unknown): HoldfastError {
  return new HoldfastError('DAEMON', 'the daemon went away before it answered; its log may say why', { cause })
}
