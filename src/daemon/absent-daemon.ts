/** Answers the verbs about the daemon when none runs: there is nothing to stop, and that is its status. */
import type { VerbCaller } from './caller.ts'
import { requireStore } from './control-files.ts'
import type { DaemonStatus } from './verb.ts'
import { checkedArguments, verbNamed, type GivenOf, type ResultOf, type VerbName } from './verbs.ts'

export class AbsentDaemonCaller implements VerbCaller {
  readonly #store: string

  constructor(store: string) {
    this.#store = store
  }

  async call<V extends VerbName>(name: V, given: GivenOf<V>): Promise<ResultOf<V>> {
    checkedArguments(verbNamed(name), given)
    requireStore(this.#store)
    const status: DaemonStatus = {
      running: false, pid: null, servingPid: null, directory: this.#store, version: null, protocol: null,
      startedMs: null, clients: 0, replacements: 0, survivesKills: false, mounts: [], machines: [], replicas: [],
      garbage: null,
    }
    return status as ResultOf<V>
  }

  async close(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {}
}
