import test from 'ava'
import { Random } from '../random.ts'
import { CollectorWalk } from './collector-walk.ts'

/** HOLDFAST_GC_STEPS=1000000: half a minute. */
const stepsWanted = Number(process.env['HOLDFAST_GC_STEPS'] ?? 200_000)

test('a long walk of writers, forks and collectors, with the code that runs', async (t) => {
  t.timeout(600_000 + stepsWanted * 20)
  const walk = new CollectorWalk(Random.announced(t))
  await walk.run(stepsWanted)
  t.log(JSON.stringify(walk.counts))
  t.is(walk.fault, null)
  const { published, forks, removedPacks, replacedPacks } = walk.counts
  t.true(published > 0 && forks > 0 && removedPacks > 0 && replacedPacks > 0)
})
