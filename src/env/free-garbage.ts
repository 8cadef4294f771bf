/**
 * Gives memory back that this thread needs no more, for one that is about to wait: the runtime itself does so only
 * while there is work. It takes some milliseconds, and what was compiled stays.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

type Collect = (how: { readonly type: 'major'; readonly execution: 'sync' }) => void

let collect: Collect | undefined

export function freeGarbage(): void {
  collect ??= collector()
  collect({ type: 'major', execution: 'sync' })
}

/** V8 has it behind a flag, and in a context that is made while that is set. */
function collector(): Collect {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc') as Collect
}
