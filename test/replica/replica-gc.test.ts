/** Garbage of directory replicas, through the replicator. */
import test from 'ava'
import fs from 'node:fs'
import { join } from 'node:path'
import { stayingBy } from '../../src/image/collection/replica-retention.ts'
import type { GarbageRequest } from '../../src/image/collection/types.ts'
import type { ReplicaGarbage } from '../../src/replica/collection/replica-garbage.ts'
import { isWhole, levelOf, publishedNumbers, takeOver, until } from './node.ts'
import { directoryNode } from './places.ts'
import type { ReplicatedNode } from './node.ts'

/** In the store, then on its replicas. */
async function collect(made: ReplicatedNode, rules: GarbageRequest): Promise<ReplicaGarbage[]> {
  // A head that is open reads by older manifests, too.
  await made.work.close()
  const report = await made.work.engine.collectGarbage({ maxUnused: 0, ...rules })
  await made.work.open()
  const { isComplete, goingPacks, removedEpochs } = report
  const dryRun = rules.dryRun === true ? { epochs: new Set(removedEpochs.map(({ epoch }) => epoch)), packs: new Set(goingPacks) } : null
  return made.replicator.collect({ decide: stayingBy(rules), isComplete, dryRun }, {})
}

test('epochs that no rule keeps go, and what they alone needed', async (t) => {
  const { node: made, places: [at], key } = await directoryNode(t)
  for (const text of ['one', 'two', 'three', 'four']) {
    made.fill('noise', 2 ** 20)
    await made.seal(text)
  }
  await until('four epochs', async () => (await levelOf(made, 4)).have === 1)
  const before = (await at.replica.usage()).objectBytes
  const [dry] = await collect(made, { keepLast: 1, dryRun: true })
  t.like(dry, { error: null, removedEpochs: { length: 4 }, keptEpochs: 1 })
  t.is((await at.replica.usage()).objectBytes, before)
  const [report] = await collect(made, { keepLast: 1 })
  t.like(report, { error: null, keptEpochs: 1, removedEpochs: ['vm@0', 'vm@1', 'vm@2', 'vm@3'], skipped: [] })
  t.true(report.removedPacks >= 1 && report.freedBytes > 3 * 2 ** 20, JSON.stringify(report))
  t.is(dry.removedPacks, report.removedPacks)
  t.deepEqual(await publishedNumbers(at.replica, key), [4])
  t.true((await at.replica.usage()).objectBytes < before / 2)
  await isWhole(t, made, at, { 'vm@4': 'four' })
  for (const directory of ['condemned', 'deleting', 'intents']) t.deepEqual(fs.readdirSync(join(at.root, directory)), [], directory)
  // It goes on, and a second collection finds nothing.
  await made.seal('five')
  await until('one more', async () => (await levelOf(made, 5)).have === 1)
  t.like((await collect(made, { keepLast: 2 }))[0], { removedEpochs: [], removedPacks: 0, keptEpochs: 2 })
  await made.restart(t)
  await made.seal('six')
  await until('one more', async () => (await levelOf(made, 6)).have === 1)
  t.deepEqual(await publishedNumbers(at.replica, key), [4, 5, 6])
  await isWhole(t, made, at, { 'vm@4': 'four', 'vm@6': 'six' })
})

test('a collector that was replaced removes nothing', async (t) => {
  const { node: made, places: [at], key } = await directoryNode(t)
  for (const text of ['one', 'two', 'three']) {
    made.fill('noise', 2 ** 20)
    await made.seal(text)
  }
  await until('three epochs', async () => (await levelOf(made, 3)).have === 1)
  await takeOver(at.replica, key)
  const before = await at.replica.usage()
  t.like((await collect(made, { keepLast: 1 }))[0], { removedEpochs: [], removedPacks: 0 })
  t.deepEqual(await publishedNumbers(at.replica, key), [0, 1, 2, 3])
  const packs = (directory: string): string[] => fs.readdirSync(join(at.root, directory))
  t.true((await at.replica.usage()).objectBytes >= before.objectBytes, packs('packs').join())
})
