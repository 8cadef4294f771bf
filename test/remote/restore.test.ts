/** Images brought from a replica into empty stores: owners, forks, what follows, and what is refused. */
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { Buffer } from 'node:buffer'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openHost } from '../../src/daemon/local-host.ts'
import type { Host } from '../../src/daemon/host.ts'
import { systemEnv } from '../../src/env/system.ts'
import { codeOf } from '../../src/errors.ts'
import { openLocalEngine } from '../../src/image/local-engine.ts'
import { DirectoryReplica } from '../../src/replica/directory.ts'
import { imageKey } from '../../src/replica/layout.ts'
import { Publisher } from '../../src/replica/publisher.ts'
import { Ownership } from '../../src/replica/feed/ownership.ts'
import { ImageFiles } from '../../src/image/image-files.ts'
import { initStore } from '../../src/store/identity.ts'
import { replicaImages } from '../../src/daemon/replica-images.ts'
import { seed } from './seed.ts'

const env = systemEnv()

interface Origin {
  readonly parent: string
  readonly url: string
  readonly replica: DirectoryReplica
  readonly contents: Buffer
  readonly key: string
}

/** Three epochs of an image on a replica, whose store is lost. */
async function origin(t: ExecutionContext): Promise<Origin> {
  const parent = fs.mkdtempSync(join(tmpdir(), 'holdfast-restore-'))
  t.teardown(() => fs.rmSync(parent, { recursive: true, force: true }))
  const contents = Buffer.alloc(1_000_000)
  for (let at = 0; at < contents.length; at += 5) contents.writeUInt8((at * at) % 241, at)
  fs.writeFileSync(join(parent, 'disk'), contents)
  const store = join(parent, 'lost')
  initStore(env, store)
  {
    await using engine = await openLocalEngine(store)
    await engine.createImage({ image: 'vm', base: [join(parent, 'disk')] })
    await engine.sealHead({ image: 'vm', note: 'one' })
    await engine.sealHead({ image: 'vm', note: 'two' })
  }
  const root = join(parent, 'replica')
  fs.mkdirSync(root)
  const replica = new DirectoryReplica(env, root)
  t.teardown(() => replica.close())
  await seed(replica, store, 'vm')
  const key = imageKey(new ImageFiles(env, store, 'vm', null).identity().id)
  fs.rmSync(store, { recursive: true })
  return { parent, url: replica.url, replica, contents, key }
}

async function node(t: ExecutionContext, { parent }: Origin): Promise<Host> {
  const store = fs.mkdtempSync(join(parent, 'node-'))
  initStore(env, store)
  const host = await openHost(store, { thread: true })
  t.teardown(() => host.close({ force: true }))
  return host
}

async function contentsOf(host: Host, parent: string, epoch: string): Promise<Buffer> {
  const file = join(parent, `out-${process.hrtime.bigint()}`)
  await host.engine.exportFile({ epoch, path: '/disk', file, format: 'raw' })
  return fs.readFileSync(file)
}

async function codeFrom(call: Promise<unknown>): Promise<string | undefined> {
  return call.then(() => undefined, codeOf)
}

const plain = { full: false, takeover: false }

test('an empty store lists what a replica has, becomes an image’s owner, and goes on making epochs', async (t) => {
  t.timeout(480_000)
  const from = await origin(t)
  t.like((await replicaImages(from.url, {}))[0], { image: 'vm', epochs: 3, newest: 2, generation: 1 })
  const host = await node(t, from)
  t.is(await codeFrom(host.restore({ ...plain, url: from.url, target: 'vm' })), 'LOCKED', 'its owner was seen lately')
  const restored = await host.restore({ ...plain, url: from.url, target: 'vm', takeover: true })
  t.like(restored, { generation: 2, isWhole: false })
  t.like(restored.epoch, { image: 'vm', number: 2, note: 'two' })
  t.regex(restored.notices.join(), /fenced/)
  t.true((await contentsOf(host, from.parent, 'vm@2')).equals(from.contents))
  t.like(await host.seal({ image: 'vm' }), { epoch: { number: 3, parent: { number: 2 } } })
  while ((await host.engine.log({ image: 'vm' })).length < 4) await new Promise((resolve) => setTimeout(resolve, 20))
  t.deepEqual((await host.engine.log({ image: 'vm' })).map(({ number }) => number), [0, 1, 2, 3])
  t.like((await replicaImages(from.url, {}))[0], { generation: 2, owner: (await host.engine.stats()).store })
  t.is(await codeFrom(host.restore({ ...plain, url: from.url, target: 'vm', takeover: true })), 'EXISTS')
})

test('the owner that was replaced learns that it is fenced', async (t) => {
  t.timeout(480_000)
  const from = await origin(t)
  const before = new Ownership(from.replica, from.key, {
    self: 'ab'.repeat(16), storeId: Buffer.alloc(16, 1), imageId: Buffer.from(from.key, 'hex'), image: 'vm', origin: { kind: 'base' }, createdMs: 0, openedMs: 0,
  })
  t.true(await before.takeOver(1, {}))
  const host = await node(t, from)
  await host.restore({ ...plain, url: from.url, target: 'vm', takeover: true })
  const publisher = new Publisher(from.replica, 'ab'.repeat(16), async () => ({}))
  const batch = { name: '00000009-00000009.1', packs: [], encode: () => Buffer.from('late'), isSame: () => false }
  t.is(await codeFrom(before.publish(publisher, batch, {})), 'FENCED')
})

test('an older epoch is restored with a head that never uses a number again', async (t) => {
  t.timeout(480_000)
  const from = await origin(t)
  const host = await node(t, from)
  await host.restore({ ...plain, url: from.url, target: 'vm@1', takeover: true })
  t.like(await host.seal({ image: 'vm' }), { epoch: { number: 3, parent: { number: 1 } } })
})

test('a fork leaves the owner alone, and --full leaves nothing on the replica only', async (t) => {
  t.timeout(480_000)
  const from = await origin(t)
  const host = await node(t, from)
  const restored = await host.restore({ ...plain, url: from.url, target: 'vm@1', as: 'copy', full: true })
  t.like(restored, { generation: null, isWhole: true, epoch: { image: 'copy', number: 0 } })
  t.like((await replicaImages(from.url, {}))[0], { generation: 1 })
  fs.rmSync(join(from.parent, 'replica'), { recursive: true })
  t.true((await contentsOf(host, from.parent, 'copy@0')).equals(from.contents))
  t.like(await host.engine.check({ readData: true }), { damaged: [] })
})

test('a store that was restored from a replica reads from it after a restart', async (t) => {
  t.timeout(480_000)
  const from = await origin(t)
  const first = await node(t, from)
  await first.restore({ ...plain, url: from.url, target: 'vm', takeover: true })
  const { directory } = first.engine
  await first.close({ force: true })
  const second = await openHost(directory, { thread: false })
  t.teardown(() => second.close({ force: true }))
  t.true((await contentsOf(second, from.parent, 'vm@2')).equals(from.contents))
})

test('what a restart cuts off goes on coming after it, until all is here', async (t) => {
  t.timeout(480_000)
  const from = await origin(t)
  const first = await node(t, from)
  await first.restore({ ...plain, url: from.url, target: 'vm', takeover: true })
  // Away at once: what follows in the background is not to come to its end before the restart.
  fs.renameSync(join(from.parent, 'replica'), join(from.parent, 'away'))
  t.like(await first.engine.unfinished(), [{ image: 'vm', epoch: 2, key: from.key, url: from.url }])
  const { directory } = first.engine
  await first.close({ force: true })
  const aside = await openHost(directory, { thread: false })
  t.is((await aside.engine.unfinished()).length, 1, 'a command does not go on with it, and does not forget it')
  await aside.close()
  const events: object[] = []
  const second = await openHost(directory, { thread: true, onEvent: (event) => events.push(event) })
  t.teardown(() => second.close({ force: true }))
  while (!JSON.stringify(events).includes('background waits')) await new Promise((resolve) => setTimeout(resolve, 50))
  fs.renameSync(join(from.parent, 'away'), join(from.parent, 'replica'))
  while ((await second.engine.unfinished()).length > 0) await new Promise((resolve) => setTimeout(resolve, 50))
  t.is((await second.engine.absentChunks({ epoch: 'vm@2' })).ids.length, 0)
  t.deepEqual((await second.engine.log({ image: 'vm' })).map(({ number }) => number), [0, 1, 2])
  fs.rmSync(join(from.parent, 'replica'), { recursive: true })
  t.true((await contentsOf(second, from.parent, 'vm@2')).equals(from.contents))
})

test('what cannot be restored is refused, and leaves no image behind', async (t) => {
  t.timeout(480_000)
  const from = await origin(t)
  const host = await node(t, from)
  t.is(await codeFrom(host.restore({ ...plain, url: from.url, target: 'nobody' })), 'NOT_FOUND')
  t.is(await codeFrom(host.restore({ ...plain, url: from.url, target: 'vm@77', as: 'x' })), 'NOT_FOUND')
  t.is(await codeFrom(host.restore({ ...plain, url: `file://${from.parent}/nowhere`, target: 'vm' })), 'NOT_FOUND')
  t.is(await codeFrom(host.restore({ ...plain, url: 'ftp://somewhere', target: 'vm' })), 'USAGE')
  fs.mkdirSync(join(from.parent, 'empty'))
  t.is(await codeFrom(host.restore({ ...plain, url: `file://${from.parent}/empty`, target: 'vm' })), 'NOT_FOUND')
  const other = await node(t, from)
  await other.engine.createImage({ image: 'mine', base: [join(from.parent, 'disk')] })
  t.is(await codeFrom(other.restore({ ...plain, url: from.url, target: 'vm', as: 'x' })), 'WRONG_DOMAIN')
  fs.writeFileSync(join(from.parent, 'replica', 'domain.json'), JSON.stringify({ holdfast: 'domain', version: 99 }))
  t.is(await codeFrom(host.restore({ ...plain, url: from.url, target: 'vm', as: 'x' })), 'NEWER_VERSION')
  t.deepEqual(await host.engine.images(), [])
})

test('of two stores that take an image over at once one owns it, and each knows which', async (t) => {
  t.timeout(480_000)
  const from = await origin(t)
  const hosts = await Promise.all(Array.from({ length: 3 }, () => node(t, from)))
  const outcomes = await Promise.all(hosts.map(async (host) => {
    try {
      return (await host.restore({ ...plain, url: from.url, target: 'vm', takeover: true })).generation
    } catch (error) {
      return codeOf(error)
    }
  }))
  const owner = (await replicaImages(from.url, {}))[0]
  const stores = await Promise.all(hosts.map(async (host) => (await host.engine.stats()).store))
  const winners = stores.filter((store, index) => outcomes[index] === owner.generation && store === owner.owner)
  t.is(winners.length, 1, JSON.stringify(outcomes))
  for (const outcome of outcomes) t.true(typeof outcome === 'number' || outcome === 'FENCED', String(outcome))
})
