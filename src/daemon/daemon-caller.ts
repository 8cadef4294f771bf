/**
 * Runs verbs in the store's daemon. The daemon checks the arguments; its results are trusted to be as typed.
 *
 * The daemon's serving process may be replaced while it answers. Verbs that only look are then called again;
 * of the others nobody knows whether they took effect, and the caller is told so.
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
    if (this.#client.isOver && !this.#isClosed) await this.#connectAgain()
    try {
      return await this.#client.call(name, given, options)
    } catch (error) {
      if (!isCode(error, 'DAEMON') || !this.#client.isLost || !await this.#connectAgain()) throw error
      if (looking.has(name)) return this.#client.call(name, given, options)
      throw new HoldfastError('DAEMON', `the serving process was replaced before it answered "${name}": see whether ` +
        'it took effect, and call it again', { cause: error })
    }
  }

  /** The old process answered and is being replaced; the new one says that it serves. */
  async #restarted(): Promise<unknown> {
    await this.#client.closed
    if (await this.#connectAgain()) return this.#client.call('daemon status', {})
    throw new HoldfastError('DAEMON', 'the daemon ended instead of being restarted: its log may say why')
  }

  /** False when no daemon runs. */
  async #connectAgain(): Promise<boolean> {
    const client = await ControlClient.connect(this.#store)
    if (client !== null) this.#client = client
    return client !== null
  }
}
