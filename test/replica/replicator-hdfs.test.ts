/** The replicator on a real HDFS, and what happens to it there. */
import type { ExecutionContext } from 'ava'
import { randomBytes } from 'node:crypto'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { systemEnv } from '../../src/env/system.ts'
import { domainPath, imageKey } from '../../src/replica/layout.ts'
import { openReplica } from '../../src/replica/open.ts'
import type { Replica } from '../../src/replica/replica.ts'
import { hdfs, hdfsTest, shareCluster, testLimits, whyNot } from './hdfs.ts'
import { listNames } from '../../src/replica/list-names.ts'
import { dyingReplicas } from './dying-replica.ts'
import { ReplicatedNode, collect, isWhole, levelOf, publishedNumbers, until } from './node.ts'
import { race } from './races.ts'

shareCluster(3)

const env = systemEnv()

interface Place {
  readonly url: string
  readonly replica: Replica
}

async function place(t: ExecutionContext, user = 'hdfs'): Promise<Place> {
  const url = `webhdfs://${hdfs().address}/r/${randomBytes(6).toString('hex')}?user=${user}`
  const replica = openReplica(env, url.replace(`user=${user}`, 'user=hdfs'), { limits: testLimits })
  t.teardown(() => replica.close())
  await replica.makeDirectory('')
  return { url, replica }
}

async function node(t: ExecutionContext): Promise<{ made: ReplicatedNode; at: Place; key: string }> {
  t.timeout(480_000)
  const at = await place(t)
  const made = await ReplicatedNode.start(t, [at.url])
  const [{ id }] = await made.work.engine.images()
  return { made, at, key: imageKey(Buffer.from(id, 'hex')) }
}

const isThere = (made: ReplicatedNode, number: number) => async (): Promise<boolean> => (await levelOf(made, number)).have === 1

hdfsTest(`hdfs: what is sealed comes there, and is a sound store${whyNot}`, async (t) => {
  const { made, at, key } = await node(t)
  for (const text of ['one', 'two', 'three']) await made.seal(text)
  await until('three epochs', isThere(made, 3))
  t.deepEqual(await publishedNumbers(at.replica, key), [0, 1, 2, 3])
  await isWhole(t, made, at, { 'vm@1': 'one', 'vm@3': 'three' })
})

hdfsTest(`hdfs: garbage is collected, also by one that follows a dead collector${whyNot}`, async (t) => {
  const { made, at, key } = await node(t)
  const dying = dyingReplicas(made)
  await made.restart(t)
  let number = 0
  for (const diesIn of [25, 31, 37, 43, 49, Infinity]) {
    made.fill('noise', 2 ** 20)
    number = await made.seal(`epoch ${number + 1}`)
    await made.replicator.sync('r0', {})
    dying.current!.diesAt = dying.current!.calls + diesIn
    const [report] = await collect(made, { keepLast: 2 })
    if (!dying.current!.isDead) t.is(report.error, null)
    await made.restart(t)
  }
  await made.replicator.sync('r0', {})
  t.is((await collect(made, { keepLast: 2 }))[0].error, null)
  t.deepEqual(await publishedNumbers(at.replica, key), [number - 1, number])
  for (const directory of ['condemned', 'deleting', 'intents']) t.deepEqual(await listNames(at.replica, directory), [], directory)
  t.true((await listNames(at.replica, 'packs')).length <= 2)
  await isWhole(t, made, at, { [`vm@${number}`]: `epoch ${number}` })
})

hdfsTest(`hdfs: a DataNode is killed while packs come${whyNot}`, async (t) => {
  const { made, at } = await node(t)
  await made.seal('before')
  await until('the first', isThere(made, 1))
  made.fill('large', 48 * 2 ** 20)
  const number = await made.seal('with much')
  await sleep(100)
  await hdfs().dataNodes[0].kill()
  try {
    await until('the large one', isThere(made, number))
    await isWhole(t, made, at, { 'vm@1': 'before', 'vm@2': 'with much' })
  } finally {
    hdfs().dataNodes[0].start()
    await hdfs().waitReady()
  }
})

hdfsTest(`hdfs: what only one DataNode has does not count, until another one comes back${whyNot}`, async (t) => {
  const { made, at, key } = await node(t)
  await made.seal('one')
  await until('the first', isThere(made, 1))
  await Promise.all(hdfs().dataNodes.slice(1).map((each) => each.kill()))
  try {
    await made.seal('two')
    await until('it is said', () => made.replicator.status()[0].lastError?.includes('too few places') === true)
    t.deepEqual(await levelOf(made, 2), { have: 0, of: 1 })
  } finally {
    for (const each of hdfs().dataNodes.slice(1)) each.start()
    await hdfs().waitReady()
  }
  await until('two places', isThere(made, 2))
  t.deepEqual(await publishedNumbers(at.replica, key), [0, 1, 2])
  await isWhole(t, made, at, { 'vm@2': 'two' })
})

hdfsTest(`hdfs: the NameNode is killed and comes back while epochs are sealed${whyNot}`, async (t) => {
  const { made, at, key } = await node(t)
  await made.seal('before')
  await until('the first', isThere(made, 1))
  await hdfs().nameNode.kill()
  try {
    for (let times = 0; times < 5; times++) await made.seal(`meanwhile ${times}`)
    t.deepEqual(await levelOf(made, 6), { have: 0, of: 1 })
  } finally {
    hdfs().nameNode.start()
    await hdfs().waitReady()
  }
  await until('all', isThere(made, 6))
  t.deepEqual(await publishedNumbers(at.replica, key), [0, 1, 2, 3, 4, 5, 6])
  await isWhole(t, made, at, { 'vm@6': 'meanwhile 4' })
})

hdfsTest(`hdfs: a replicator that is killed at any moment leaves nothing that counts and is not whole${whyNot}`, async (t) => {
  const { made, at } = await node(t)
  await made.replicator.close()
  made.fill('large', 24 * 2 ** 20)
  await made.seal('with much')
  for (const ms of [400, 700, 1000, 1300]) {
    // The records of a store are read by a process of its own, as by a daemon that is killed.
    const child = spawn(process.execPath, [new URL('replicating-process.ts', import.meta.url).pathname, made.work.store], { stdio: 'ignore' })
    const ended = once(child, 'exit')
    await sleep(ms)
    child.kill('SIGKILL')
    await ended
    if ((await at.replica.stat('epochs')) !== null) await isWhole(t, made, at, {})
  }
  await made.restart(t)
  await until('it is there', isThere(made, 1))
  await isWhole(t, made, at, { 'vm@1': 'with much' })
})

hdfsTest(`hdfs: who may not write is told so${whyNot}`, async (t) => {
  t.timeout(480_000)
  const { url } = await place(t, 'nobody')
  const made = await ReplicatedNode.start(t, [url])
  await made.seal('one')
  await until('it is refused', () => made.replicator.status()[0].state === 'refused')
  t.regex(made.replicator.status()[0].lastError ?? '', /denied|AccessControl/i)
  t.deepEqual(await levelOf(made, 1), { have: 0, of: 1 })
})

hdfsTest(`hdfs: another store’s replica and a newer one are refused, and left as they are${whyNot}`, async (t) => {
  const { made, at } = await node(t)
  await made.seal('one')
  await until('one epoch', isThere(made, 1))
  const theirs = await ReplicatedNode.start(t, [at.url])
  await theirs.seal('another one')
  await until('it is refused', () => theirs.replicator.status()[0].state === 'refused')
  t.regex(theirs.replicator.status()[0].lastError ?? '', /another store/)
  await t.throwsAsync(theirs.replicator.sync('r0', {}), { code: 'WRONG_DOMAIN' })
  await isWhole(t, made, at, { 'vm@1': 'one' })
  await at.replica.put(domainPath, Buffer.from('{"holdfast":"domain","version":2}'), { replace: true })
  await t.throwsAsync(made.replicator.sync('r0', {}), { code: 'NEWER_VERSION' })
})

hdfsTest(`hdfs: two nodes race for images: one wins, and both know${whyNot}`, async (t) => {
  t.timeout(480_000)
  const { replica } = await place(t)
  const { winners, faults } = await race([replica, replica], 50)
  t.deepEqual(faults, [])
  t.is(winners[0] + winners[1], 100)
  t.log(`wins: ${winners.join(' and ')}`)
})
