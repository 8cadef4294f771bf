/** Fetching threads, which may be started before there is a replica to read; the first message is a FetcherStart. */
import { Worker } from 'node:worker_threads'
import { entryUrl } from '../../env/entry.ts'
import { SpareThread } from '../../env/spare-thread.ts'

export const fetchThreads = new SpareThread(() => {
  return new Worker(entryUrl('./fetch-thread.ts', import.meta.url), { name: 'reading from replicas' })
})
