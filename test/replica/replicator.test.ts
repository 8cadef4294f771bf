/** The replicator on directory replicas: everything but the network. */
import test from 'ava'
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import fs from 'node:fs'
import { join } from 'node:path'
import { systemEnv } from '../../src/env/system.ts'
import { stayingBy } from '../../src/image/collection/replica-retention.ts'
import { openLocalEngine } from '../../src/image/local-engine.ts'
import { newestGeneration } from '../../src/replica/feed/ownership.ts'
import { openReplica } from '../../src/replica/open.ts'
import { initStore, readIdentity } from '../../src/store/identity.ts'
import { StoreLayout } from '../../src/store/layout.ts'
import { Work } from '../image/work.ts'
import { directoryNode, place } from './places.ts'
import { ReplicatedNode, buildStore, imageKeys, isWhole, levelOf, notIndexed, publishedNumbers, takeOver, until } from './node.ts'

const env = systemEnv()

test('what is sealed comes to every replica, and each alone is a sound store', async (t) => {
  const { node: made, places, key } = await directoryNode(t, 2)
  for (const text of ['one', 'two', 'three']) await made.seal(text)
  await until('three epochs everywhere', async () => (await levelOf(made, 3)).have === 2)
  t.like((await made.work.engine.log({ image: 'vm' })).at(-1), { level: 'replicated', replicas: { have: 2, of: 2 } })
  for (const each of places) {
    t.deepEqual(await publishedNumbers(each.replica, key), [0, 1, 2, 3])
    await isWhole(t, made, each, { 'vm@1': 'one', 'vm@3': 'three' })
  }
  t.deepEqual(made.replicator.status().map(({ name, state, isAuthority }) => [name, state, isAuthority]), [
    ['r0', 'current', true], ['r1', 'current', false],
  ])
})

test('after a restart it goes on in the same generation', async (t) => {
  const { node: made, places: [at], key } = await directoryNode(t)
  await made.seal('one')
  await until('one epoch', async () => (await levelOf(made, 1)).have === 1)
  await made.replicator.close()
  await made.seal('two')
  t.deepEqual(await levelOf(made, 2), { have: 0, of: 1 })
  await made.restart(t)
  await until('two epochs', async () => (await levelOf(made, 2)).have === 1)
  t.deepEqual(fs.readdirSync(join(at.root, 'epochs', key)), ['g00000001'])
  await isWhole(t, made, at, { 'vm@2': 'two' })
})

test('after a restart it goes on where the first epochs of an image are gone', async (t) => {
  const { node: made, places: [at], key } = await directoryNode(t)
  for (const text of ['one', 'two']) await made.seal(text)
  await until('two epochs', async () => (await levelOf(made, 2)).have === 1)
  await made.replicator.close()
  await made.work.engine.collectGarbage({ keepLast: 1 })
  await made.seal('three')
  await made.restart(t)
  await until('three epochs', async () => (await levelOf(made, 3)).have === 1)
  t.deepEqual(await publishedNumbers(at.replica, key), [0, 1, 2, 3])
  await isWhole(t, made, at, { 'vm@3': 'three' })
})

test('notes that are lost are found out again, also a lost registry', async (t) => {
  const { node: made, places: [at], key } = await directoryNode(t)
  await made.seal('one')
  await until('one epoch', async () => (await levelOf(made, 1)).have === 1)
  fs.rmSync(join(made.work.store, 'replicas'), { recursive: true })
  await made.restart(t)
  await made.seal('two')
  await until('two epochs', async () => (await levelOf(made, 2)).have === 1)
  t.deepEqual(fs.readdirSync(join(at.root, 'epochs', key)), ['g00000001'])
  made.registry.remove('r0')
  made.add('again', at.url)
  await made.restart(t)
  await made.seal('three')
  await until('three epochs', async () => (await levelOf(made, 3)).have === 1)
  // Who lost its id takes over from itself, and nobody else.
  t.deepEqual(fs.readdirSync(join(at.root, 'epochs', key)), ['g00000001', 'g00000002'])
  t.deepEqual(await publishedNumbers(at.replica, key), [0, 1, 2, 3])
  t.deepEqual(await imageKeys(at.replica), [key])
  await isWhole(t, made, at, { 'vm@3': 'three' })
})

test('a replica that is emptied is refused, as it may not be mounted, and filled again on request', async (t) => {
  const { node: made, places: [at] } = await directoryNode(t)
  await made.seal('one')
  await until('one epoch', async () => (await levelOf(made, 1)).have === 1)
  await made.replicator.close()
  fs.rmSync(at.root, { recursive: true })
  fs.mkdirSync(at.root)
  await made.restart(t)
  await made.seal('two')
  await until('it is refused', () => made.replicator.status()[0].state === 'refused')
  t.deepEqual(fs.readdirSync(at.root), [])
  await made.replicator.sync('r0', {})
  t.deepEqual(await levelOf(made, 2), { have: 1, of: 1 })
  await isWhole(t, made, at, { 'vm@1': 'one', 'vm@2': 'two' })
})

/** The second epoch finds it gone. */
async function losesReplica(made: ReplicatedNode, at: { root: string }): Promise<void> {
  await made.seal('one')
  await until('one epoch', async () => (await levelOf(made, 1)).have === 1)
  fs.renameSync(at.root, `${at.root}.away`)
  await made.seal('two')
  await until('a failure', () => made.replicator.status()[0].lastError !== null)
}

test('a replica that is emptied beside its replicator is filled again on request, and no failure is told any more', async (t) => {
  const { node: made, places: [at] } = await directoryNode(t)
  await losesReplica(made, at)
  await t.throwsAsync(made.replicator.sync('r0', {}), { code: 'NOT_FOUND', message: /no directory .*mount the disk/ })
  fs.mkdirSync(at.root)
  await made.replicator.sync('r0', {})
  t.like(made.replicator.status()[0], { state: 'current', lastError: null, alarm: null, behindSinceMs: null })
  t.deepEqual(await levelOf(made, 2), { have: 1, of: 1 })
  await isWhole(t, made, at, { 'vm@1': 'one', 'vm@2': 'two' })
})

test('a collection on one replica waits for the authority to tell whose the images are', async (t) => {
  const { node: made, places: [authority] } = await directoryNode(t, 2)
  await made.seal('one')
  await until('one epoch', async () => (await levelOf(made, 1)).have === 2)
  fs.renameSync(authority.root, `${authority.root}.away`)
  await t.throwsAsync(made.replicator.sync('r0', {}), { code: 'NOT_FOUND' })
  const known = { isComplete: false, completeEpochs: new Set<string>(), ownPacks: new Set<string>() }
  const [first, second] = await made.replicator.collect({ decide: stayingBy({}), ...known, dryRun: null }, {})
  t.regex(first.error ?? '', /is empty/)
  t.regex(second.error ?? '', /who owns vm is known when the replica that decides/)
  t.deepEqual(second.skipped, [])
})

test('a replica that is not there is told, tried again, and caught up', async (t) => {
  const { node: made, places: [at] } = await directoryNode(t)
  await losesReplica(made, at)
  await until('an alarm', () => made.events.some((event) => event.includes('lags')))
  t.deepEqual(await levelOf(made, 2), { have: 0, of: 1 })
  fs.renameSync(`${at.root}.away`, at.root)
  await until('two epochs', async () => (await levelOf(made, 2)).have === 1)
  await until('caught up', () => made.events.some((event) => event.includes('caught up')))
  await isWhole(t, made, at, { 'vm@2': 'two' })
})

test('many epochs share objects, and small ones are merged', async (t) => {
  const { node: made, places: [at], key } = await directoryNode(t)
  let number = 0
  for (let times = 0; times < 60; times++) {
    number = await made.seal(`epoch ${times}`)
    await until('it is there', async () => (await levelOf(made, number)).have === 1)
  }
  await until('merged', () => fs.readdirSync(join(at.root, 'epochs', key, 'g00000001', 'open')).length < 20)
  const [store] = fs.readdirSync(join(at.root, 'indexes'))
  await until('runs merged', () => fs.readdirSync(join(at.root, 'indexes', store)).length < 20)
  // What is being merged now is done then.
  await made.replicator.sync('r0', {})
  t.deepEqual(await publishedNumbers(at.replica, key), Array.from({ length: 61 }, (_, each) => each))
  await isWhole(t, made, at, { 'vm@1': 'epoch 0', 'vm@60': 'epoch 59' })
})

test('an image that is removed, and another one of its name, do not meet', async (t) => {
  const { node: made, places: [at], key } = await directoryNode(t)
  await made.seal('one')
  await until('one epoch', async () => (await levelOf(made, 1)).have === 1)
  await made.work.close()
  await made.work.engine.remove({ target: 'vm' })
  await made.work.engine.createImage({ image: 'vm', base: [] })
  made.replicator.poke()
  await until('the new one', async () => (await levelOf(made, 0)).have === 1)
  t.is((await imageKeys(at.replica)).length, 2)
  t.deepEqual(await publishedNumbers(at.replica, key), [0, 1])
})

test('another store’s replica, a newer one and a wrong place are refused, and the user hears why', async (t) => {
  const { node: made, places: [ours] } = await directoryNode(t)
  const theirs = await ReplicatedNode.start(t, [])
  theirs.add('taken', ours.url)
  theirs.add('nowhere', `file://${ours.root}-nowhere`)
  await made.seal('one')
  await until('one epoch', async () => (await levelOf(made, 1)).have === 1)
  await theirs.replicator.refresh()
  await until('refusals', () => theirs.replicator.status().every(({ state }) => state === 'refused'))
  t.regex(theirs.replicator.status()[0].lastError ?? '', /another store/)
  t.regex(theirs.events.join('\n'), /another store/)
  await t.throwsAsync(theirs.replicator.sync('taken', {}), { code: 'WRONG_DOMAIN' })
  await t.throwsAsync(theirs.replicator.sync('unheard of', {}), { code: 'NOT_FOUND' })
  fs.writeFileSync(join(ours.root, 'domain.json'), '{"holdfast":"domain","version":2}')
  await t.throwsAsync(made.replicator.sync('r0', {}), { code: 'NEWER_VERSION' })
})

test('a writer that was replaced goes on under another name, and nothing of either history is lost', async (t) => {
  const { node: made, places: [at, mirror], key } = await directoryNode(t, 2)
  await made.seal('one')
  await until('one epoch', async () => (await levelOf(made, 1)).have === 2)
  t.is(await takeOver(at.replica, key), 2)
  await made.seal('two')
  await until('it is told', () => made.events.some((event) => event.includes('another writer took vm over')))
  // The head is open here, as by a mount: the image keeps its name for now.
  t.like((await made.work.engine.images())[0], { image: 'vm', fenced: { generation: 1, last: 1 } })
  await made.seal('three')
  const fork = `${key}.fenced-1`
  await until('the fork is there', async () => (await levelOf(made, 3)).have === 2)
  for (const { replica } of [at, mirror]) {
    t.deepEqual(await publishedNumbers(replica, key), [0, 1])
    t.deepEqual(await publishedNumbers(replica, fork), [2, 3])
    t.is((await newestGeneration(replica, fork, {}))?.owner.image, 'vm.fenced-1')
  }
  await made.work.close()
  t.deepEqual((await made.work.engine.images()).map(({ image }) => image), ['vm.fenced-1'])
  t.deepEqual((await made.work.engine.log({ image: 'vm.fenced-1' })).map(({ number, level }) => [number, level]), [
    [0, 'replicated'], [1, 'replicated'], [2, 'replicated'], [3, 'replicated'],
  ])
})

test('a writer that was replaced while it was away finds out, and one whose fork is taken over too', async (t) => {
  const { node: made, places: [at], key } = await directoryNode(t)
  await made.seal('one')
  await until('one epoch', async () => (await levelOf(made, 1)).have === 1)
  await made.replicator.close()
  await takeOver(at.replica, key)
  await made.seal('two')
  await made.restart(t)
  await until('the fork', async () => (await imageKeys(at.replica)).length === 2)
  await until('two', async () => (await levelOf(made, 2)).have === 1)
  await takeOver(at.replica, `${key}.fenced-1`)
  await made.seal('three')
  await until('three', async () => (await levelOf(made, 3)).have === 1)
  t.deepEqual(await publishedNumbers(at.replica, `${key}.fenced-1.fenced-1`), [3])
  t.deepEqual(await publishedNumbers(at.replica, `${key}.fenced-1`), [2])
})

test('a copy of a store publishes nothing over the original', async (t) => {
  const { node: made, places: [at], key } = await directoryNode(t)
  await made.seal('one')
  await until('one epoch', async () => (await levelOf(made, 1)).have === 1)
  await made.replicator.close()
  // Both have no pack that could grow: a copy that has one is refused before, see copied-store.test.ts.
  await made.work.restart(() => {
    const layout = new StoreLayout(made.work.store)
    for (const name of fs.readdirSync(layout.packs)) fs.appendFileSync(join(layout.packs, name), 'torn')
    fs.rmSync(layout.index, { recursive: true })
  })
  await made.work.engine.close()
  const parent = fs.mkdtempSync(join(made.work.rig.parent, 'copy-'))
  fs.cpSync(made.work.store, join(parent, 'store'), { recursive: true })
  const copy = new Work({ ...made.work.rig, parent, directory: join(parent, 'store'), engine: await openLocalEngine(join(parent, 'store')) }, 'vm')
  t.teardown(async () => { await copy.abandon(); await copy.engine.close() })
  await copy.open()
  await made.work.restart()
  await made.work.open()
  await made.restart(t)
  await made.seal('the original')
  await until('it is there', async () => (await levelOf(made, 2)).have === 1)
  const other = await ReplicatedNode.start(t, [], copy)
  await other.seal('the copy')
  await until('the copy is told', async () => other.events.length > 0 && (await other.work.engine.images())[0].fenced !== undefined)
  t.deepEqual(await publishedNumbers(at.replica, key), [0, 1, 2])
  await until('its own history is kept', async () => (await imageKeys(at.replica)).length === 2)
})

test('another replica becomes the authority when all are removed, and the old one follows it', async (t) => {
  const { node: made, places, key } = await directoryNode(t, 2)
  const [old, next] = places
  await made.seal('one')
  await until('the first', async () => (await levelOf(made, 1)).have === 2)
  t.throws(() => made.registry.add({ name: 'r2', url: next.url, isAuthority: true, bytesPerSecondMax: null }), { code: 'BUSY' })
  t.throws(() => made.registry.remove('r0'), { code: 'BUSY' })
  // The authority goes away for good, or so it seems, with an epoch that nobody else has.
  await made.replicator.close()
  for (const name of ['r1', 'r0']) made.registry.remove(name)
  fs.renameSync(old.root, `${old.root}.away`)
  await made.seal('two')
  made.add('next', next.url)
  await made.restart(t)
  await until('it goes on', async () => (await levelOf(made, 2)).have === 1)
  t.like(made.replicator.status()[0], { name: 'next', isAuthority: true, state: 'current' })
  t.deepEqual(await publishedNumbers(next.replica, key), [0, 1, 2])
  fs.renameSync(`${old.root}.away`, old.root)
  made.add('old', old.url)
  await made.replicator.refresh()
  await made.seal('three')
  await until('both', async () => (await levelOf(made, 3)).have === 2)
  for (const each of places) {
    t.deepEqual(await publishedNumbers(each.replica, key), [0, 1, 2, 3])
    await isWhole(t, made, each, { 'vm@1': 'one', 'vm@2': 'two', 'vm@3': 'three' })
  }
  t.is((await newestGeneration(old.replica, key, {}))?.number, (await newestGeneration(next.replica, key, {}))?.number)
  t.deepEqual((await made.work.engine.images()).map(({ image }) => image), ['vm'], 'nothing was fenced')
})

test('an old authority on which another node took over is left alone, and that is said', async (t) => {
  const { node: made, places: [old, next], key } = await directoryNode(t, 2)
  await made.seal('one')
  await until('the first', async () => (await levelOf(made, 1)).have === 2)
  await made.replicator.close()
  for (const name of ['r1', 'r0']) made.registry.remove(name)
  const taken = await takeOver(old.replica, key)
  await takeOver(old.replica, key)
  made.add('next', next.url)
  made.add('old', old.url)
  await made.restart(t)
  await made.seal('two')
  await until('the new one has it', async () => (await levelOf(made, 2)).have === 1)
  await until('it is said', () => made.replicator.status()[1].lastError?.includes('another writer') === true)
  await until('an alarm', () => made.events.some((event) => event.includes('replica old lags')))
  t.deepEqual(await levelOf(made, 2), { have: 1, of: 2 })
  t.is((await newestGeneration(old.replica, key, {}))?.number, taken + 1)
  t.deepEqual(await publishedNumbers(old.replica, key), [0, 1])
})

test('a new replica gets what other stores of the domain have on the authority', async (t) => {
  const { node: made, places: [at] } = await directoryNode(t)
  await made.seal('one')
  await until('one epoch', async () => (await levelOf(made, 1)).have === 1)
  const { domainId } = readIdentity(env, new StoreLayout(made.work.store))
  const parent = fs.mkdtempSync(join(made.work.rig.parent, 'other-'))
  const directory = join(parent, 'store')
  initStore(env, directory, { domain: { domainId, keys: null } })
  const other = await ReplicatedNode.start(t, [at.url], await Work.start(t, [], 'other', { ...made.work.rig, parent, directory, engine: await openLocalEngine(directory) }))
  await other.seal('of another store')
  await until('its epoch', async () => (await levelOf(other, 1)).have === 1)
  const mirror = place(t, made.work.rig.parent, 'mirror')
  made.add('mirror', mirror.url)
  await made.replicator.refresh()
  await until('all is there', async () => (await levelOf(made, 1)).have === 2)
  t.is((await imageKeys(mirror.replica)).length, 2)
  const built = join(parent, 'built')
  await buildStore(mirror.replica, built)
  t.is(await notIndexed(mirror.replica, built), 0)
  await using engine = await openLocalEngine(built)
  await engine.exportFile({ epoch: 'other@1', path: '/file', file: join(parent, 'exported'), format: 'raw' })
  t.is(fs.readFileSync(join(parent, 'exported'), 'utf8').slice(0, 16), 'of another store')
})

test('a pack that is closed becomes one object, and its ranges go', async (t) => {
  const { node: made, places: [at] } = await directoryNode(t)
  await made.work.restart(undefined, { packBytesMax: 2 ** 20 })
  await made.work.open()
  let number = 0
  for (let times = 0; times < 24; times++) {
    made.work.write('noise', randomBytes(160_000))
    number = await made.seal(`epoch ${times}`)
    if (times % 3 === 0) await until('it is there', async () => (await levelOf(made, number)).have === 1)
  }
  await until('all is there', async () => (await levelOf(made, number)).have === 1)
  const packs = fs.readdirSync(join(at.root, 'packs'))
  t.true(packs.length >= 3, `${packs.length} packs`)
  const isSettled = (): boolean => packs.filter((pack) => fs.readdirSync(join(at.root, 'packs', pack)).join() === 'whole').length >= packs.length - 1
  await until('all but the open pack are whole, and their ranges are gone', () => {
    made.replicator.poke()
    return isSettled()
  })
  await isWhole(t, made, at, { 'vm@1': 'epoch 0', 'vm@24': 'epoch 23' })
  // What is known to be whole is not looked at again.
  await made.restart(t)
  await made.seal('after')
  await until('one more', async () => (await levelOf(made, 25)).have === 1)
  await isWhole(t, made, at, { 'vm@25': 'after' })
})

test('a replica whose disk is full is told, nothing half counts, and it catches up', async (t) => {
  t.timeout(480_000)
  const made = await ReplicatedNode.start(t, [])
  const root = join(made.work.rig.parent, 'small')
  fs.mkdirSync(root)
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', root])
  t.teardown(() => execFileSync('umount', ['-l', root]))
  made.add('small', `file://${root}`)
  await made.replicator.refresh()
  await made.seal('fits')
  await until('it is there', async () => (await levelOf(made, 1)).have === 1)
  made.fill('noise', 3 * 2 ** 20)
  await made.seal('does not fit')
  await until('a failure', () => made.replicator.status()[0].state === 'failing')
  t.regex(made.replicator.status()[0].lastError ?? '', /space/)
  t.deepEqual(await levelOf(made, 2), { have: 0, of: 1 })
  execFileSync('mount', ['-o', 'remount,size=16m', root])
  await until('it caught up', async () => (await levelOf(made, 2)).have === 1)
  const replica = openReplica(env, `file://${root}`)
  await isWhole(t, made, { replica }, { 'vm@1': 'fits', 'vm@2': 'does not fit' })
  await replica.close()
})
