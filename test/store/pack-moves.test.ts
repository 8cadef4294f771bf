import test from 'ava'
import { Buffer } from 'node:buffer'
import fs from 'node:fs'
import { join } from 'node:path'
import { PackFiles } from '../../src/store/pack-files.ts'
import type { IndexedRecord } from '../../src/store/pack-index.ts'
import { RecordReader } from '../../src/store/record-reader.ts'
import { goldenHeader, goldenPlains } from '../golden/pack-v1.ts'
import { Random } from '../random.ts'
import { env, packPaths, temporaryStore } from './support.ts'
import { digest, openChunkReader, openChunkStore, rebuildIndex } from './variant.ts'

const goldenPath = join(import.meta.dirname, '../golden/pack-v1.bin')

function fetched(directory: string, bytes: Uint8Array = fs.readFileSync(goldenPath)): string {
  const path = join(directory, 'tmp', 'fetched')
  fs.writeFileSync(path, bytes)
  return path
}

test('a pack from elsewhere is taken over once, and is there after opening again', async (t) => {
  const directory = temporaryStore(t)
  {
    await using store = await openChunkStore(env, directory)
    store.put(Buffer.from('own'), 'node')
    await store.sync()
    await using reader = await openChunkReader(env, directory)
    t.false(reader.has(digest(goldenPlains[2])))
    const pack = await store.adoptPack(fetched(directory))
    t.like(pack, { number: 2, closed: true, totals: { node: { records: 3 } } })
    t.is((await store.adoptPack(fetched(directory))).number, 2)
    for (const plain of goldenPlains) {
      t.true(reader.read(digest(plain)).equals(plain))
      t.is(store.put(plain, 'node').storedBytes, 0)
    }
    t.deepEqual(fs.readdirSync(join(directory, 'tmp')), [])
  }
  await using store = await openChunkStore(env, directory)
  for (const plain of [...goldenPlains, Buffer.from('own')]) t.true(store.read(digest(plain)).equals(plain))
  t.true(store.put(Buffer.from('own pack goes on'), 'node').storedBytes > 0)
  t.is(packPaths(directory).length, 2)
})

test('a pack that is cut, damaged or newer is not taken', async (t) => {
  const directory = temporaryStore(t)
  const golden = fs.readFileSync(goldenPath)
  await using store = await openChunkStore(env, directory)
  await t.throwsAsync(store.adoptPack(fetched(directory, golden.subarray(0, 700))), { code: 'DAMAGED' })
  await t.throwsAsync(store.adoptPack(fetched(directory, golden.subarray(0, 70))), { code: 'BAD_FORMAT' })
  const newer = Buffer.from(golden)
  newer[8] = 9
  await t.throwsAsync(store.adoptPack(fetched(directory, newer)), { code: 'NEWER_VERSION' })
  t.is(packPaths(directory).length, 0)
})

test('records move out of a pack that is then dropped; what stayed is gone, and stays gone', async (t) => {
  const directory = temporaryStore(t)
  const random = Random.announced(t)
  const own = random.bytes(900)
  const [raw, text, changed] = goldenPlains
  {
    await using store = await openChunkStore(env, directory)
    store.put(own, 'node')
    await store.sync()
    const pack = await store.adoptPack(fetched(directory))
    t.true(pack.packId.equals(goldenHeader.packId))
    using collection = store.beginCollection()
    for (const plain of [own, text, changed]) collection.live.keep(digest(plain))
    const done = await collection.execute(await collection.plan({}, { unusedShareMax: 0, openUnusedBytesMin: Infinity }), {})
    t.like(done, { droppedPacks: 0, rewrittenPacks: 1, kept: [] })
    t.deepEqual(store.packs().map(({ number }) => number), [1])
    await using reader = await openChunkReader(env, directory)
    for (const plain of [own, text, changed]) t.true(reader.read(digest(plain)).equals(plain))
    t.throws(() => reader.read(digest(raw)), { code: 'NOT_FOUND' })
    t.false(store.has(digest(raw)))
  }
  await rebuildIndex(env, directory)
  await using store = await openChunkStore(env, directory)
  for (const plain of [own, text, changed]) t.true(store.read(digest(plain)).equals(plain))
  t.throws(() => store.read(digest(raw)), { code: 'NOT_FOUND' })
  t.like(await store.verify(), { records: 3, damagedCount: 0, unindexed: 0 })
})

test('a record that moves while it is read is found at its new place', async (t) => {
  const directory = temporaryStore(t)
  await using store = await openChunkStore(env, directory)
  const pack = await store.adoptPack(fetched(directory))
  const id = digest(goldenPlains[0])
  const index = new Map<string, IndexedRecord>()
  for await (const record of store.records()) index.set(record.id.toString('hex'), record)
  const before = index.get(id.toString('hex'))
  t.truthy(before)
  {
    using collection = store.beginCollection()
    for (const plain of goldenPlains) collection.live.keep(digest(plain))
    await collection.execute(await collection.plan({}, { unusedShareMax: -1, openUnusedBytesMin: Infinity }), {})
  }
  t.false(store.packs().some(({ number }) => number === pack.number))
  for await (const record of store.records()) index.set(record.id.toString('hex'), record)
  let asked = 0
  const lookup = {
    locate: (wanted: Buffer, depth: number) => {
      const record = (asked++ === 0 ? before : index.get(wanted.toString('hex')))
      return record?.location.depth === depth ? record.location : undefined
    },
  }
  using files = new PackFiles(env, store.layout)
  t.true(new RecordReader(lookup, files).read(id).equals(goldenPlains[0]))
  t.is(asked, 2)
})

test('a pack whose file is gone costs its chunks only, and they can be put again', async (t) => {
  const directory = temporaryStore(t)
  {
    await using store = await openChunkStore(env, directory)
    store.put(Buffer.from('own'), 'node')
    await store.sync()
    await store.adoptPack(fetched(directory))
  }
  fs.unlinkSync(packPaths(directory)[1])
  await using store = await openChunkStore(env, directory)
  t.true(store.read(digest(Buffer.from('own'))).equals(Buffer.from('own')))
  for (const plain of goldenPlains) t.throws(() => store.read(digest(plain)), { code: 'DAMAGED' })
  for (const plain of goldenPlains) t.true(store.put(plain, 'node').storedBytes > 0)
  await store.sync()
  for (const plain of goldenPlains) t.true(store.read(digest(plain)).equals(plain))
})
