import test from 'ava'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemEnv } from '../../src/env/system.ts'
import { openReplica } from '../../src/replica/open.ts'
import { race } from './races.ts'

/** Two races each; RACES for more. */
const rounds = Number(process.env.RACES ?? 500)

test(`two nodes race for ${rounds} images in a directory, twice each: one wins, and both know`, async (t) => {
  t.timeout(600_000)
  const root = fs.mkdtempSync(join(tmpdir(), 'holdfast-races-'))
  t.teardown(() => fs.rmSync(root, { recursive: true }))
  const [one, other] = [1, 2].map(() => openReplica(systemEnv(), `file://${root}`))
  const { winners, faults } = await race([one, other], rounds)
  t.deepEqual(faults, [])
  t.log(`wins: ${winners.join(' and ')}`)
  t.is(winners[0] + winners[1], 2 * rounds)
  await Promise.all([one.close(), other.close()])
})
