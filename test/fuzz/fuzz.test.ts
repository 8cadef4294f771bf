/**
 * Every decoder against bytes that nobody sound would send: nothing but values and coded errors, no allocation beyond
 * what the bytes and the limits allow, no hang. `HOLDFAST_FUZZ_SECONDS` for long runs, `HOLDFAST_SEED` to repeat one;
 * what is found goes to the corpus.
 */
import { Buffer } from 'node:buffer'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import test from 'ava'
import { Random } from '../random.ts'
import type { FuzzJob, FuzzResult } from './worker.ts'

const seconds = Number(process.env.HOLDFAST_FUZZ_SECONDS ?? 5)
const hangMs = 60_000
const sharedBytes = 2 * 1024 * 1024

test('no bytes from outside crash, hang or bloat a decoder', async (t) => {
  t.timeout((seconds + 300) * 1000)
  const seed = Random.announced(t).below(2 ** 32)
  const shared = new SharedArrayBuffer(sharedBytes)
  const job: FuzzJob = { seed, seconds, shared }
  const worker = new Worker(new URL('./worker.ts', import.meta.url), { workerData: job })
  const result = Promise.withResolvers<FuzzResult>()
  worker.on('message', result.resolve).on('error', result.reject)
  worker.on('exit', () => result.reject(new Error(`the thread ended at ${presentInput(shared)}`)))
  const stop = new AbortController()
  try {
    const { executions, failures } = await Promise.race([result.promise, hang(shared, stop.signal)])
    t.deepEqual(failures, [])
    for (const [name, count] of Object.entries(executions)) t.log(`${name}: ${count} inputs`)
    t.true(Object.values(executions).every((count) => count > 20), JSON.stringify(executions))
  } finally {
    stop.abort()
    await worker.terminate()
  }
})

/** Rejects when no input was begun for so long: the present one is at fault. */
async function hang(shared: SharedArrayBuffer, signal: AbortSignal): Promise<never> {
  const words = new Int32Array(shared, 0, 2)
  for (let before = -1; ;) {
    await sleep(hangMs, undefined, { signal })
    const count = Atomics.load(words, 0)
    if (count === before) throw new Error(`a decoder hangs: ${presentInput(shared)}`)
    before = count
  }
}

function presentInput(shared: SharedArrayBuffer): string {
  const [, length] = new Int32Array(shared, 0, 2)
  return Buffer.from(Buffer.from(shared, 8, length)).toString()
}
