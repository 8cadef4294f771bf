/** One of two threads that race for images: both begin each race at the same moment. Says at the end which it won. */
import { parentPort, workerData } from 'node:worker_threads'
import { systemEnv } from '../../src/env/system.ts'
import { openReplica } from '../../src/replica/open.ts'
import { contender, keyOf } from './races.ts'

const { url, at, rounds, shared } = workerData as { url: string; at: number; rounds: number; shared: SharedArrayBuffer }
const arrived = new Int32Array(shared)
await using replica = openReplica(systemEnv(), url)
const won: string[] = []

/** Returns when both are here. */
function meet(race: number): void {
  if (Atomics.add(arrived, race, 1) === 0) Atomics.wait(arrived, race, 1, 60_000)
  else Atomics.notify(arrived, race)
}

for (let round = 0; round < rounds; round++) {
  for (const from of [0, 1]) {
    const node = contender(replica, keyOf(round), round, at, from)
    meet(2 * round + from)
    if (await node.takeOver(from, {})) won.push(`${round} ${from}`)
    // Neither goes on before both know: the second race is for what the first one left.
    meet(2 * rounds + 2 * round + from)
  }
}
parentPort?.postMessage(won)
