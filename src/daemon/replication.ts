/**
 * The store's replicas as the host has them: which there are, and the thread that keeps them up to the store. The
 * thread is started when there is a replica and somebody wants it: a daemon at once, a short command when it waits.
 */
import { Worker } from 'node:worker_threads'
import { entryUrl } from '../env/entry.ts'
import type { Env } from '../env/env.ts'
import { HoldfastError, isCode } from '../errors.ts'
import type { Engine } from '../image/engine.ts'
import { replicasOf } from '../image/replica-levels.ts'
import type { CallOptions, EpochSummary } from '../image/types.ts'
import type { ReplicaGarbage } from '../replica/collection/replica-garbage.ts'
import { joinDomain } from '../replica/domain.ts'
import { bringKeys } from '../replica/keys-object.ts'
import { openReplica } from '../replica/open.ts'
import { type ReplicaEntry, ReplicaRegistry } from '../replica/registry.ts'
import type { ReplicaStatus } from '../replica/replicator.ts'
import { readIdentity } from '../store/identity.ts'
import { readKeysFile } from '../store/keys.ts'
import { StoreLayout } from '../store/layout.ts'
import { errorOf, faultOf } from './engine-messages.ts'
import type { ReplicaHost, ReplicaRequest, ReplicaSummary, ReplicasReached } from './host.ts'
import { replicaProbeTimeoutMs, waitTimeMsDefault } from './limits.ts'
import type { FromReplicator, ReplicaCollectArgs, ReplicatorCalls, ToReplicator } from './replicator-messages.ts'

export interface ReplicationOptions {
  readonly env: Env
  readonly engine: Engine
  /** Replicas are kept up to the store without anybody asking. */
  readonly isBackground: boolean
  /** A replica lags, is back, an image was taken over: for the log. */
  readonly onEvent: (message: string) => void
}

interface Pending {
  readonly resolve: (result: unknown) => void
  readonly reject: (error: Error) => void
  readonly options: CallOptions
}

export class Replication implements ReplicaHost {
  readonly #options: ReplicationOptions
  readonly #registry: ReplicaRegistry
  readonly #pending = new Map<number, Pending>()
  readonly #waiting = new Set<() => void>()
  #worker: Worker | null = null
  #ended: Error | null = null
  /** Messages go in the order in which they were given. */
  #sending: Promise<unknown> = Promise.resolve()
  #lastId = 0

  constructor(options: ReplicationOptions) {
    this.#options = options
    this.#registry = new ReplicaRegistry(options.env, options.engine.directory)
    this.begin()
  }

  /** The thread is started where it works in the background. */
  begin(): void {
    if (this.#options.isBackground && this.list().length > 0) this.#started()
  }

  /** Ends what is under way, and goes on when `run` is over: with the keys that the store has then. */
  async pausedFor<T>(run: () => Promise<T>): Promise<T> {
    await this.close()
    this.#worker = null
    this.#ended = null
    try {
      return await run()
    } finally {
      this.begin()
    }
  }

  /** Errors: DAMAGED, NEWER_VERSION. */
  list(): ReplicaSummary[] {
    return this.#registry.entries().map(summaryOf)
  }

  /** There is something new. */
  poke(): void {
    this.#send({ type: 'poke' })
  }

  /**
   * The replica has been asked, and is one of this store's domain now. Errors: EXISTS, USAGE, BAD_NAME, WRONG_DOMAIN,
   * BUSY (another one is the authority), those of a replica.
   */
  async add(request: ReplicaRequest, { signal }: CallOptions = {}): Promise<ReplicaSummary> {
    const { env, engine } = this.#options
    const { name, url, authority, bytesPerSecondMax } = request
    this.#registry.checkNew({ name, isAuthority: authority })
    const layout = new StoreLayout(engine.directory)
    const identity = readIdentity(env, layout)
    await using replica = openReplica(env, url)
    const call = { signal, timeoutMs: replicaProbeTimeoutMs }
    await joinDomain(replica, identity, call)
    if (identity.keyId !== 0) await bringKeys(replica, readKeysFile(env, layout), call)
    const entry = this.#registry.add({ name, url, isAuthority: authority, bytesPerSecondMax })
    if (this.#worker !== null || this.#options.isBackground) await this.#call('refresh', undefined, {})
    return summaryOf(entry)
  }

  /** What is there stays there. */
  async remove({ name }: { name: string }): Promise<ReplicaSummary> {
    const entry = this.#registry.remove(name)
    if (this.#worker !== null) await this.#call('refresh', undefined, {})
    return summaryOf(entry)
  }

  async status(): Promise<ReplicaStatus[]> {
    if (this.list().length === 0) return []
    return this.#call('status', undefined, {})
  }

  async sync({ name }: { name?: string }, options: CallOptions = {}): Promise<ReplicaStatus[]> {
    if (name !== undefined) this.#registry.entry(name)
    if (this.list().length === 0) return []
    await this.#call('sync', { name: name ?? null }, options)
    return this.status()
  }

  async collect(args: ReplicaCollectArgs, options: CallOptions = {}): Promise<ReplicaGarbage[]> {
    return this.list().length === 0 ? [] : this.#call('collect', args, options)
  }

  /** Resolves when so many replicas have the epoch, or not in time, or cannot. Errors: USAGE, ABORTED. */
  async reach(
    epoch: EpochSummary, { wanted, timeMs = waitTimeMsDefault }: { wanted: number; timeMs?: number },
    options: CallOptions,
  ): Promise<ReplicasReached> {
    const of = this.list().length
    if (wanted > of) throw new HoldfastError('USAGE', `the store has ${of} replicas: --wait-replicas is at most that`)
    this.#started()
    this.poke()
    const { env } = this.#options
    const endMs = env.monotonicMs() + timeMs
    for (;;) {
      const { have } = this.asKnown(epoch).replicas
      if (have >= wanted || env.monotonicMs() >= endMs || await this.#isHopeless(wanted)) return { have, of, wanted }
      options.progress?.({ step: 'waiting for replicas', done: have, total: wanted, unit: 'steps' })
      await this.#published(options)
    }
  }

  /** An epoch with what is known by now of where it is; its image may have another name, or be gone. */
  asKnown(epoch: EpochSummary): EpochSummary {
    const { env, engine } = this.#options
    try {
      const replicas = replicasOf(env, engine.directory, epoch.image, epoch.number)
      const isReplicated = replicas.of > 0 && replicas.have === replicas.of
      return { ...epoch, replicas, level: isReplicated ? 'replicated' : 'durable' }
    } catch (error) {
      if (isCode(error, 'NOT_FOUND', 'DAMAGED', 'BAD_FORMAT', 'NEWER_VERSION')) return epoch
      throw error
    }
  }

  /** Idempotent. What is under way is ended. */
  async close(): Promise<void> {
    if (this.#worker === null || this.#ended !== null) return
    await this.#call('close', undefined, {}).catch(() => undefined)
    this.#end(new HoldfastError('FAILED_STATE', 'the store is closed'))
  }

  async #isHopeless(wanted: number): Promise<boolean> {
    const states = await this.#call('status', undefined, {})
    return states.filter(({ state }) => state !== 'refused').length < wanted
  }

  /** At the next publication, or a while later. */
  #published({ signal }: CallOptions): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = (): void => {
        clearTimeout(timer)
        this.#waiting.delete(done)
        signal?.removeEventListener('abort', done)
        if (signal?.aborted === true) reject(new HoldfastError('ABORTED', 'stopped on request'))
        else resolve()
      }
      const timer = setTimeout(done, lookAgainMs)
      this.#waiting.add(done)
      signal?.addEventListener('abort', done)
    })
  }

  #started(): Worker {
    if (this.#worker !== null) return this.#worker
    const worker = new Worker(entryUrl('./replicator-thread.ts', import.meta.url), { name: 'replicator' })
    this.#worker = worker
    this.#ended = null
    worker.unref()
    worker.on('message', (message: FromReplicator) => this.#receive(message))
    worker.on('error', (error) => this.#end(error))
    // One that was stopped may exit when another one runs already.
    worker.on('exit', () => {
      if (this.#worker === worker) this.#end(new HoldfastError('FAILED_STATE', 'the replicator has ended'))
    })
    this.#sending = this.#open(worker)
    return worker
  }

  /** What is sent meanwhile follows. */
  async #open(worker: Worker): Promise<void> {
    const { directory } = this.#options.engine
    try {
      const secret = await this.#options.engine.readerSecret()
      worker.postMessage({ type: 'open', directory, secret } satisfies ToReplicator)
    } catch (error) {
      this.#end(error instanceof Error ? error : new HoldfastError('FAILED_STATE', 'the store is closed'))
    }
  }

  #send(message: ToReplicator): void {
    const worker = this.#worker
    this.#sending = this.#sending.then(() => worker?.postMessage(message))
  }

  #call<M extends keyof ReplicatorCalls>(
    method: M, args: ReplicatorCalls[M]['args'], options: CallOptions,
  ): Promise<ReplicatorCalls[M]['result']> {
    const worker = this.#started()
    this.#lastId += 1
    const id = this.#lastId
    const abort = (): void => this.#send({ type: 'abort', id })
    options.signal?.addEventListener('abort', abort, { once: true })
    const answer = new Promise<ReplicatorCalls[M]['result']>((resolve, reject) => {
      if (this.#ended !== null) return reject(this.#ended)
      this.#pending.set(id, { resolve: resolve as Pending['resolve'], reject, options })
      // While somebody waits for an answer the thread keeps the process alive.
      worker.ref()
      this.#send({ type: 'call', id, method, args })
    })
    return answer.finally(() => {
      options.signal?.removeEventListener('abort', abort)
      if (this.#pending.size === 0) worker.unref()
    })
  }

  #receive(message: FromReplicator): void {
    switch (message.type) {
      case 'opened': return
      case 'refused': return this.#end(errorOf(message.fault))
      case 'ask': return void this.#answer(message)
      case 'progress': return this.#pending.get(message.id)?.options.progress?.(message.progress)
      case 'event': return this.#options.onEvent(message.message)
      case 'published': return [...this.#waiting].forEach((wake) => wake())
      case 'done': return this.#take(message.id)?.resolve(message.result)
      case 'failed': return this.#take(message.id)?.reject(errorOf(message.fault))
    }
  }

  async #answer({ id, method, args }: Extract<FromReplicator, { type: 'ask' }>): Promise<void> {
    const { engine } = this.#options
    const ask = engine[method].bind(engine) as (args: unknown) => Promise<unknown>
    try {
      this.#send({ type: 'done', id, result: await ask(args) })
    } catch (error) {
      this.#send({ type: 'failed', id, fault: faultOf(error) })
    }
  }

  #take(id: number): Pending | undefined {
    const pending = this.#pending.get(id)
    this.#pending.delete(id)
    return pending
  }

  #end(error: Error): void {
    if (this.#ended !== null) return
    this.#ended = error
    if (!isCode(error, 'FAILED_STATE')) this.#options.onEvent(`the replicator has ended: ${error.message}`)
    for (const pending of this.#pending.values()) pending.reject(error)
    this.#pending.clear()
  }
}

function summaryOf({ name, url, isAuthority, bytesPerSecondMax }: ReplicaEntry): ReplicaSummary {
  return { name, url, isAuthority, bytesPerSecondMax }
}

/** Should the word of a publication be lost, or a replica be refused meanwhile. */
const lookAgainMs = 500
