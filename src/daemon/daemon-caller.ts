/** Runs verbs in the store's daemon. The daemon checks the arguments; its results are trusted to be as typed. */
import type { VerbCaller } from './caller.ts'
import type { ClientCallOptions, ControlClient } from './client.ts'
import type { GivenOf, ResultOf, VerbName } from './verbs.ts'

export class DaemonCaller implements VerbCaller {
  readonly #client: ControlClient

  /** Takes the client over: `close` closes it. */
  constructor(client: ControlClient) {
    this.#client = client
  }

  async call<V extends VerbName>(name: V, given: GivenOf<V>, options: ClientCallOptions = {}): Promise<ResultOf<V>> {
    const result = await this.#client.call(name, given, options)
    if (name === 'daemon stop') await this.#client.closed
    return result as ResultOf<V>
  }

  async close(): Promise<void> {
    await this.#client.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
