/** Incoming connections to a unix socket, one at a time: see SocketListener in `host.ts`. */
import { createServer } from 'node:net'
import type { Server, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { DriverError } from './errors.ts'
import type { SocketListener } from './host.ts'

export async function listen(path: string): Promise<SocketListener> {
  const server = createServer()
  const listener = new Listener(server)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, resolve)
  })
  server.unref()
  return listener
}

class Listener implements SocketListener {
  readonly #server: Server
  #waiting: Socket | null = null
  #accept: { resolve: (socket: Socket) => void; reject: (error: DriverError) => void } | null = null
  #closed = false

  constructor(server: Server) {
    this.#server = server
    server.on('connection', (socket) => this.#arrive(socket))
  }

  accept(): Promise<Duplex> {
    if (this.#closed) return Promise.reject(closedError())
    const socket = this.#waiting
    this.#waiting = null
    if (socket) return Promise.resolve(socket)
    // The caller before has given up, or it would have its connection: what comes is not its any more.
    this.#accept?.reject(new DriverError('ABORTED', 'Another call waits for this connection now.'))
    return new Promise((resolve, reject) => {
      this.#accept = { resolve, reject }
    })
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#waiting?.destroy()
    this.#accept?.reject(closedError())
    // It stops listening and removes its file at once; its end would wait for connections that have other owners.
    this.#server.close()
  }

  #arrive(socket: Socket): void {
    socket.on('error', () => undefined)
    const accept = this.#accept
    this.#accept = null
    if (accept) accept.resolve(socket)
    else if (this.#waiting === null && !this.#closed) this.#waiting = socket
    else socket.destroy()
  }
}

function closedError(): DriverError {
  return new DriverError('CLOSED', 'The socket is closed.')
}
