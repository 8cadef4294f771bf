/** Two stores of one domain that write, fork, take images over from each other and collect, and die at any call. */
import test from 'ava'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemEnv } from '../../src/env/system.ts'
import { openReplica } from '../../src/replica/open.ts'
import { Random } from '../random.ts'
import { CollectedStore, type Expected, allRestore } from './collected-stores.ts'
import { place } from './places.ts'
import { epochsOn, imageKeys } from './node.ts'

/** HOLDFAST_COLLECT=2000: for an hour. */
const stepsWanted = Number(process.env['HOLDFAST_COLLECT'] ?? 30)
const stepsBetweenLooks = 12

test('whatever is written, forked, taken over and collected beside each other, and dies, what is there is whole', async (t) => {
  t.timeout(480_000 + stepsWanted * 5_000)
  const random = Random.announced(t)
  const expected: Expected = new Map()
  const counts: Record<string, number> = {}
  const count = (what: string, by = 1): void => { counts[what] = (counts[what] ?? 0) + by }
  const root = fs.mkdtempSync(join(tmpdir(), 'holdfast-collected-'))
  t.teardown(() => fs.rmSync(root, { recursive: true, force: true }))
  const { url } = place(t, root, 'replica')
  const replica = openReplica(systemEnv(), url)
  t.teardown(() => replica.close())
  const first = await CollectedStore.start(t, { image: 'vm', random, expected, url })
  await first.seal()
  await first.sync()
  const second = await CollectedStore.start(t, { image: 'other', of: first, random, expected, url })
  for (let step = 1; step <= stepsWanted; step++) {
    const store = random.pick([first, second])
    if (random.below(3) === 0) store.dieIn(1 + random.below(60))
    const choice = random.below(20)
    if (choice < 8) { await store.seal(); count('seals') }
    else if (choice < 11) count((await store.sync()) ? 'syncs' : 'syncs that died')
    else if (choice < 15) {
      const { error, removedPacks, removedEpochs } = await store.collect({ keepLast: 1 + random.below(4) })
      // An image that another store has taken over gets its new name at any moment: the next collection sees it so.
      const isRenamed = error !== null && /^there is no image/.test(error)
      if (error !== null && !store.isDead && !isRenamed) throw new Error(error)
      count(error === null ? 'collections' : 'collections that died')
      count('packs removed', removedPacks)
      count('epochs removed', removedEpochs.length)
    } else {
      if (await store.restore(replica, choice < 18 ? 'fork' : 'takeover')) count(choice < 18 ? 'forks' : 'takeovers')
    }
    if (store.isDead) { await store.restart(); count('deaths') }
    if (step % stepsBetweenLooks === 0) count('restores', await allRestore(t, replica, url, root, expected))
  }
  for (const store of [first, second]) {
    // Whatever was to kill it comes no more.
    await store.restart()
    await store.sync()
    t.is((await store.collect({ keepLast: 2 })).error, null)
  }
  count('restores', await allRestore(t, replica, url, root, expected))
  for (const key of await imageKeys(replica)) t.true((await epochsOn(replica, key)).length > 0, key)
  t.log(JSON.stringify(counts))
  t.true(counts['restores'] > 0)
})
