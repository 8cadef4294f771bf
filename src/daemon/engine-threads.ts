/** The engine's thread, which may be started before its store is known: loading its code takes the longest. */
import { Worker } from 'node:worker_threads'
import { entryUrl } from '../env/entry.ts'

let spare: Worker | null = null

/** Starts a thread that the next engine will find ready; it does not keep the process alive. */
export function warmEngineThread(): void {
  spare ??= startThread()
  spare.unref()
}

/** The caller posts it which store to open. */
export function takeEngineThread(): Worker {
  const thread = spare ?? startThread()
  spare = null
  thread.ref()
  return thread
}

function startThread(): Worker {
  return new Worker(entryUrl('./engine-thread.ts', import.meta.url), { name: 'engine' })
}
