/** The clients that a daemon talks to, whoever accepted their connections. */
import type { Socket } from 'node:net'
import { HoldfastError } from '../errors.ts'
import { clientsMax } from './limits.ts'
import type { Hello } from './protocol.ts'
import { Session, type RunCall } from './session.ts'

export class Clients implements AsyncDisposable {
  readonly #sessions = new Map<Socket, Session>()
  readonly #hello: Hello
  readonly #run: RunCall
  #isMoving = false
  #closed: Promise<unknown> | null = null

  constructor(hello: Hello, run: RunCall) {
    this.#hello = hello
    this.#run = run
  }

  get count(): number {
    return this.#sessions.size
  }

  add(socket: Socket): void {
    const session = new Session(socket, this.#hello, this.#run)
    this.#sessions.set(socket, session)
    socket.once('close', () => this.#sessions.delete(socket))
    if (this.#closed !== null) session.end()
    if (this.#isMoving) session.move()
    if (this.#sessions.size > clientsMax) {
      session.close(new HoldfastError('BUSY', `the daemon serves at most ${clientsMax} clients`))
    }
    socket.resume()
  }

  /** Hangs up on all once their answers are sent. Idempotent. */
  async close(): Promise<void> {
    const sockets = [...this.#sessions]
    this.#closed ??= Promise.all(sockets.map(([socket, session]) => new Promise<void>((resolve) => {
      socket.once('close', () => resolve())
      session.end()
    })))
    await this.#closed
  }

  /**
   * Sends all to another process, each when its calls are answered. Resolves when they have hung up, so that none
   * of them writes to a connection that is closed and never reads why; those that do not listen are not waited for.
   */
  async move(): Promise<void> {
    this.#isMoving = true
    for (const session of this.#sessions.values()) session.move()
    while (this.#sessions.size > 0) {
      const sockets = [...this.#sessions.keys()]
      await Promise.all(sockets.map((socket) => new Promise((resolve) => socket.once('close', resolve))))
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
