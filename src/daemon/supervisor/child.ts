/** A process that serves, or is ready to: started with all devices that there are when it starts. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import type { FromSupervisor, Slot, ToSupervisor } from './messages.ts'

/** Standard input, output, error, and the channel come before them. */
const firstDescriptor = 4

export class Child {
  readonly pid: number
  readonly inherited: readonly Slot[]
  /** Resolves once the process was reaped and all that it said has been heard; how it ended. */
  readonly ended: Promise<string>
  readonly loaded: Promise<boolean>
  /** Resolves once it is as ready for its turn as it will be; false when it ended before. */
  readonly standsBy: Promise<boolean>
  isLoaded = false
  isReady = false
  isRetiring = false
  readonly #process: ChildProcess
  /** Sockets on their way to the process: should it die before they arrive, they are another's. */
  readonly #given = new Map<number, Socket>()
  #lastClient = 0

  /** `devices`: descriptors by slot. */
  constructor(entry: URL, store: string, devices: Map<number, number>, receive: (message: ToSupervisor) => void) {
    const descriptors = [...devices.values()]
    this.inherited = [...devices.keys()].map((slot, index) => ({ slot, descriptor: firstDescriptor + index }))
    this.#process = spawn(process.execPath, [...process.execArgv, fileURLToPath(entry), store], {
      cwd: '/', stdio: ['ignore', 'inherit', 'inherit', 'ipc', ...descriptors],
    })
    this.pid = this.#process.pid ?? 0
    this.ended = this.#end()
    const [loaded, standsBy] = [Promise.withResolvers<boolean>(), Promise.withResolvers<boolean>()]
    this.loaded = loaded.promise
    this.standsBy = standsBy.promise
    void this.ended.then(() => (loaded.resolve(false), standsBy.resolve(false)))
    this.#process.on('message', (message: ToSupervisor) => {
      if (message.type === 'loaded') loaded.resolve(this.isLoaded = true)
      if (message.type === 'standsBy') standsBy.resolve(true)
      if (message.type === 'took') this.#taken(message.client)
      receive(message)
    })
  }

  send(message: FromSupervisor): void {
    // What a process that is gone was not told, it need not know; its successor is told anew.
    if (this.#process.connected) this.#process.send(message, () => undefined)
  }

  /** The process can be told something. */
  get isConnected(): boolean {
    return this.#process.connected
  }

  /** The socket goes with the message, and is the process's from then on. */
  sendSocket(message: FromSupervisor, socket: Socket): void {
    if (this.#process.connected) this.#process.send(message, socket, {}, () => undefined)
    else socket.destroy()
  }

  /** Hands a client on. */
  give(socket: Socket): void {
    this.#lastClient += 1
    const client = this.#lastClient
    this.#given.set(client, socket)
    if (!this.#process.connected) return
    this.#process.send({ type: 'client', client } satisfies FromSupervisor, socket, { keepOpen: true }, () => undefined)
  }

  /** Clients that never arrived; to be asked for when the process has ended. */
  takeBack(): Socket[] {
    const sockets = [...this.#given.values()].filter((socket) => !socket.destroyed)
    this.#given.clear()
    return sockets
  }

  /** Our copy of the socket is closed, the connection is not. */
  #taken(client: number): void {
    this.#given.get(client)?.destroy()
    this.#given.delete(client)
  }

  kill(): void {
    this.#process.kill('SIGKILL')
  }

  async #end(): Promise<string> {
    const failed = new Promise<string>((resolve) => this.#process.once('error', (error) => resolve(error.message)))
    const exited = once(this.#process, 'exit').then(([code, signal]) => String(signal ?? `status ${String(code)}`))
    const how = await Promise.race([exited, failed])
    if (this.#process.connected) await once(this.#process, 'disconnect')
    return how
  }
}
