/**
 * New keys for a whole store, broken off by a killed process or a power loss at any point. `HOLDFAST_CRASHES=N` tries
 * every kind of loss at every point of N recordings; HOLDFAST_SEED repeats a run.
 */
import fs from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import test from 'ava'
import { Random } from '../random.ts'
import { powerLossNames } from './power-losses.ts'
import { QuickDirectory } from './quick-directory.ts'

process.env['HOLDFAST_TEST_ENCRYPTED'] = 'yes'
const { KeyRotation } = await import('./key-rotation.ts')

const recordings = Number(process.env.HOLDFAST_CRASHES ?? 0)
/** Where time is short, one point of so many. */
const pointsApart = recordings > 0 ? 1 : 4

test('a rotation of keys that is broken off at any point loses nothing, and a second one ends it', async (t) => {
  t.timeout(6 * 3600 * 1000)
  const random = Random.announced(t)
  using parent = new QuickDirectory('hf-keys-')
  for (let round = 0; round < Math.max(1, recordings); round += 1) {
    const place = join(parent.path, String(round))
    fs.mkdirSync(place)
    const rotation = await KeyRotation.record(random, place)
    const faults: string[] = []
    let [points, states] = [0, 0]
    for (let at = rotation.begin; at <= rotation.end + 4; at += 1 + random.below(2 * pointsApart - 1)) {
      const losses = recordings > 0 ? powerLossNames : [random.pick(powerLossNames)]
      for (const loss of losses) faults.push(...await rotation.faultsAt(at, loss))
      points += 1
      states += losses.length
    }
    t.log(`${points} points, ${states} states, ${faults.length} faults`)
    // A long run tells of them before it is over.
    for (const fault of faults.slice(0, 10)) t.log(fault)
    t.deepEqual(faults.slice(0, 10), [])
  }
})
