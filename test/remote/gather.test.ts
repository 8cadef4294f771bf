/** Chunks from replicas: found, proved, taken from the next one when one fails, and put right. */
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { Buffer } from 'node:buffer'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemEnv } from '../../src/env/system.ts'
import { readRecordHeader } from '../../src/format/pack-record.ts'
import { ImageFiles } from '../../src/image/image-files.ts'
import { openLocalEngine } from '../../src/image/local-engine.ts'
import type { Engine } from '../../src/image/engine.ts'
import { WaitingFetchClient } from '../../src/image/remote/fetch-client.ts'
import { RemoteRecords } from '../../src/image/remote/remote-records.ts'
import { DirectoryReplica } from '../../src/replica/directory.ts'
import { initStore, readIdentity } from '../../src/store/identity.ts'
import { openChunkReader, openChunkStore } from '../../src/store/open.ts'
import { StoreLayout } from '../../src/store/layout.ts'
import { seed } from './seed.ts'
import type { Seeding } from './seed.ts'

const env = systemEnv()

interface Origin {
  readonly parent: string
  readonly store: string
  /** The contents of the image's one file. */
  readonly contents: Buffer
}

/** A store with an image of one file in two versions. */
async function origin(t: ExecutionContext): Promise<Origin> {
  const parent = fs.mkdtempSync(join(tmpdir(), 'holdfast-remote-'))
  t.teardown(() => fs.rmSync(parent, { recursive: true, force: true }))
  const contents = Buffer.alloc(3_000_000)
  for (let at = 0; at < contents.length; at += 7) contents.writeUInt8((at * at) % 251, at)
  const base = join(parent, 'disk')
  fs.writeFileSync(base, contents)
  const store = join(parent, 'store')
  initStore(env, store)
  await using engine = await openLocalEngine(store)
  await engine.createImage({ image: 'vm', base: [base] })
  return { parent, store, contents }
}

async function directoryReplica(t: ExecutionContext, { parent, store }: Origin, name: string, seeding: Seeding = {}): Promise<DirectoryReplica> {
  const root = join(parent, name)
  fs.mkdirSync(root)
  const replica = new DirectoryReplica(env, root)
  t.teardown(() => replica.close())
  await seed(replica, store, 'vm', seeding)
  return replica
}

interface Node {
  readonly engine: Engine
  readonly remote: RemoteRecords
  readonly events: string[]
}

/** An empty store in the domain of the origin that knows the image's record and nothing else. */
async function hollowNode(t: ExecutionContext, from: Origin, urls: string[]): Promise<Node> {
  const store = fs.mkdtempSync(join(from.parent, 'node-'))
  const { domainId } = readIdentity(env, new StoreLayout(from.store))
  initStore(env, store, { domain: { domainId, keys: null } })
  const engine = await openLocalEngine(store)
  const events: string[] = []
  const remote = new RemoteRecords({
    directory: store, attach: (port) => engine.attachSource(port), keep: (parcel) => engine.keepRecords({ parcel }), onEvent: (message) => events.push(message),
  })
  t.teardown(async () => {
    await remote.close()
    await engine.close()
  })
  for (const url of urls) await engine.addSource({ url })
  remote.use(urls)
  const files = new ImageFiles(env, from.store, 'vm', null)
  const { id, createdMs } = files.identity()
  const { epochIdentityOf } = await import('../../src/format/epoch.ts')
  await engine.installImage({
    image: 'vm', id: id.toString('hex'), origin: { kind: 'base' }, createdMs, head: 0, nextNumber: 1,
    records: [epochIdentityOf(fs.readFileSync(files.layout.epoch(0)))],
  })
  return { engine, remote, events }
}

async function exported({ engine }: Node, parent: string): Promise<Buffer> {
  const file = join(parent, `out-${Math.random()}`)
  await engine.exportFile({ epoch: 'vm@0', path: '/disk', file, format: 'raw' })
  return fs.readFileSync(file)
}

const layouts: Record<string, Seeding> = {
  'whole packs': {},
  'ranges of packs': { rangeBytes: 200_000 },
  'many index runs': { runEntries: 7, rangeBytes: 100_000 },
}

for (const [what, seeding] of Object.entries(layouts)) {
  test(`an image whose chunks are on a replica only is read whole: ${what}`, async (t) => {
    t.timeout(480_000)
    const from = await origin(t)
    const replica = await directoryReplica(t, from, 'replica', seeding)
    const node = await hollowNode(t, from, [replica.url])
    t.true((await exported(node, from.parent)).equals(from.contents))
    t.like(await node.engine.check({ readData: true }), { damaged: [] })
    // From now on it is here.
    fs.rmSync(join(from.parent, 'replica'), { recursive: true })
    t.true((await exported(node, from.parent)).equals(from.contents))
  })
}

test('what is absent is fetched in windows, and then nothing is absent any more', async (t) => {
  t.timeout(480_000)
  const from = await origin(t)
  const replica = await directoryReplica(t, from, 'replica')
  const node = await hollowNode(t, from, [replica.url])
  const { ids } = await node.engine.absentChunks({ epoch: 'vm@0' })
  t.is(ids.length / 32, Math.ceil(from.contents.length / 65_536))
  const all = Buffer.from(ids)
  const fetched = await node.remote.fetch(Array.from({ length: all.length / 32 }, (_, at) => all.subarray(at * 32, at * 32 + 32)))
  t.true(fetched.readBytes > 0)
  await node.remote.kept()
  t.is((await node.engine.absentChunks({ epoch: 'vm@0' })).ids.length, 0)
  fs.rmSync(join(from.parent, 'replica'), { recursive: true })
  t.true((await exported(node, from.parent)).equals(from.contents))
})

for (const [what, isDamaged] of [['as they lie', false], ['the damaged ones from elsewhere', true]] as const) {
  test(`records fetched ahead are held in memory, then in the store: ${what}`, async (t) => {
    t.timeout(480_000)
    const from = await origin(t)
    const first = await directoryReplica(t, from, 'first')
    const second = await directoryReplica(t, from, 'second')
    if (isDamaged) {
      for (const path of packObjects(join(from.parent, 'first'))) {
        const bytes = fs.readFileSync(path)
        bytes[Math.floor(bytes.length / 2)] ^= 0x10
        fs.writeFileSync(path, bytes)
      }
    }
    const node = await hollowNode(t, from, [first.url, second.url])
    const { ids } = await node.engine.absentChunks({ epoch: 'vm@0' })
    const wanted = Array.from({ length: ids.length / 32 }, (_, at) => Buffer.from(ids.subarray(at * 32, at * 32 + 32)))
    const reader = await openChunkReader(env, from.store)
    t.teardown(() => reader.close())
    const { parcel } = await node.remote.fetchAhead(wanted.flatMap((id) => reader.places(id)))
    t.true(parcel.lengths.length >= wanted.length)
    fs.rmSync(join(from.parent, 'first'), { recursive: true })
    fs.rmSync(join(from.parent, 'second'), { recursive: true })
    t.is((await node.engine.absentChunks({ epoch: 'vm@0' })).ids.length, ids.length)
    t.true((await exported(node, from.parent)).equals(from.contents))
    await node.remote.close()
    t.is((await node.engine.absentChunks({ epoch: 'vm@0' })).ids.length, 0)
    t.true((await exported(node, from.parent)).equals(from.contents))
  })
}

test('a replica that is away, lacks packs or lies is passed over for the next one', async (t) => {
  t.timeout(480_000)
  const from = await origin(t)
  const good = await directoryReplica(t, from, 'good')
  const bad = await directoryReplica(t, from, 'bad', { rangeBytes: 100_000 })
  for (const [index, path] of packObjects(join(from.parent, 'bad')).entries()) {
    if (index % 2 === 0) fs.rmSync(path)
  }
  const node = await hollowNode(t, from, [`file://${from.parent}/nowhere`, bad.url, good.url])
  t.true((await exported(node, from.parent)).equals(from.contents))
})

test('a damaged copy is noticed, put right from a good one, and never served', async (t) => {
  t.timeout(480_000)
  const from = await origin(t)
  const good = await directoryReplica(t, from, 'good', { rangeBytes: 300_000 })
  const bad = await directoryReplica(t, from, 'bad', { rangeBytes: 300_000 })
  const sound = packObjects(join(from.parent, 'bad')).map((path) => fs.readFileSync(path))
  for (const path of packObjects(join(from.parent, 'bad'))) {
    const bytes = fs.readFileSync(path)
    bytes[Math.floor(bytes.length / 2)] ^= 0x10
    fs.writeFileSync(path, bytes)
  }
  const node = await hollowNode(t, from, [bad.url, good.url])
  t.true((await exported(node, from.parent)).equals(from.contents))
  await until(() => node.events.some((event) => event.includes('is damaged')))
  await until(() => packObjects(join(from.parent, 'bad')).every((path, index) => fs.readFileSync(path).equals(sound[index])))
})

test('what nobody has is NOT_FOUND, what is damaged everywhere DAMAGED, what is away for now REPLICA_UNREACHABLE', async (t) => {
  t.timeout(480_000)
  const from = await origin(t)
  const replica = await directoryReplica(t, from, 'replica')
  const node = await hollowNode(t, from, [replica.url])
  await t.throwsAsync(node.remote.fetch([Buffer.alloc(32, 7)]), { code: 'NOT_FOUND' })
  const { ids } = await node.engine.absentChunks({ epoch: 'vm@0' })
  const [first] = [Buffer.from(ids.subarray(0, 32))]
  for (const path of packObjects(join(from.parent, 'replica'))) {
    const bytes = fs.readFileSync(path)
    bytes.fill(0xff, 100)
    fs.writeFileSync(path, bytes)
  }
  await t.throwsAsync(node.remote.fetch([first]), { code: 'DAMAGED' })
})

test('hostile index runs and lists are refused before anything is believed', async (t) => {
  t.timeout(480_000)
  const from = await origin(t)
  const hostile = await directoryReplica(t, from, 'hostile')
  const good = await directoryReplica(t, from, 'good')
  const indexes = join(from.parent, 'hostile', 'indexes')
  for (const store of fs.readdirSync(indexes)) {
    for (const run of fs.readdirSync(join(indexes, store))) {
      const path = join(indexes, store, run)
      const bytes = fs.readFileSync(path)
      bytes.writeUInt32LE(0xffff_ffff, bytes.length - 28)
      fs.writeFileSync(path, bytes)
    }
    fs.writeFileSync(join(indexes, store, '0-00000077'), Buffer.alloc(10))
    fs.mkdirSync(join(indexes, store, '0-00000078'))
  }
  const node = await hollowNode(t, from, [hostile.url, good.url])
  t.true((await exported(node, from.parent)).equals(from.contents))
  await until(() => node.events.some((event) => event.includes('index run')))
})

function packObjects(root: string): string[] {
  const packs = join(root, 'packs')
  return fs.readdirSync(packs).sort().flatMap((pack) => fs.readdirSync(join(packs, pack)).sort().map((name) => join(packs, pack, name)))
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 20))
}

test('what a delta builds on comes with it unless a pack of the store has it, whoever was given it before', async (t) => {
  t.timeout(480_000)
  const from = await origin(t)
  const before = Buffer.alloc(65_536, 'as it was')
  const after = Buffer.from(before)
  after.write('changed', 1000)
  const ids: Buffer[] = []
  {
    await using chunks = await openChunkStore(env, from.store)
    ids.push(chunks.put(before, 'data').id)
    ids.push(chunks.put(after, 'data', ids[0]).id)
    await chunks.sync()
  }
  const replica = await directoryReplica(t, from, 'replica')
  const store = fs.mkdtempSync(join(from.parent, 'node-'))
  initStore(env, store, { domain: { domainId: readIdentity(env, new StoreLayout(from.store)).domainId, keys: null } })
  await using engine = await openLocalEngine(store)
  let waiting: WaitingFetchClient | undefined
  await using remote = new RemoteRecords({
    directory: engine.directory, attach: (port) => (waiting = new WaitingFetchClient(port)), keep: async () => undefined, onEvent: () => undefined,
  })
  remote.use([replica.url])
  await remote.fetch([ids[0]])
  const given = waiting!.fetch([ids[1]]).map((record) => readRecordHeader(record, 0)!.id.toString('hex'))
  t.deepEqual(given, ids.map((id) => id.toString('hex')))
})
