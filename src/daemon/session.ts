/**
 * One client's connection as the daemon sees it: reads calls, runs them, answers. A client that says
 * anything that is no message gets an error and is closed; its calls are aborted, as when it goes away.
 */
import type { Buffer } from 'node:buffer'
import type { Socket } from 'node:net'
import { HoldfastError } from '../errors.ts'
import type { CallOptions } from '../image/types.ts'
import { faultOf } from './faults.ts'
import { clientCallsMax, helloTimeoutMs, moveTimeMsMax, requestBytesMax } from './limits.ts'
import { LineReader } from './lines.ts'
import { ProgressSender } from './progress-sender.ts'
import { decodeClientLine, encodeLine, mismatchOf, nonsense, type ClientMessage, type Hello } from './protocol.ts'

/** Checks and runs a call; rejects with what the client is to be told. */
export type RunCall = (verb: unknown, args: unknown, options: Required<CallOptions>) => Promise<unknown>

interface Call {
  readonly abort: AbortController
  readonly detached: boolean
}

export class Session {
  readonly #socket: Socket
  readonly #run: RunCall
  readonly #hello: Hello
  readonly #lines = new LineReader(requestBytesMax)
  readonly #calls = new Map<number, Call>()
  #greeted = false
  #isMoving = false
  #over = false

  constructor(socket: Socket, hello: Hello, run: RunCall) {
    this.#socket = socket
    this.#hello = hello
    this.#run = run
    socket.setTimeout(helloTimeoutMs, () => this.#refuse(nonsense('no hello came')))
    socket.on('data', (bytes: Buffer) => this.#receive(bytes))
    // The operating system's word on a broken connection adds nothing to 'close', which follows.
    socket.on('error', () => this.#socket.destroy())
    socket.on('close', () => this.#ended())
    this.#send({ hello })
  }

  /** Tells the client why and hangs up; its calls are aborted, but for detached ones. */
  close(why: HoldfastError): void {
    this.#refuse(why)
  }

  /** Hangs up once what was answered is sent. */
  end(): void {
    this.#over = true
    this.#socket.end()
  }

  /** Begins no more calls; once those under way are answered, sends the client to another process and hangs up. */
  move(): void {
    this.#isMoving = true
    if (this.#over || this.#calls.size > 0) return
    this.#send({ moved: true })
    this.end()
    setTimeout(() => this.#socket.destroy(), moveTimeMsMax).unref()
  }

  #receive(bytes: Buffer): void {
    try {
      for (const line of this.#lines.push(bytes)) {
        if (this.#over) return
        this.#handle(decodeClientLine(line))
      }
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error
      this.#refuse(error)
    }
  }

  #handle(message: ClientMessage): void {
    if (message.type === 'hello') return this.#greet(message.hello)
    if (!this.#greeted) throw nonsense('it came before hello')
    if (message.type === 'abort') return this.#calls.get(message.id)?.abort.abort()
    if (this.#isMoving) return
    if (this.#calls.has(message.id)) throw nonsense('its id is in use')
    if (this.#calls.size >= clientCallsMax) {
      const busy = new HoldfastError('BUSY', `one client has at most ${clientCallsMax} calls under way`)
      return this.#send({ id: message.id, error: faultOf(busy) })
    }
    void this.#serve(message.id, message)
  }

  #greet(hello: Hello): void {
    const mismatch = mismatchOf(hello, this.#hello)
    if (mismatch !== null) throw mismatch
    this.#greeted = true
    this.#socket.setTimeout(0)
  }

  async #serve(id: number, request: { verb: unknown; args: unknown; detached: boolean }): Promise<void> {
    const abort = new AbortController()
    this.#calls.set(id, { abort, detached: request.detached })
    const progress = new ProgressSender((latest) => this.#send({ id, progress: latest }), this.#socket)
    try {
      const result = await this.#run(request.verb, request.args, { signal: abort.signal, progress: progress.note })
      this.#send({ id, result: result ?? null })
    } catch (error) {
      this.#send({ id, error: faultOf(error) })
    } finally {
      progress.close()
      this.#calls.delete(id)
      if (this.#isMoving) this.move()
    }
  }

  #refuse(error: HoldfastError): void {
    if (this.#over) return
    this.#send({ error: faultOf(error) })
    this.end()
    // What the client still sends is read and dropped, so that our answer is not lost in a reset.
    this.#socket.resume()
    this.#socket.setTimeout(helloTimeoutMs, () => this.#socket.destroy())
    this.#abortCalls()
  }

  #ended(): void {
    this.#over = true
    this.#abortCalls()
  }

  #abortCalls(): void {
    for (const call of this.#calls.values()) if (!call.detached) call.abort.abort()
  }

  #send(message: object): void {
    if (!this.#over && this.#socket.writable) this.#socket.write(encodeLine(message))
  }
}
