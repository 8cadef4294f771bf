/**
 * Runs verbs in the store's daemon. The daemon checks the arguments; its results are trusted to be as typed.
 *
 * The daemon's serving process may be replaced. One that retires says that it did not begin a call, which is then
 * made again. Of one that was killed nobody knows which calls took effect: those that only look are made again,
 * the callers of others are told so.
 */
import { HoldfastError, isCode } from '../errors.ts'
import type { VerbCaller } from './caller.ts'
import { ControlClient } from './client.ts'
import type { ClientCallOptions } from './client.ts'
import type { GivenOf, ResultOf, VerbName } from './verbs.ts'

const looking: ReadonlySet<VerbName> = new Set([
  'images', 'log', 'show', 'diff', 'stats', 'mounts', 'vm status', 'vm console', 'daemon status', 'daemon start',
  'key list',
])

export class DaemonCaller implements VerbCaller {
  readonly #store: string
  #client: ControlClient
  #connecting: Promise<boolean> | null = null
  #isClosed = false

  /** Takes the client over: `close` closes it. */
  constructor(store: string, client: ControlClient) {
    this.#store = store
    this.#client = client
  }

  async call<V extends VerbName>(name: V, given: GivenOf<V>, options: ClientCallOptions = {}): Promise<ResultOf<V>> {
    const result = await this.#call(name, given, options)
    if (name === 'daemon stop') await this.#client.closed
    return (name === 'daemon restart' ? await this.#restarted() : result) as ResultOf<V>
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await this.#client.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #call(name: VerbName, given: object, options: ClientCallOptions): Promise<unknown> {
    for (let deaths = 0; ;) {
      if (this.#client.isOver && !this.#isClosed) await this.#connectAgain()
      const client = this.#client
      try {
        return await client.call(name, given, options)
      } catch (error) {
        if (!isCode(error, 'DAEMON') || !client.isLost || !await this.#connectAgain()) throw error
        if (client.isMoved) continue
        deaths += 1
        if (!looking.has(name)) throw replacedMeanwhile(name, error)
        if (deaths > 1) throw error
      }
    }
  }

  /** The old process answered and is being replaced; the new one says that it serves. */
  async #restarted(): Promise<unknown> {
    await this.#client.closed
    if (await this.#connectAgain()) return this.#client.call('daemon status', {})
    throw new HoldfastError('DAEMON', 'the daemon ended instead of being restarted: its log may say why')
  }

  /** Once for all calls that wait for it; false when no daemon runs. */
  #connectAgain(): Promise<boolean> {
    if (!this.#client.isOver) return Promise.resolve(true)
    this.#connecting ??= this.#connect().finally(() => (this.#connecting = null))
    return this.#connecting
  }

  async #connect(): Promise<boolean> {
    const client = await ControlClient.connect(this.#store)
    if (client !== null) this.#client = client
    return client !== null
  }
}

function replacedMeanwhile(name: VerbName, cause: unknown): HoldfastError {
  return new HoldfastError('DAEMON', `the serving process was replaced before it answered "${name}": see whether ` +
    'it took effect, and call it again', { cause })
}
