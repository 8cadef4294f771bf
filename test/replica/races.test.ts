import test from 'ava'
import { once } from 'node:events'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { systemEnv } from '../../src/env/system.ts'
import { newestGeneration } from '../../src/replica/feed/ownership.ts'
import { openReplica } from '../../src/replica/open.ts'
import { keyOf } from './races.ts'

/** Two races each; RACES for more. */
const rounds = Number(process.env.RACES ?? 500)

test(`two threads race for ${rounds} images in a directory, twice each: one wins, and both know`, async (t) => {
  t.timeout(600_000)
  const root = fs.mkdtempSync(join(tmpdir(), 'holdfast-races-'))
  t.teardown(() => fs.rmSync(root, { recursive: true }))
  const url = `file://${root}`
  const shared = new SharedArrayBuffer(4 * 4 * rounds)
  const won = await Promise.all([0, 1].map(async (at) => {
    const thread = new Worker(new URL('racing-thread.ts', import.meta.url), { workerData: { url, at, rounds, shared } })
    const [races] = await once(thread, 'message') as [string[]]
    return new Set(races)
  }))
  await using replica = openReplica(systemEnv(), url)
  const faults: string[] = []
  for (let round = 0; round < rounds; round++) {
    for (const from of [0, 1]) {
      const race = `${round} ${from}`
      if (Number(won[0].has(race)) + Number(won[1].has(race)) !== 1) faults.push(`${race}: ${won.map((each) => each.has(race)).join()}`)
    }
    const newest = await newestGeneration(replica, keyOf(round), {})
    const isRight = newest?.number === 2 && newest.isOpen && won[newest.owner.image === 'a' ? 0 : 1].has(`${round} 1`)
    if (!isRight) faults.push(`${round} ended as generation ${newest?.number} of ${newest?.owner.image}`)
  }
  t.deepEqual(faults, [])
  t.log(`wins: ${won.map(({ size }) => size).join(' and ')}`)
  // A race that always ends one way is none.
  t.true(rounds < 50 || won.every(({ size }) => size > 0))
})
