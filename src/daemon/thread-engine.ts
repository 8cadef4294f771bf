/** The engine of a worker thread, as its owner calls it: each call goes over, its outcome comes back. */
import type { Worker } from 'node:worker_threads'
import type { Secret } from '../crypto/secret.ts'
import { HoldfastError } from '../errors.ts'
import type { Engine } from '../image/engine.ts'
import type { FetcherPort } from '../image/remote/messages.ts'
import type { CallOptions } from '../image/types.ts'
import { errorOf } from './engine-messages.ts'
import { engineThreads } from './engine-threads.ts'
import type { EngineMethod, FromEngine, OpenEngine, ToEngine } from './engine-messages.ts'

interface PendingCall {
  resolve: (result: unknown) => void
  reject: (error: Error) => void
  options: CallOptions
}

export interface ThreadEngineOptions extends CallOptions {
  /** Opens an encrypted store. */
  secret?: Secret
}

/** Errors: as openLocalEngine. */
export async function openThreadEngine(directory: string, options: ThreadEngineOptions = {}): Promise<Engine> {
  const link = new EngineLink(directory, options)
  await link.opened
  return link.engine()
}

const methods: readonly EngineMethod[] = [
  'createImage', 'images', 'log', 'show', 'diff', 'stats', 'pin', 'remove', 'fork', 'rollback', 'exportFile', 'check',
  'rebuildIndex', 'collectGarbage', 'keys', 'rotateKeys', 'openHead', 'commit', 'retired', 'closeHead',
  'sealHead', 'machineState', 'recentChunks', 'saveWorkingSet', 'durablePacks', 'fence',
  'readerSecret', 'sources', 'addSource', 'unfinished', 'finishRestore', 'joinDomain', 'installImage', 'installFork',
  'addEpochs', 'heldRecords', 'keepRecords', 'absentChunks',
]
/** Methods that take no arguments, only options. */
const bare: ReadonlySet<EngineMethod> = new Set([
  'images', 'stats', 'rebuildIndex', 'rotateKeys', 'readerSecret', 'sources', 'unfinished', 'heldRecords',
])

class EngineLink {
  readonly #directory: string
  readonly #worker: Worker
  readonly #pending = new Map<number, PendingCall>()
  readonly #opening = Promise.withResolvers<void>()
  readonly #openOptions: CallOptions
  #lastId = 0
  #ended: Error | null = null
  #closed: Promise<void> | null = null

  constructor(directory: string, options: ThreadEngineOptions) {
    this.#directory = directory
    this.#openOptions = options
    this.#worker = engineThreads.take()
    this.#worker.postMessage({ directory, secret: options.secret } satisfies OpenEngine)
    this.#worker.on('message', (message: FromEngine) => this.#receive(message))
    this.#worker.on('error', (error) => this.#end(error))
    this.#worker.on('exit', () => this.#end(new HoldfastError('FAILED_STATE', 'the store is closed')))
  }

  get opened(): Promise<void> {
    return this.#opening.promise
  }

  engine(): Engine {
    const calls = methods.map((method) => [method, bare.has(method)
      ? (options: CallOptions = {}) => this.#call(method, undefined, options)
      : (args: unknown, options: CallOptions = {}) => this.#call(method, args, options)])
    const close = (): Promise<void> => this.#close()
    const attachSource = (source: FetcherPort): void => {
      this.#worker.postMessage({ type: 'source', source } satisfies ToEngine, [source.port])
    }
    return {
      directory: this.#directory, ...Object.fromEntries(calls), attachSource, close, [Symbol.asyncDispose]: close,
    } as unknown as Engine
  }

  #call(method: EngineMethod, args: unknown, options: CallOptions): Promise<unknown> {
    if (options.signal?.aborted) return Promise.reject(new HoldfastError('ABORTED', 'stopped on request'))
    const abort = (): void => this.#worker.postMessage({ type: 'abort', id } satisfies ToEngine)
    const { id, outcome } = this.#ask({ type: 'call', method, args }, options)
    options.signal?.addEventListener('abort', abort, { once: true })
    return outcome.finally(() => options.signal?.removeEventListener('abort', abort))
  }

  #ask(
    request: { type: 'call'; method: EngineMethod; args: unknown } | { type: 'close' }, options: CallOptions,
  ): { id: number; outcome: Promise<unknown> } {
    this.#lastId += 1
    const id = this.#lastId
    const outcome = new Promise((resolve, reject) => {
      if (this.#ended !== null) return reject(this.#ended)
      this.#pending.set(id, { resolve, reject, options })
      this.#worker.postMessage({ ...request, id } satisfies ToEngine)
    })
    return { id, outcome }
  }

  #close(): Promise<void> {
    if (this.#ended !== null) return Promise.resolve()
    this.#closed ??= this.#ask({ type: 'close' }, {}).outcome.then(() => undefined)
    return this.#closed
  }

  #receive(message: FromEngine): void {
    switch (message.type) {
      case 'opened':
        return this.#opening.resolve()
      case 'refused':
        return this.#opening.reject(errorOf(message.fault))
      case 'progress': {
        const options = message.id === 0 ? this.#openOptions : this.#pending.get(message.id)?.options
        return options?.progress?.(message.progress)
      }
      case 'done':
        return this.#take(message.id)?.resolve(message.result)
      case 'failed':
        return this.#take(message.id)?.reject(errorOf(message.fault))
    }
  }

  #take(id: number): PendingCall | undefined {
    const pending = this.#pending.get(id)
    this.#pending.delete(id)
    return pending
  }

  #end(error: Error): void {
    this.#ended ??= error
    this.#opening.reject(this.#ended)
    for (const pending of this.#pending.values()) pending.reject(this.#ended)
    this.#pending.clear()
  }
}
