/** One way to run verbs, wherever they run. The command line and the library are written against this. */
import type { CallOptions } from '../image/types.ts'
import type { GivenOf, ResultOf, VerbName } from './verbs.ts'

export interface VerbCaller extends AsyncDisposable {
  /** Checks the arguments, then runs the verb. Rejects with a HoldfastError. */
  call<V extends VerbName>(verb: V, args: GivenOf<V>, options?: CallOptions): Promise<ResultOf<V>>
  /** Idempotent. */
  close(): Promise<void>
}
