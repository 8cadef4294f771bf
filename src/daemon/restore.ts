/**
 * Restores images from replicas into this store. What is not needed at once follows in the background, until the host
 * is closed: the records of older epochs, then all chunks of the epoch.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { DomainKeys } from '../crypto/domain-keys.ts'
import { systemEnv } from '../env/system.ts'
import { messageOf } from '../errors.ts'
import type { Engine } from '../image/engine.ts'
import { addOlderEpochs, fetchRest } from '../image/remote/fetch-all.ts'
import type { RemoteRecords } from '../image/remote/remote-records.ts'
import { restoreImage } from '../image/remote/restore.ts'
import type { Arriving } from '../image/remote/arriving.ts'
import type { RestoreContext, Restored } from '../image/remote/restore.ts'
import type { CallOptions } from '../image/types.ts'
import { Superseded, notResumed } from '../machine/arrival.ts'
import type { Machines } from '../machine/machines.ts'
import { openReplica } from '../replica/open.ts'
import type { Replica } from '../replica/replica.ts'
import { unsealedReplica } from '../replica/sealed-replica.ts'
import type { RestoreRequest, RestoreResult, ResumeResult } from './host.ts'

/** What follows does not get in the way of a resume that comes right after. */
const backgroundDelayMs = 3_000

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
   * `place` is the replica of the request, `keys` are the domain's, of which the store is.
   * Errors: as restoreImage; with `resume` as Machines.resume: the image is here then.
   */
  async restore(
    request: RestoreRequest, place: Replica, keys: DomainKeys | null, call: CallOptions = {},
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
    const context = { env, engine, remote, replica, ...this.#hints(arrives === undefined), arrives }
    const restored = await restoreImage(context, request, call).catch(async (error: unknown) => {
      await resuming?.catch(() => undefined)
      throw error
    })
    const restoreMs = env.monotonicMs() - startMs
    const resumed = request.resume === true ? await this.#resumed(restored, resuming, call) : undefined
    const { fetchedBytes } = restored
    if (!request.full) this.#follow(this.#rest(restored, request.url, keys))
    const more = request.full ? await this.#restNow(restored, request.url, keys, call) : 0
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

  async #restNow(restored: Restored, url: string, keys: DomainKeys | null, call: CallOptions): Promise<number> {
    const { engine, remote } = this.#options
    const bytes = await fetchRest({ engine, remote }, `${restored.epoch.image}@${restored.epoch.number}`, call)
    await this.#addEpochs(restored, url, keys)
    return bytes
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

  #follow(work: Promise<void>): void {
    const following = work.catch((error: unknown) => {
      if (!this.#closing.signal.aborted) this.#options.onEvent(`fetching in the background ended: ${messageOf(error)}`)
    }).finally(() => this.#following.delete(following))
    this.#following.add(following)
  }

  async #rest(restored: Restored, url: string, keys: DomainKeys | null): Promise<void> {
    const address = `${restored.epoch.image}@${restored.epoch.number}`
    const { signal } = this.#closing
    await sleep(backgroundDelayMs, undefined, { signal, ref: false })
    await this.#addEpochs(restored, url, keys)
    const { engine, remote, onEvent } = this.#options
    const bytes = await fetchRest({ engine, remote }, address, { signal, lanes: 1 })
    onEvent(`${address} is here as a whole: ${bytes} bytes were fetched in the background`)
  }

  async #addEpochs({ generation, key, epoch }: Restored, url: string, keys: DomainKeys | null): Promise<void> {
    if (generation === null) return
    await using replica = unsealedReplica(systemEnv(), openReplica(systemEnv(), url), keys)
    await addOlderEpochs({ engine: this.#options.engine, replica }, epoch.image, key, { signal: this.#closing.signal })
  }
}
