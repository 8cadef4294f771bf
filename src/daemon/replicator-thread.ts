/**
 * The replicator's own thread: uploads go on here, and a directory replica may block it, while mounts and commits are
 * served elsewhere. It reads the store's files; what only their writer knows it asks its owner for.
 */
import { parentPort } from 'node:worker_threads'
import type { MessagePort } from 'node:worker_threads'
import { systemEnv } from '../env/system.ts'
import { HoldfastError } from '../errors.ts'
import { stayingBy } from '../image/collection/replica-retention.ts'
import { StoreOutbox } from '../image/outbox.ts'
import type { ReplicaGarbage } from '../replica/collection/replica-garbage.ts'
import { openReplica } from '../replica/open.ts'
import { ReplicaRegistry } from '../replica/registry.ts'
import { Replicator } from '../replica/replicator.ts'
import { unsealedReplica } from '../replica/sealed-replica.ts'
import { openChunkReader } from '../store/open.ts'
import type { ThreadReader } from '../store/thread-reader.ts'
import { errorOf, faultOf } from './engine-messages.ts'
import type {
  EngineQuestions, FromReplicator, OpenReplicator, ReplicaCollectArgs, ReplicatorCalls, ToReplicator,
} from './replicator-messages.ts'

class ReplicatorThread {
  readonly #port: MessagePort
  readonly #reader: ThreadReader
  readonly #replicator: Replicator
  readonly #aborts = new Map<number, AbortController>()
  readonly #asked = new Map<number, { resolve: (result: unknown) => void; reject: (error: Error) => void }>()
  #lastId = 0

  /** Takes the reader over: what lists of chunks to fetch first are made with. */
  constructor(port: MessagePort, directory: string, reader: ThreadReader) {
    this.#port = port
    this.#reader = reader
    const env = systemEnv()
    const { keys } = reader
    const outbox = new StoreOutbox(env, directory, {
      durablePacks: (args) => this.#ask('durablePacks', args), fence: (args) => this.#ask('fence', args),
    }, reader)
    this.#replicator = new Replicator({
      env, outbox, registry: new ReplicaRegistry(env, directory),
      open: ({ url, bytesPerSecondMax }) => {
        const replica = openReplica(env, url, bytesPerSecondMax === null ? {} : { bytesPerSecondMax })
        return unsealedReplica(env, replica, keys)
      },
      onEvent: (message) => this.#post({ type: 'event', message }),
      onPublished: () => this.#post({ type: 'published' }),
    })
  }

  async begin(): Promise<void> {
    await this.#replicator.refresh()
  }

  receive(message: ToReplicator): void {
    switch (message.type) {
      case 'poke': return this.#replicator.poke()
      case 'call': return void this.#answer(message.id, message.method, message.args)
      case 'abort': return this.#aborts.get(message.id)?.abort()
      case 'done': return this.#take(message.id)?.resolve(message.result)
      case 'failed': return this.#take(message.id)?.reject(errorOf(message.fault))
      case 'open': return
    }
  }

  async #answer(id: number, method: keyof ReplicatorCalls, args: unknown): Promise<void> {
    const abort = new AbortController()
    this.#aborts.set(id, abort)
    try {
      this.#post({ type: 'done', id, result: await this.#run(id, method, args, abort.signal) })
    } catch (error) {
      this.#post({ type: 'failed', id, fault: faultOf(error) })
    } finally {
      this.#aborts.delete(id)
      if (method === 'close') this.#port.close()
    }
  }

  async #run(id: number, method: keyof ReplicatorCalls, args: unknown, signal: AbortSignal): Promise<unknown> {
    switch (method) {
      case 'refresh': return this.#replicator.refresh()
      case 'status': return this.#replicator.status()
      case 'close': return this.#close()
      case 'collect': return this.#collect(id, args as ReplicatorCalls['collect']['args'], signal)
      case 'sync': {
        const { name } = args as ReplicatorCalls['sync']['args']
        const progress = (done: number, total: number): void => {
          this.#post({ type: 'progress', id, progress: { step: 'bringing packs', done, total, unit: 'bytes' } })
        }
        return this.#replicator.sync(name, { signal, progress })
      }
    }
  }

  #collect(
    id: number, { request, isComplete, completeEpochs, ownPacks, forget, dryRun }: ReplicaCollectArgs,
    signal: AbortSignal,
  ): Promise<ReplicaGarbage[]> {
    const progress = (step: string, done: number, total: number): void => {
      this.#post({ type: 'progress', id, progress: { step, done, total, unit: 'steps' } })
    }
    const dry = dryRun === null ? null : { epochs: new Set(dryRun.epochs), packs: new Set(dryRun.packs) }
    const decide = stayingBy(request)
    const known = { isComplete, completeEpochs: new Set(completeEpochs), ownPacks: new Set(ownPacks) }
    const asked = { decide, ...known, forget, dryRun: dry }
    return this.#replicator.collect(asked, { signal, progress })
  }

  async #close(): Promise<void> {
    await this.#replicator.close()
    await this.#reader.close()
  }

  #ask<M extends keyof EngineQuestions>(
    method: M, args: EngineQuestions[M]['args'],
  ): Promise<EngineQuestions[M]['result']> {
    this.#lastId += 1
    const id = this.#lastId
    return new Promise((resolve, reject) => {
      this.#asked.set(id, { resolve: resolve as (result: unknown) => void, reject })
      this.#post({ type: 'ask', id, method, args })
    })
  }

  #take(id: number): { resolve: (result: unknown) => void; reject: (error: Error) => void } | undefined {
    const asked = this.#asked.get(id)
    this.#asked.delete(id)
    return asked
  }

  #post(message: FromReplicator): void {
    this.#port.postMessage(message)
  }
}

async function serve(port: MessagePort, { directory, secret }: OpenReplicator): Promise<void> {
  try {
    const reader = await openChunkReader(systemEnv(), directory, undefined, secret)
    const thread = new ReplicatorThread(port, directory, reader)
    port.on('message', (message: ToReplicator) => thread.receive(message))
    port.postMessage({ type: 'opened' } satisfies FromReplicator)
    await thread.begin()
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error
    port.postMessage({ type: 'refused', fault: faultOf(error) } satisfies FromReplicator)
    port.close()
  }
}

const owner = parentPort
owner?.once('message', (message: ToReplicator) => {
  if (message.type === 'open') void serve(owner, message)
})
