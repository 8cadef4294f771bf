/**
 * Threads for serving workers. Loading their code takes longer than all the rest of a mount, so one may be
 * started ahead; it waits for its mount without keeping the process alive.
 */
import { Worker } from 'node:worker_threads'
import { entryUrl } from '../env/entry.ts'

let spare: Worker | null = null

/** Starts a thread that the next mount will find ready. */
export function warmServingThread(): void {
  if (spare !== null) return
  const thread = startThread()
  spare = thread
  thread.unref()
  const forget = (): void => {
    if (spare === thread) spare = null
  }
  thread.once('exit', forget)
  // One that could not be started is not missed: the next mount starts its own, and says why it cannot.
  thread.once('error', forget)
}

/** The caller posts it a WorkerStart. */
export function takeServingThread(): Worker {
  const thread = spare ?? startThread()
  spare = null
  thread.ref()
  return thread
}

function startThread(): Worker {
  return new Worker(entryUrl('./worker.ts', import.meta.url), {
    name: 'serving a mount', resourceLimits: { maxYoungGenerationSizeMb: 16 },
  })
}
