/**
 * The daemon's end of a flush process. The process is started at the first call and again after it has ended;
 * a call that takes too long kills it, since nothing else gets a thread out of a blocking call.
 */
import { spawn } from 'node:child_process'
import type { ChildProcessByStdio } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { entryUrl } from '../env/entry.ts'
import { HoldfastError } from '../errors.ts'
import type { ErrorCode } from '../errors.ts'
import type { FlushAnswer, FlushCall, ListedFile } from './flush-messages.ts'
import { flushLineBytesMax, flushRequestsMax } from './limits.ts'

type Child = ChildProcessByStdio<Writable, Readable, null>

interface Pending {
  child: Child
  resolve: (files: ListedFile[]) => void
  reject: (error: Error) => void
}

export class FlushAgent {
  readonly #image: string
  readonly #pending = new Map<number, Pending>()
  #child: Child | null = null
  #rest = ''
  #lastId = 0
  #closed = false

  constructor(image: string) {
    this.#image = image
  }

  /** Starts the process ahead of its first call. */
  start(): void {
    this.#running()
  }

  /**
   * Returns when every page that was dirty at the call has been written to the mount. A `stall` of the disk or
   * of the mount's server shows as a slow call. Errors: MACHINE_TIMEOUT, ABORTED, MACHINE (the process ended), IO.
   */
  async sync(paths: readonly string[], timeoutMs: number, signal?: AbortSignal): Promise<void> {
    await this.#ask({ verb: 'sync', paths: [...paths] }, timeoutMs, signal)
  }

  async copy(from: string, to: string, timeoutMs: number, signal?: AbortSignal): Promise<void> {
    await this.#ask({ verb: 'copy', from, to }, timeoutMs, signal)
  }

  /** A missing file is fine. */
  async remove(path: string, timeoutMs: number): Promise<void> {
    await this.#ask({ verb: 'remove', path }, timeoutMs)
  }

  list(path: string, timeoutMs: number): Promise<ListedFile[]> {
    return this.#ask({ verb: 'list', path }, timeoutMs)
  }

  stat(paths: readonly string[], timeoutMs: number): Promise<ListedFile[]> {
    return this.#ask({ verb: 'stat', paths: [...paths] }, timeoutMs)
  }

  /** Ends the process and waits for its end, after which it holds no file of the mount. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true
    const child = this.#child
    if (child === null) return
    const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
    // It owes nobody anything: syncs that are not answered count as not done.
    child.kill('SIGKILL')
    await ended
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #ask(call: FlushCall, timeoutMs: number, signal?: AbortSignal): Promise<ListedFile[]> {
    if (this.#closed) return Promise.reject(this.#gone('was closed'))
    if (signal?.aborted) return Promise.reject(aborted(signal))
    if (this.#pending.size >= flushRequestsMax) {
      return Promise.reject(new HoldfastError('BUSY', `too many flushes of ${this.#image} wait: try again later`))
    }
    const child = this.#running()
    this.#lastId += 1
    const id = this.#lastId
    return new Promise((resolve, reject) => {
      const stop = (error: HoldfastError): void => {
        this.#pending.delete(id)
        if (this.#child === child) this.#child = null
        child.kill('SIGKILL')
        reject(error)
      }
      const abort = (): void => stop(aborted(signal!))
      const timer = setTimeout(() => stop(this.#late(call, timeoutMs)), timeoutMs)
      signal?.addEventListener('abort', abort)
      const settled = (): void => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', abort)
      }
      this.#pending.set(id, {
        child,
        resolve: (files) => (settled(), resolve(files)),
        reject: (error) => (settled(), reject(error)),
      })
      child.stdin.write(`${JSON.stringify({ ...call, id })}\n`)
    })
  }

  #running(): Child {
    if (this.#child !== null) return this.#child
    const entry = fileURLToPath(entryUrl('./flush-process.ts', import.meta.url))
    const child = spawn(process.execPath, [entry], { stdio: ['pipe', 'pipe', 'ignore'], cwd: '/', detached: true })
    this.#child = child
    this.#rest = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => this.#receive(child, text))
    child.stdin.on('error', () => child.kill('SIGKILL'))
    child.once('error', () => this.#end(child))
    child.once('close', () => this.#end(child))
    return child
  }

  #receive(child: Child, text: string): void {
    // One that was given up may have been in the middle of a line.
    if (child !== this.#child) return
    const lines = (this.#rest + text).split('\n')
    this.#rest = lines.pop() ?? ''
    if (this.#rest.length > flushLineBytesMax) return void child.kill('SIGKILL')
    for (const line of lines) this.#answer(JSON.parse(line) as FlushAnswer)
  }

  #answer(answer: FlushAnswer): void {
    const pending = this.#pending.get(answer.id)
    this.#pending.delete(answer.id)
    if (pending === undefined) return
    if ('files' in answer) pending.resolve(answer.files)
    else pending.reject(new HoldfastError(answer.error.code as ErrorCode, answer.error.message))
  }

  #end(child: Child): void {
    if (this.#child === child) this.#child = null
    for (const [id, pending] of this.#pending) {
      if (pending.child !== child) continue
      this.#pending.delete(id)
      pending.reject(this.#gone('ended'))
    }
  }

  #gone(how: string): HoldfastError {
    return new HoldfastError('MACHINE', `the process that flushes the memory of ${this.#image} ${how}: try again`)
  }

  #late(call: FlushCall, timeoutMs: number): HoldfastError {
    return new HoldfastError('MACHINE_TIMEOUT', `the ${call.verb} of files of ${this.#image} took longer than ` +
      `${timeoutMs} ms: the disk or the host is too slow for it, try again when it is less busy`)
  }
}

function aborted(signal: AbortSignal): HoldfastError {
  return new HoldfastError('ABORTED', 'stopped on request', { cause: signal.reason })
}
