/** Runs verbs that concern no store of this machine. */
import { HoldfastError } from '../errors.ts'
import type { CallOptions } from '../image/types.ts'
import type { VerbCaller } from './caller.ts'
import type { Host } from './host.ts'
import { checkedArguments, verbNamed, type GivenOf, type ResultOf, type VerbName } from './verbs.ts'

/** A verb of place `aside` that asks for a host anyhow is told so. */
const noHost = new Proxy({}, {
  get: () => {
    throw new HoldfastError('USAGE', 'this needs a store: give --store DIR or set HOLDFAST_STORE')
  },
}) as Host

export class AsideCaller implements VerbCaller {
  async call<V extends VerbName>(name: V, given: GivenOf<V>, options: CallOptions = {}): Promise<ResultOf<V>> {
    const verb = verbNamed(name)
    return await verb.run({ host: noHost, ...options }, checkedArguments(verb, given)) as ResultOf<V>
  }

  async close(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {}
}
