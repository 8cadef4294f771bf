/**
 * One HTTP exchange over node:http with a time limit for each step. (fetch cannot upload to a DataNode: those send
 * `100 Continue` unasked.)
 */
import { Buffer } from 'node:buffer'
import http from 'node:http'
import https from 'node:https'
import type { ClientRequest, IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { codeOf, messageOf } from '../../errors.ts'
import type { Call } from '../call.ts'
import { failureBytesMax, piecesOnTheirWayMax, replyBytesMax } from '../limits.ts'

/** Where a server listens. */
export interface Server {
  readonly isTls: boolean
  readonly host: string
  readonly port: number
}

export interface TlsOptions {
  /** Certificates to trust instead of the system's, PEM. */
  readonly ca?: string
}

export interface Target {
  readonly server: Server
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE'
  /** With its query. */
  readonly path: string
  /** Keeps connections for the next request. */
  readonly agent?: http.Agent
  readonly tls?: TlsOptions
}

export interface Reply {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

/** unsent: the server never saw the request. lost: it may have. fault: what came is no answer of a sound server. */
export class TransportFailure extends Error {
  readonly kind: 'unsent' | 'lost' | 'fault'

  constructor(kind: TransportFailure['kind'], message: string, options?: ErrorOptions) {
    super(message, options)
    this.kind = kind
  }
}

/** The whole answer. Throws TransportFailure, or what the call throws when it is over. */
export async function ask(target: Target, call: Call): Promise<Reply> {
  const exchange = new Exchange(target, call, {})
  exchange.request.end()
  return readReply(await exchange.response(), target, call)
}

/** The answer with its body still to come: whoever gets it reads or destroys it. Throws as `ask`. */
export async function askForBody(target: Target, call: Call): Promise<IncomingMessage> {
  const exchange = new Exchange(target, call, {})
  exchange.request.end()
  return exchange.response()
}

/**
 * Sends a body of `bytes` bytes once the server has said that it wants it. An answer that comes before ends the
 * sending. Throws as `ask`, and what `pieces` throws.
 */
export async function upload(
  target: Target, call: Call, bytes: number, pieces: AsyncIterable<Uint8Array>,
): Promise<Reply> {
  const headers = { 'Content-Type': 'application/octet-stream', 'Content-Length': bytes, Expect: '100-continue' }
  const exchange = new Exchange(target, call, headers)
  try {
    exchange.request.flushHeaders()
    if (await exchange.isWanted()) await exchange.send(pieces)
    return await readReply(await exchange.response(), target, call)
  } catch (error) {
    exchange.request.destroy()
    throw error
  }
}

/** The pieces of a body; a pause longer than allowed ends it. Throws TransportFailure, or as the call is over. */
export async function* bodyPieces(response: IncomingMessage, target: Target, call: Call): AsyncIterable<Buffer> {
  const { idleTimeoutMs } = call.limits
  const silent = (): void => void response.destroy(new Error(`silent for ${idleTimeoutMs} ms`))
  const end = (): void => void response.destroy(new Error('ended on request'))
  call.signal.addEventListener('abort', end)
  let timer = setTimeout(silent, idleTimeoutMs)
  try {
    for await (const piece of response as AsyncIterable<Buffer>) {
      clearTimeout(timer)
      yield piece
      timer = setTimeout(silent, idleTimeoutMs)
    }
  } catch (error) {
    call.check()
    const message = `${nameOfServer(target.server)} broke off: ${messageOf(error)}`
    throw new TransportFailure('lost', message, { cause: error })
  } finally {
    clearTimeout(timer)
    call.signal.removeEventListener('abort', end)
    response.destroy()
  }
}

export function nameOfServer({ host, port }: Server): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`
}

class Exchange {
  readonly request: ClientRequest
  readonly #target: Target
  readonly #call: Call
  readonly #response: Promise<IncomingMessage>
  readonly #continued: Promise<boolean>
  #isConnected = false
  #timer: NodeJS.Timeout | undefined

  constructor(target: Target, call: Call, headers: Record<string, string | number>) {
    call.check()
    this.#target = target
    this.#call = call
    const { server: { isTls, host, port }, method, path, agent, tls } = target
    this.request = (isTls ? https : http).request({
      host, port, method, path, headers, agent: agent ?? false, signal: call.signal, ca: tls?.ca,
    })
    this.#limit(call.limits.connectTimeoutMs, 'no connection')
    this.request.once('socket', (socket) => {
      const connected = (): void => {
        this.#isConnected = true
        this.#limit(call.limits.replyTimeoutMs, 'no answer')
      }
      if (socket.connecting) socket.once(isTls ? 'secureConnect' : 'connect', connected)
      else connected()
    })
    this.#response = new Promise((resolve, reject) => {
      this.request.once('response', resolve).on('error', reject)
    })
    this.#response.then(() => this.#unlimit(), () => this.#unlimit())
    this.#continued = new Promise((resolve) => {
      this.request.once('continue', () => resolve(true))
      this.#response.then(() => resolve(false), () => resolve(false))
    })
  }

  async response(): Promise<IncomingMessage> {
    try {
      return await this.#response
    } catch (error) {
      this.#call.check()
      throw this.#failure(error)
    }
  }

  /** False when an answer or a failure came instead. */
  async isWanted(): Promise<boolean> {
    const isWanted = await this.#continued
    if (isWanted) this.#unlimit()
    return isWanted
  }

  async send(pieces: AsyncIterable<Uint8Array>): Promise<void> {
    let isAnswered = false
    const answered = this.#response.then(() => { isAnswered = true }, () => { isAnswered = true })
    // The next piece is read and summed up while the one before is on its way.
    const onTheirWay: Promise<unknown>[] = []
    for await (const piece of pieces) {
      if (isAnswered) return
      onTheirWay.push(new Promise((resolve) => this.request.write(piece, resolve)))
      if (onTheirWay.length < piecesOnTheirWayMax) continue
      this.#limit(this.#call.limits.idleTimeoutMs, 'takes no more bytes')
      await Promise.race([onTheirWay.shift(), answered])
      this.#unlimit()
    }
    this.#limit(this.#call.limits.replyTimeoutMs, 'no answer to what was sent')
    this.request.end()
  }

  #limit(ms: number, what: string): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.request.destroy(new Error(`${what} within ${ms} ms`)), ms)
  }

  #unlimit(): void {
    clearTimeout(this.#timer)
  }

  #failure(error: unknown): TransportFailure {
    const message = `${nameOfServer(this.#target.server)}: ${messageOf(error)}`
    const isFault = /^(HPE_|ERR_TLS_|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|EPROTO)/.test(codeOf(error) ?? '')
    return new TransportFailure(isFault ? 'fault' : this.#isConnected ? 'lost' : 'unsent', message, { cause: error })
  }
}

/** The rest of an answer, as far as is allowed. Throws as `ask`. */
export async function readReply(response: IncomingMessage, target: Target, call: Call): Promise<Reply> {
  const status = response.statusCode ?? 0
  const bytesMax = status === 200 ? replyBytesMax : failureBytesMax
  const pieces: Buffer[] = []
  let bytes = 0
  for await (const piece of bodyPieces(response, target, call)) {
    bytes += piece.length
    if (bytes > bytesMax) {
      throw new TransportFailure('fault', `${nameOfServer(target.server)} answers with more than ${bytesMax} bytes`)
    }
    pieces.push(piece)
  }
  return { status, headers: response.headers, body: Buffer.concat(pieces) }
}
