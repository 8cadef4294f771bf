/** TCP relays before the DataNodes of the shared cluster, and before its NameNode one that sends clients to them. */
import type { ExecutionContext } from 'ava'
import { Buffer } from 'node:buffer'
import { once } from 'node:events'
import net from 'node:net'
import type { AddressInfo } from 'node:net'
import { HdfsCluster } from '../../rig/hdfs/index.ts'

export class CuttingRelays {
  readonly #servers: net.Server[] = []
  readonly #sockets = new Set<net.Socket>()
  /** Connections to DataNodes are reset after so many bytes of an answer, so many more times. */
  cut = { afterBytes: 0, times: 0 }
  cutCount = 0
  address = ''

  /** Closed when the test ends. */
  static async start(t: ExecutionContext, cluster: HdfsCluster): Promise<CuttingRelays> {
    const relays = new CuttingRelays()
    t.teardown(() => relays.#close())
    const ports = new Map<string, string>()
    for (const [index] of cluster.dataNodes.entries()) {
      const upstream = cluster.dataNodeAddress(index)
      ports.set(upstream, await relays.#listen(upstream, (client, server) => relays.#cutting(client, server)))
    }
    relays.address = await relays.#listen(cluster.address, (client, server) => {
      server.on('data', (bytes) => client.write(renamed(bytes, ports)))
    })
    return relays
  }

  async #listen(upstream: string, answers: (client: net.Socket, server: net.Socket) => void): Promise<string> {
    const [host, port] = upstream.split(':')
    const listener = net.createServer((client) => {
      const server = net.connect(Number(port), host)
      for (const socket of [client, server]) {
        this.#sockets.add(socket)
        socket.on('error', () => socket.destroy()).on('close', () => this.#sockets.delete(socket))
      }
      client.on('data', (bytes) => server.write(bytes)).on('close', () => server.destroy())
      server.on('close', () => client.end())
      answers(client, server)
    })
    this.#servers.push(listener)
    listener.listen(0, '127.0.0.1')
    await once(listener, 'listening')
    return `127.0.0.1:${(listener.address() as AddressInfo).port}`
  }

  #cutting(client: net.Socket, server: net.Socket): void {
    let bytes = 0
    server.on('data', (piece) => {
      const before = bytes
      bytes += piece.length
      const { afterBytes, times } = this.cut
      if (times === 0 || before > afterBytes || bytes <= afterBytes) return void client.write(piece)
      this.cut = { afterBytes, times: times - 1 }
      this.cutCount += 1
      // What was written so far arrives: the reset comes in the middle of the body.
      client.write(piece.subarray(0, afterBytes - before), () => client.resetAndDestroy())
      server.destroy()
    })
  }

  async #close(): Promise<void> {
    for (const server of this.#servers) server.close()
    for (const socket of this.#sockets) socket.destroy()
  }
}

/** All ports have five digits, so that no length changes. */
function renamed(bytes: Buffer, ports: ReadonlyMap<string, string>): Buffer {
  let text = bytes.toString('latin1')
  for (const [from, to] of ports) {
    if (from.length !== to.length) throw new Error(`${from} and ${to} are not of one length`)
    text = text.replaceAll(`http://${from}/`, `http://${to}/`)
  }
  return Buffer.from(text, 'latin1')
}
