/**
 * Restores images from replicas into this store. What is not needed at once follows in the background, until the host
 * is closed: the records of older epochs, then all chunks of the epoch.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { DomainKeys } from '../crypto/domain-keys.ts'
import { systemEnv } from '../env/system.ts'
import { isCode, messageOf } from '../errors.ts'
import type { Engine } from '../image/engine.ts'
import { type FetchAllOptions, addOlderEpochs, fetchRest } from '../image/remote/fetch-all.ts'
import type { RemoteRecords } from '../image/remote/remote-records.ts'
import { restoreImage } from '../image/remote/restore.ts'
import type { Arriving } from '../image/remote/arriving.ts'
import type { RestoreContext, Restored } from '../image/remote/restore.ts'
import type { UnfinishedRestore } from '../image/source-list.ts'
import type { CallOptions } from '../image/types.ts'
import { Superseded, notResumed } from '../machine/arrival.ts'
import type { Machines } from '../machine/machines.ts'
import type { ReplicaImages } from '../replica/image-list.ts'
import { openReplica } from '../replica/open.ts'
import type { Replica } from '../replica/replica.ts'
import { unsealedReplica } from '../replica/sealed-replica.ts'
import type { RestoreRequest, RestoreResult, ResumeResult } from './host.ts'

/** What follows does not get in the way of a resume that comes right after. */
const backgroundDelayMs = 3_000
/** The longest pause before what failed is tried again. */
const backgroundRetryMs = 5 * 60_000
/** What may be over later. */
const passing = ['REPLICA_UNREACHABLE', 'REPLICA_FAULT', 'REPLICA_DENIED', 'NO_SPACE', 'IO'] as const

export interface RestorerOptions {
  readonly engine: Engine
  readonly remote: RemoteRecords
  /** Those of the host: a resume may come right after. */
  readonly machines: () => Promise<Machines>
  /** A sentence for the log. */
  readonly onEvent: (message: string) => void
}

export class Restorer implements AsyncDisposable {
  readonly #options: RestorerOptions
  readonly #closing = new AbortController()
  readonly #following = new Set<Promise<void>>()

  constructor(options: RestorerOptions) {
    this.#options = options
  }

  /**
   * `place` is the replica of the request, `keys` are the domain's, of which the store is; `images` are what it lists,
   * where that was asked for before.
   * Errors: as restoreImage; with `resume` as Machines.resume: the image is here then.
   */
  async restore(
    request: RestoreRequest, place: Replica, keys: DomainKeys | null, call: CallOptions = {},
    images?: Promise<ReplicaImages>,
  ): Promise<RestoreResult> {
    const { engine, remote } = this.#options
    const env = systemEnv()
    const startMs = env.monotonicMs()
    let resuming: Promise<ResumeResult> | null = null
    const arrives = request.resume !== true ? undefined : (arriving: Arriving): void => {
      resuming = this.#options.machines().then((machines) => machines.resumeArriving(arriving, call))
      resuming.catch(() => undefined)
    }
    const replica = unsealedReplica(env, place, keys)
    const context = { env, engine, remote, replica, images, ...this.#hints(arrives === undefined), arrives }
    const restored = await restoreImage(context, request, call).catch(async (error: unknown) => {
      await resuming?.catch(() => undefined)
      throw error
    })
    const restoreMs = env.monotonicMs() - startMs
    const resumed = request.resume === true ? await this.#resumed(restored, resuming, call) : undefined
    const { fetchedBytes } = restored
    const { epoch: { image, number }, generation, key } = restored
    const rest = { image, epoch: number, key: generation === null ? null : key, url: request.url }
    if (!request.full) this.#follow(rest, keys)
    const more = request.full ? await this.#restOf(rest, keys, call) : 0
    return { ...restored, fetchedBytes: fetchedBytes + more, isWhole: request.full, restoreMs, resumed }
  }

  /** Of an epoch that was not seen coming it begins now. */
  async #resumed(
    { epoch: { image, number } }: Restored, resuming: Promise<ResumeResult> | null, call: CallOptions,
  ): Promise<ResumeResult> {
    const target = `${image}@${number}`
    try {
      const resumed = await resuming?.catch((error: unknown) => {
        if (!(error instanceof Superseded)) throw error
      })
      return resumed ?? await (await this.#options.machines()).resume({ target }, call)
    } catch (error) {
      throw notResumed(target, error)
    }
  }

  /** What a process before this one did not bring to its end goes on in the background. */
  async goOn(keys: DomainKeys | null): Promise<void> {
    const { engine } = this.#options
    const there = new Set((await engine.images()).map(({ image }) => image))
    for (const rest of await engine.unfinished()) {
      if (there.has(rest.image)) this.#follow(rest, keys)
      else await engine.finishRestore(rest)
    }
  }

  /** Ends what follows in the background: it goes on when chunks are read. Idempotent. */
  async close(): Promise<void> {
    this.#closing.abort()
    await Promise.all(this.#following)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Has the machines of this host ready for a resume, which may come later. What goes wrong, the resume will say. */
  #hints(isLater: boolean): Pick<RestoreContext, 'begun' | 'expect'> {
    const machines = this.#options.machines()
    const tell = (said: (host: Machines) => void): void => void machines.then(said).catch(() => undefined)
    machines.catch(() => undefined)
    return {
      begun: () => tell(({ expected }) => expected?.begin()),
      expect: (epoch) => isLater && tell(({ expected }) => expected?.expect(epoch)),
    }
  }

  #follow(rest: UnfinishedRestore, keys: DomainKeys | null): void {
    const following = this.#untilWhole(rest, keys).catch((error: unknown) => {
      if (!this.#closing.signal.aborted) this.#options.onEvent(`fetching in the background ended: ${messageOf(error)}`)
    }).finally(() => this.#following.delete(following))
    this.#following.add(following)
  }

  /** A replica that is away comes back: each reason why it does not go on is told once. */
  async #untilWhole(rest: UnfinishedRestore, keys: DomainKeys | null): Promise<void> {
    const { signal } = this.#closing
    let [pauseMs, told] = [backgroundDelayMs, '']
    for (;;) {
      await sleep(pauseMs, undefined, { signal, ref: false })
      try {
        const bytes = await this.#restOf(rest, keys, { signal, lanes: 1 })
        return this.#options.onEvent(`${rest.image}@${rest.epoch} is here as a whole: ${bytes} bytes were fetched in ` +
          'the background')
      } catch (error) {
        if (signal.aborted || !isCode(error, ...passing)) throw error
        if (messageOf(error) !== told) this.#options.onEvent(`fetching in the background waits: ${messageOf(error)}`)
        told = messageOf(error)
        pauseMs = Math.min(backgroundRetryMs, 2 * pauseMs)
      }
    }
  }

  /** Older epochs, then all chunks. Nothing more is wanted then, nor when the image has gone meanwhile. */
  async #restOf(rest: UnfinishedRestore, keys: DomainKeys | null, call: FetchAllOptions): Promise<number> {
    const { engine, remote } = this.#options
    const { image, epoch } = rest
    try {
      await this.#addEpochs(rest, keys, call)
      const bytes = await fetchRest({ engine, remote }, `${image}@${epoch}`, call)
      await engine.finishRestore({ image })
      return bytes
    } catch (error) {
      const isThere = (await engine.images()).some((each) => each.image === image)
      if (!isThere) await engine.finishRestore({ image })
      throw error
    }
  }

  async #addEpochs({ image, key, url }: UnfinishedRestore, keys: DomainKeys | null, call: CallOptions): Promise<void> {
    if (key === null) return
    await using replica = unsealedReplica(systemEnv(), openReplica(systemEnv(), url), keys)
    await addOlderEpochs({ engine: this.#options.engine, replica }, image, key, call)
  }
}
