/** The engine's thread, which may be started before its store is known; the first message says which store to open. */
import { Worker } from 'node:worker_threads'
import { entryUrl } from '../env/entry.ts'
import { SpareThread } from '../env/spare-thread.ts'

export const engineThreads = new SpareThread(() => {
  // What it makes is short-lived, a node or a record: with a large nursery a collection of garbage takes 100 MB more.
  return new Worker(entryUrl('./engine-thread.ts', import.meta.url), {
    name: 'engine', resourceLimits: { maxYoungGenerationSizeMb: 6 },
  })
})
