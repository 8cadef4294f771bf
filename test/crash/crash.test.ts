/**
 * The power goes at every point of a recorded use of a store: between any two writes, syncs, renames and the like.
 * `HOLDFAST_CRASHES=N` tries every kind of loss at every point of N recordings; HOLDFAST_SEED repeats a run.
 */
import process from 'node:process'
import test from 'ava'
import { isEncrypted } from '../image/variant.ts'
import { Random } from '../random.ts'
import { powerLossNames } from './power-losses.ts'
import { CrashRun } from './run.ts'
import { collected, comingAndGoing, everyVerb, manyPacks, manySegments, nameless, repaired, replicated, shortly } from './scripts.ts'

const recordings = Number(process.env.HOLDFAST_CRASHES ?? 0)

const everything = {
  'any use': everyVerb,
  'many segments': manySegments,
  'epochs and images that come and go': comingAndGoing,
  'an open file without a name': nameless,
  'packs that fill up': manyPacks,
  // What judges a replica here reads it without keys.
  ...(isEncrypted ? {} : { 'a store and its replica': replicated }),
  'collections of garbage': collected,
  'repairs of what went bad': repaired,
}

/** Encryption changes how bytes are laid out, not when they are synced: a little shows it where time is short. */
const scripts = isEncrypted && recordings === 0 ? { 'a short use': shortly } : everything

for (const [use, script] of Object.entries(scripts)) {
  test.serial(`a power loss at any point of ${use} loses nothing that was acknowledged`, async (t) => {
    t.timeout(6 * 3600 * 1000)
    const random = Random.announced(t)
    const isLong = recordings > 0
    for (let round = 0; round < Math.max(1, recordings); round += 1) {
      const { points, states, secondCrashes, faults } = await CrashRun.run(random, {
        script, lossesPerPoint: isLong ? powerLossNames.length : 1, secondCrashEvery: isLong ? 3 : 10,
      })
      t.log(`${points} points, ${states} states, ${secondCrashes} of them after a second loss, ${faults.length} faults`)
      // A long run tells of them before it is over.
      for (const fault of faults.slice(0, 10)) t.log(fault)
      t.deepEqual(faults, [])
    }
  })
}
