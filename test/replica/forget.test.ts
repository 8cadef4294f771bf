/** Images that were removed from their store go from its replicas when somebody says so, and only then. */
import { Buffer } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { readReplicaImage } from '../../src/replica/image-list.ts'
import { imageKey } from '../../src/replica/layout.ts'
import { dyingReplicas } from './dying-replica.ts'
import { type ReplicatedNode, collect, imageKeys, isWhole, publishedNumbers, takeOver, until } from './node.ts'
import { type Place, directoryNode } from './places.ts'

/** An image over a file that nothing else has, brought to all replicas. Returns its key. */
async function another(made: ReplicatedNode, image: string): Promise<string> {
  const file = join(made.work.rig.parent, `${image}.raw`)
  fs.writeFileSync(file, randomBytes(2 ** 20))
  await made.work.engine.createImage({ image, base: [file] })
  await synced(made)
  const { id } = (await made.work.engine.images()).find((each) => each.image === image)!
  return imageKey(Buffer.from(id, 'hex'))
}

async function synced(made: ReplicatedNode): Promise<void> {
  for (const { name } of made.registry.entries()) await made.replicator.sync(name, {})
}

async function usage({ replica }: Place): Promise<number> {
  return (await replica.usage()).objectBytes
}

test('a removed image stays on the replicas until it is forgotten there; all else stays', async (t) => {
  const { node: made, places, key } = await directoryNode(t, 2)
  await made.seal('one')
  const other = await another(made, 'other')
  await made.work.engine.remove({ target: 'other' })
  for (const report of await collect(made, {})) t.deepEqual(report.skipped, [{ image: other, reason: 'it is not in this store' }])
  const before = await Promise.all(places.map(usage))
  const dry = await collect(made, { dryRun: true }, ['other'])
  t.deepEqual(dry.map(({ removedEpochs, refused }) => [removedEpochs, refused]), [[['other@0'], []], [['other@0'], []]])
  t.deepEqual(await Promise.all(places.map(usage)), before)
  for (const report of await collect(made, {}, ['other'])) {
    t.like(report, { error: null, removedEpochs: ['other@0'], refused: [], skipped: [] })
  }
  for (const [at, each] of places.entries()) {
    t.deepEqual(await publishedNumbers(each.replica, other), [])
    t.deepEqual(await publishedNumbers(each.replica, key), [0, 1])
    t.true(await usage(each) < before[at] - 2 ** 19, `${await usage(each)} of ${before[at]}`)
    await isWhole(t, made, each, { 'vm@1': 'one' })
  }
  t.deepEqual(made.registry.entries().map(({ name }) => Object.keys(made.registry.note(name).images)), [[key], [key]])
  t.deepEqual((await collect(made, {}, ['other']))[0].refused, [{ image: 'other', reason: 'it is not there' }])
  // The name may be used again.
  const again = await another(made, 'other')
  t.deepEqual(await publishedNumbers(places[0].replica, again), [0])
  t.is((await readReplicaImage(places[0].replica, again))?.owner.image, 'other')
})

test('what is in the store, has forks or belongs to another store is not forgotten', async (t) => {
  const { node: made, places: [at], key } = await directoryNode(t)
  const refused = async (name: string): Promise<string | undefined> => {
    const [report] = await collect(made, {}, [name])
    t.is(report.error, null)
    return report.refused[0]?.reason
  }
  const parent = await another(made, 'parent')
  await made.work.engine.fork({ epoch: 'parent@0', image: 'son' })
  await synced(made)
  const twins = [await another(made, 'twin')]
  await made.work.engine.remove({ target: 'twin' })
  twins.push(await another(made, 'twin'))
  await made.work.engine.remove({ target: 'twin' })
  const taken = await another(made, 'taken')
  t.is(await refused('vm'), 'it is in this store')
  t.is(await refused(key), 'it is in this store')
  t.is(await refused('nobody'), 'it is not there')
  t.regex(await refused('twin') ?? '', /several have this name/)
  await made.work.engine.remove({ target: 'son' })
  await made.work.engine.remove({ target: 'parent' })
  await made.work.engine.remove({ target: 'taken' })
  t.is(await refused('parent'), 'forks were made of it')
  await takeOver(at.replica, taken)
  t.is(await refused('taken'), 'another store owns it')
  for (const each of [key, parent, taken, ...twins]) t.deepEqual(await publishedNumbers(at.replica, each), [0], each)
  t.is(await refused(twins[0]), undefined)
  t.is(await refused('twin'), undefined)
  t.is(await refused('son'), undefined)
  t.is(await refused('parent'), undefined)
  const left = await Promise.all((await imageKeys(at.replica)).map(async (each) => [each, await publishedNumbers(at.replica, each)]))
  t.deepEqual(left.filter(([, numbers]) => numbers.length > 0).map(([each]) => each).sort(), [key, taken].sort())
})

test('a store that dies while it forgets an image does so the next time', async (t) => {
  t.timeout(480_000)
  const { node: made, places: [at], key } = await directoryNode(t)
  const dying = dyingReplicas(made)
  await made.restart(t)
  let deaths = 0
  for (let calls = 1; deaths === calls - 1; calls += 1) {
    const other = await another(made, `other-${calls}`)
    await made.work.engine.remove({ target: `other-${calls}` })
    dying.current!.isAfter = calls % 2 === 0
    dying.current!.diesAt = dying.current!.calls + 12 * calls
    await collect(made, {}, [`other-${calls}`])
    if (dying.current!.isDead) deaths += 1
    await made.restart(t)
    await until('all is there', async () => (await publishedNumbers(at.replica, key)).length > 0)
    const [report] = await collect(made, {}, [other])
    t.is(report.error, null)
    t.deepEqual(await publishedNumbers(at.replica, other), [])
  }
  t.log(`${deaths} deaths`)
  t.true(deaths > 3, `${deaths} deaths`)
  for (const directory of ['condemned', 'deleting', 'intents']) t.deepEqual(fs.readdirSync(join(at.root, directory)), [], directory)
  t.true(fs.readdirSync(join(at.root, 'packs')).length <= 2, fs.readdirSync(join(at.root, 'packs')).join())
  await made.seal('last')
  await synced(made)
  await isWhole(t, made, at, { 'vm@1': 'last' })
})
