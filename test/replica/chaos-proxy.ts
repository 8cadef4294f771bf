/** A TCP proxy in front of a NameNode that does something nasty to the requests one picks. */
import { once } from 'node:events'
import net from 'node:net'
import type { AddressInfo } from 'node:net'
import type { ExecutionContext } from 'ava'

/**
 * drop reply: the request gets through, the answer does not, the connection is reset. drop request: reset before
 * the server sees it. stall: the answer never comes. none: it is only counted.
 */
export type Mischief = 'drop reply' | 'drop request' | 'stall' | 'none'

export class ChaosProxy {
  readonly #server: net.Server
  readonly #sockets = new Set<net.Socket>()
  #plan: { pattern: RegExp; mischief: Mischief; times: number } | undefined
  /** Requests that something was done to. */
  struckCount = 0

  private constructor(server: net.Server) {
    this.#server = server
  }

  /** Closed when the test ends. */
  static async start(t: ExecutionContext, upstream: string): Promise<ChaosProxy> {
    const [host, port] = upstream.split(':')
    const server = net.createServer()
    const proxy = new ChaosProxy(server)
    server.on('connection', (client) => proxy.#serve(client, host, Number(port)))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.teardown(() => proxy.#close())
    return proxy
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** The next `times` requests whose first line matches are struck. */
  strike(pattern: RegExp, mischief: Mischief, times = 1): void {
    this.#plan = { pattern, mischief, times }
  }

  #serve(client: net.Socket, host: string, port: number): void {
    const server = net.connect(port, host)
    let mischief: Mischief | undefined
    this.#keep(client, server)
    client.on('data', (bytes) => {
      // Requests to a NameNode are small: each comes in one piece.
      const picked = this.#pick(String(bytes).split('\r\n')[0])
      mischief = (picked === 'none' ? undefined : picked) ?? mischief
      if (picked === 'drop request') client.resetAndDestroy()
      else server.write(bytes)
    })
    server.on('data', (bytes) => {
      if (mischief === undefined) client.write(bytes)
      else if (mischief === 'drop reply') client.resetAndDestroy()
    })
    client.on('close', () => server.destroy())
    server.on('close', () => client.destroy())
  }

  #pick(line: string): Mischief | undefined {
    const plan = this.#plan
    if (plan === undefined || !plan.pattern.test(line)) return undefined
    if (--plan.times === 0) this.#plan = undefined
    this.struckCount++
    return plan.mischief
  }

  #keep(...sockets: net.Socket[]): void {
    for (const socket of sockets) {
      this.#sockets.add(socket)
      // What a broken connection says is of no interest here.
      socket.on('error', () => socket.destroy()).on('close', () => this.#sockets.delete(socket))
    }
  }

  async #close(): Promise<void> {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
  }
}
