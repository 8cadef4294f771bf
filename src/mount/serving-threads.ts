/** Threads of serving workers, which may be started before their mounts; the first message is a WorkerStart. */
import { Worker } from 'node:worker_threads'
import { entryUrl } from '../env/entry.ts'
import { SpareThread } from '../env/spare-thread.ts'

export const servingThreads = new SpareThread(() => {
  return new Worker(entryUrl('./worker.ts', import.meta.url), {
    name: 'serving a mount', resourceLimits: { maxYoungGenerationSizeMb: 16 },
  })
})
