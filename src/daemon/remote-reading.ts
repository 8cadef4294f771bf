/** What a host reads from replicas; the code for it is loaded when the store has chunks on replicas only. */
import type { Engine } from '../image/engine.ts'
import type { RemoteRecords } from '../image/remote/remote-records.ts'
import type { Joined } from '../image/remote/join.ts'
import type { CallOptions } from '../image/types.ts'
import type { Machines } from '../machine/machines.ts'
import type { Replica } from '../replica/replica.ts'
import type { GivenSecret } from '../store/keys.ts'
import type { RecordFinds, RestoreRequest, RestoreResult } from './host.ts'
import type { Restorer } from './restore.ts'

export class RemoteReading implements AsyncDisposable {
  readonly #engine: Engine
  readonly #machines: () => Promise<Machines>
  readonly #isBackground: boolean
  readonly #onEvent: (message: string) => void
  #records: RemoteRecords | undefined
  #restorer: Restorer | undefined

  /** `isBackground`: for a daemon, which has time; `onEvent`: a sentence for the log. */
  constructor(
    engine: Engine, machines: () => Promise<Machines>, isBackground: boolean, onEvent: (message: string) => void,
  ) {
    this.#engine = engine
    this.#isBackground = isBackground
    this.#machines = machines
    this.#onEvent = onEvent
  }

  /** Undefined where everything is here. */
  get records(): RemoteRecords | undefined {
    return this.#records
  }

  /** Reads from the replicas that the store names, and goes on with what a process before did not bring to its end. */
  async begin(): Promise<void> {
    const urls = await this.#engine.sources()
    if (urls.length === 0) return
    (await this.#started()).use(urls)
    if (!this.#isBackground || (await this.#engine.unfinished()).length === 0) return
    const { openedKeys } = await import('../image/remote/join.ts')
    const { systemEnv } = await import('../env/system.ts')
    await (await this.#restoring()).goOn(await openedKeys(systemEnv(), this.#engine))
  }

  /** For a repair, also from replicas that get what is sealed here: they may have what was lost since. */
  async alsoFrom(urls: readonly string[]): Promise<void> {
    const sources = await this.#engine.sources()
    const all = [...new Set([...sources, ...urls])]
    if (all.length > sources.length) (await this.#started()).use(all)
  }

  /** What these replicas have of epochs that are not to be had here. Errors: ABORTED, those of the engine. */
  async epochRecords(urls: readonly string[], options: CallOptions = {}): Promise<RecordFinds> {
    const all = [...new Set([...urls, ...await this.#engine.sources()])]
    if (all.length === 0) return { copies: [], faults: [], notes: [] }
    const { searchRecords } = await import('./record-search.ts')
    return searchRecords(this.#engine, all, options)
  }

  /** With the keys that the store has now. */
  async beginAgain(): Promise<void> {
    await this.#end()
    await this.begin()
  }

  /** Errors: as joinReplica and restoreImage. */
  async restore(
    { passphrase, keyFile, ...request }: RestoreRequest, options: CallOptions = {},
  ): Promise<RestoreResult> {
    const { openReplica } = await import('../replica/open.ts')
    const { systemEnv } = await import('../env/system.ts')
    const { listReplicaImages } = await import('../replica/image-list.ts')
    await using replica = openReplica(systemEnv(), request.url)
    // Asked for beside the domain, which is seldom encrypted: then this is of no use.
    const listing = listReplicaImages(replica, options)
    listing.catch(() => undefined)
    const { keys, isNew } = await this.#join(replica, { passphrase, keyFile }, options)
    // What was begun for the domain before reads with its keys.
    if (isNew) await this.#end()
    return await (await this.#restoring()).restore(request, replica, keys, options, keys === null ? listing : undefined)
  }

  /** Idempotent. To be called before the engine is closed. */
  close(): Promise<void> {
    return this.#end()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #join(replica: Replica, given: GivenSecret, options: CallOptions): Promise<Joined> {
    const { joinReplica } = await import('../image/remote/join.ts')
    const { systemEnv } = await import('../env/system.ts')
    return joinReplica({ env: systemEnv(), engine: this.#engine, replica }, given, options)
  }

  async #restoring(): Promise<Restorer> {
    const { Restorer } = await import('./restore.ts')
    const remote = await this.#started()
    this.#restorer ??= new Restorer({
      engine: this.#engine, remote, machines: this.#machines, onEvent: this.#onEvent,
    })
    return this.#restorer
  }

  async #end(): Promise<void> {
    await this.#restorer?.close()
    await this.#records?.close()
    this.#restorer = undefined
    this.#records = undefined
  }

  async #started(): Promise<RemoteRecords> {
    const { RemoteRecords } = await import('../image/remote/remote-records.ts')
    const engine = this.#engine
    const secret = await engine.readerSecret()
    this.#records ??= new RemoteRecords({
      directory: engine.directory, secret, attach: (port) => engine.attachSource(port),
      keep: (parcel) => engine.keepRecords({ parcel }), onEvent: this.#onEvent,
    })
    return this.#records
  }
}
