/** Pushing threads, which may be started before the first machine; the first message is a PushStart. */
import { Worker } from 'node:worker_threads'
import { entryUrl } from '../env/entry.ts'
import { SpareThread } from '../env/spare-thread.ts'

export const pushingThreads = new SpareThread(() => {
  return new Worker(entryUrl('./push-worker.ts', import.meta.url), { name: 'pushing pages' })
})
