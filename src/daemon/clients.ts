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

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
