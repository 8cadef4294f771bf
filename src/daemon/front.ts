/**
 * Where a daemon's clients come in: its control socket, with the file that names its process. The caller
 * holds the store's lock, so what is there already was left by a daemon that died.
 */
import { chmodSync, rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { publishFile } from '../env/publish.ts'
import { systemEnv } from '../env/system.ts'
import { HoldfastError, messageOf } from '../errors.ts'
import { makeControlDirectory, removeControlFiles } from './control-files.ts'
import { controlPaths, SocketPath } from './socket-path.ts'

export interface DaemonFront {
  /** The process that clients know the daemon by. */
  readonly pid: number
  /** Sockets come paused. Errors: DAEMON. */
  open(accept: (socket: Socket) => void): Promise<void>
  /** Nobody comes any more, and nothing says that there is a daemon. Idempotent. */
  close(): Promise<void>
}

/** Listens in this process. */
export class ListeningFront implements DaemonFront {
  readonly pid = process.pid
  readonly #store: string
  #server: Server | null = null
  #closed: Promise<void> | null = null

  constructor(store: string) {
    this.#store = store
  }

  async open(accept: (socket: Socket) => void): Promise<void> {
    const { socket, pid } = controlPaths(this.#store)
    makeControlDirectory(this.#store)
    rmSync(socket, { force: true })
    using path = new SocketPath(socket)
    this.#server = createServer({ pauseOnConnect: true }, accept)
    try {
      await listening(this.#server, path.path)
    } catch (error) {
      throw new HoldfastError('DAEMON', `cannot listen on ${socket}: ${messageOf(error)}`, { cause: error })
    }
    chmodSync(socket, 0o600)
    publishFile(systemEnv(), pid, new TextEncoder().encode(`${this.pid}\n`))
  }

  close(): Promise<void> {
    this.#closed ??= new Promise((resolve) => {
      removeControlFiles(this.#store)
      if (this.#server === null) return resolve()
      // Clients that were accepted are their session's to end; the server reports its end only after theirs.
      this.#server.close()
      resolve()
    })
    return this.#closed
  }
}

function listening(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, () => {
      server.off('error', reject)
      resolve()
    })
  })
}
