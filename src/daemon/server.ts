/**
 * The control socket of a daemon. The caller holds the store's lock, so a socket file that is there already
 * was left by a daemon that died.
 */
import { chmodSync, rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { HoldfastError, messageOf } from '../errors.ts'
import { makeControlDirectory } from './control-files.ts'
import { clientsMax } from './limits.ts'
import type { Hello } from './protocol.ts'
import { Session, type RunCall } from './session.ts'
import { controlPaths, SocketPath } from './socket-path.ts'

export class ControlServer implements AsyncDisposable {
  readonly #server: Server
  readonly #path: SocketPath
  readonly #sessions = new Map<Socket, Session>()
  readonly #hello: Hello
  readonly #run: RunCall
  #closed: Promise<void> | null = null

  /** Listens on the store's control socket; DAEMON when the system refuses. */
  static async listen(store: string, hello: Hello, run: RunCall): Promise<ControlServer> {
    const { socket } = controlPaths(store)
    makeControlDirectory(store)
    rmSync(socket, { force: true })
    const path = new SocketPath(socket)
    const server = new ControlServer(path, hello, run)
    try {
      await server.#listen()
    } catch (error) {
      path.close()
      throw new HoldfastError('DAEMON', `cannot listen on ${socket}: ${messageOf(error)}`, { cause: error })
    }
    chmodSync(socket, 0o600)
    return server
  }

  private constructor(path: SocketPath, hello: Hello, run: RunCall) {
    this.#path = path
    this.#hello = hello
    this.#run = run
    this.#server = createServer({ pauseOnConnect: false }, (socket) => this.#accept(socket))
  }

  get clients(): number {
    return this.#sessions.size
  }

  /** Takes no more clients, hangs up on all once their answers are sent, and removes the socket. */
  close(): Promise<void> {
    this.#closed ??= new Promise((resolve) => {
      this.#server.close(() => {
        this.#path.close()
        resolve()
      })
      for (const session of this.#sessions.values()) session.end()
    })
    return this.#closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(this.#path.path, () => {
        this.#server.off('error', reject)
        resolve()
      })
    })
  }

  #accept(socket: Socket): void {
    const session = new Session(socket, this.#hello, this.#run)
    this.#sessions.set(socket, session)
    socket.once('close', () => this.#sessions.delete(socket))
    if (this.#sessions.size > clientsMax) {
      session.close(new HoldfastError('BUSY', `the daemon serves at most ${clientsMax} clients`))
    }
  }
}
