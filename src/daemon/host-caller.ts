/** Runs verbs in this process. */
import { HoldfastError } from '../errors.ts'
import type { CallOptions } from '../image/types.ts'
import type { VerbCaller } from './caller.ts'
import type { Host } from './host.ts'
import { tellingOfDamage } from './lost-chunk.ts'
import { checkedArguments, verbNamed, type GivenOf, type ResultOf, type VerbName } from './verbs.ts'

export class HostCaller implements VerbCaller {
  readonly #host: Host

  /** Takes the host over: `close` closes it. */
  constructor(host: Host) {
    this.#host = host
  }

  async call<V extends VerbName>(name: V, given: GivenOf<V>, options: CallOptions = {}): Promise<ResultOf<V>> {
    const verb = verbNamed(name)
    const args = checkedArguments(verb, given)
    if (verb.place === 'control') throw new HoldfastError('UNSUPPORTED', `"${name}" is for a daemon, and this is none`)
    if (options.signal?.aborted) throw new HoldfastError('ABORTED', 'stopped before it began')
    return await tellingOfDamage(() => verb.run({ host: this.#host, ...options }, args)) as ResultOf<V>
  }

  async close(): Promise<void> {
    await this.#host.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
