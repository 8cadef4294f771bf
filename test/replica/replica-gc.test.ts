/** Garbage of directory replicas, through the replicator. */
import test from 'ava'
import fs from 'node:fs'
import { join } from 'node:path'
import { decodeEpochBatch, encodeEpochBatch } from '../../src/format/epoch-batch.ts'
import { joinPath } from '../../src/replica/paths.ts'
import { readObject } from '../../src/replica/read-object.ts'
import { packsOfRecords } from '../../src/replica/collection/survey.ts'
import { stayingBy } from '../../src/image/collection/replica-retention.ts'
import { readIdentity } from '../../src/store/identity.ts'
import { StoreLayout } from '../../src/store/layout.ts'
import { systemEnv } from '../../src/env/system.ts'
import { HoldfastError } from '../../src/errors.ts'
import { dyingReplicas } from './dying-replica.ts'
import { collect, isWhole, levelOf, publishedNumbers, takeOver, until } from './node.ts'
import { directoryNode } from './places.ts'

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

test('a collector that dies at any call is finished by the next', async (t) => {
  t.timeout(480_000)
  const { node: made, places: [at], key } = await directoryNode(t)
  const dying = dyingReplicas(made)
  await made.restart(t)
  let last = 0
  let deaths = 0
  for (let calls = 1; deaths === calls - 1; calls += 1) {
    made.fill('noise', 2 ** 18)
    last = await made.seal(`epoch ${calls}`)
    await made.replicator.sync('r0', {})
    dying.current!.isAfter = calls % 2 === 0
    dying.current!.diesAt = dying.current!.calls + 5 * calls
    const [report] = await collect(made, { keepLast: 2 })
    if (dying.current!.isDead) deaths += 1
    else t.is(report.error, null)
    await made.restart(t)
  }
  t.true(deaths > 5, `${deaths} deaths`)
  t.log(`${deaths} deaths`)
  await made.replicator.sync('r0', {})
  t.is((await collect(made, { keepLast: 2 }))[0].error, null)
  t.deepEqual(await publishedNumbers(at.replica, key), [last - 1, last])
  for (const directory of ['condemned', 'deleting', 'intents']) t.deepEqual(fs.readdirSync(join(at.root, directory)), [], directory)
  t.true(fs.readdirSync(join(at.root, 'packs')).length <= 2, fs.readdirSync(join(at.root, 'packs')).join())
  await isWhole(t, made, at, { [`vm@${last}`]: `epoch ${deaths + 1}` })
})

test('an intent that stands keeps the packs that it names, however slow its writer is', async (t) => {
  const { node: made, places: [at], key } = await directoryNode(t)
  for (const text of ['one', 'two']) {
    made.fill('noise', 2 ** 20)
    await made.seal(text)
  }
  await until('two epochs', async () => (await levelOf(made, 2)).have === 1)
  const [batch] = fs.readdirSync(join(at.root, 'epochs', key, 'g00000001', 'open')).filter((name) => name !== 'owner')
  const { records, packs, epochs } = decodeEpochBatch(await readObject(at.replica, joinPath(`epochs/${key}/g00000001/open`, batch), 2 ** 23), batch)
  const { domainId, keyId } = readIdentity(systemEnv(), new StoreLayout(made.work.store))
  const intent = encodeEpochBatch({ domainId, keyId, imageId: epochs[0].imageId, packs, records })
  await at.replica.put('intents/slow.0', intent)
  const isThere = (): boolean => packs.every((pack) => fs.existsSync(join(at.root, 'packs', pack)))
  t.like((await collect(made, { keepLast: 1 }))[0], { removedEpochs: { length: 2 }, removedPacks: 0 })
  t.true(isThere())
  await at.replica.remove('intents/slow.0')
  t.like((await collect(made, { keepLast: 1 }))[0], { removedEpochs: [], removedPacks: packs.length })
  t.false(isThere())
  await isWhole(t, made, at, { 'vm@2': 'two' })
})

test('packs that a kept epoch names stay, unless the store has all that was in them', async (t) => {
  const { node: made, places: [at] } = await directoryNode(t)
  for (const text of ['one', 'two']) {
    made.fill('noise', 2 ** 20)
    await made.seal(text)
  }
  await until('two epochs', async () => (await levelOf(made, 2)).have === 1)
  const before = fs.readdirSync(join(at.root, 'packs'))
  await made.work.close()
  const { isComplete, completeEpochs, ownPacks } = await made.work.engine.collectGarbage({ keepLast: 1, maxUnused: 0 })
  await made.work.open()
  const decide = stayingBy({ keepLast: 1 })
  const known = { isComplete, completeEpochs: new Set(completeEpochs), ownPacks: new Set(ownPacks) }
  const lacking = { ...known, isComplete: false, completeEpochs: new Set<string>() }
  t.like((await made.replicator.collect({ decide, ...lacking, dryRun: null }, {}))[0], { removedEpochs: { length: 2 }, removedPacks: 0 })
  for (const pack of before) t.true(fs.existsSync(join(at.root, 'packs', pack)), pack)
  t.true(isComplete)
  t.like((await made.replicator.collect({ decide, ...known, dryRun: null }, {}))[0], { removedEpochs: [], removedPacks: before.length })
  await isWhole(t, made, at, { 'vm@2': 'two' })
})

test('a pack that was taken away between two of its ranges is brought again', async (t) => {
  const { node: made, places: [at] } = await directoryNode(t)
  await made.seal('zero')
  await until('an epoch', async () => (await levelOf(made, 1)).have === 1)
  await made.replicator.close()
  await made.work.restart(undefined, { packBytesMax: 2 ** 20 })
  await made.work.open()
  let isHeld = true
  made.between = (replica) => new Proxy(replica, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target)
      if (typeof value !== 'function') return value
      return (...args: unknown[]): unknown => {
        const isIntent = name === 'put' && String(args[0]).startsWith('intents/')
        if (isHeld && isIntent) return Promise.reject(new HoldfastError('REPLICA_UNREACHABLE', 'held'))
        return value.apply(target, args) as unknown
      }
    },
  })
  await made.restart(t)
  const before = new Set(fs.readdirSync(join(at.root, 'packs')))
  made.fill('noise', 2 ** 20)
  await made.seal('one')
  // One that nothing names yet, and that grows.
  const growing = (): string[] => fs.readdirSync(join(at.root, 'packs')).filter((name) => {
    return !before.has(name) && !fs.existsSync(join(at.root, 'packs', name, 'whole'))
  })
  await until('a new pack', () => growing().length > 0 && made.replicator.status()[0].state === 'failing')
  const [taken] = growing()
  fs.rmSync(join(at.root, 'packs', taken), { recursive: true })
  fs.mkdirSync(join(at.root, 'sweeps'), { recursive: true })
  fs.writeFileSync(join(at.root, 'sweeps', 'another.1'), '')
  const number = await made.seal('two')
  await until('a range of it', () => fs.existsSync(join(at.root, 'packs', taken)))
  isHeld = false
  await until('it is there', async () => (await levelOf(made, number)).have === 1)
  const again = fs.readdirSync(join(at.root, 'packs')).filter((name) => name.startsWith(`${taken}.`))
  t.is(again.length, 1, 'it was put again under another name')
  const named = await packsOfRecords(at.replica, {})
  t.true(named.includes(again[0]) && !named.includes(taken))
})
