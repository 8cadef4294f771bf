/** Records that come from elsewhere: a source, copied packs, what a thread holds in memory. */
import test from 'ava'
import { Buffer } from 'node:buffer'
import fs from 'node:fs'
import { decodePackHeader, packHeaderBytes } from '../../src/format/pack-header.ts'
import { Random } from '../random.ts'
import { openChunkReader, openChunkStore } from './variant.ts'
import { recordsOf, StoreSource } from './store-source.ts'
import { AbsentChunk } from '../../src/store/record-source.ts'
import type { LocalChunkStore } from '../../src/store/local-chunk-store.ts'
import { env, packPaths, temporaryStore } from './support.ts'

/** Versions of one chunk in a store, each stored on the one before. */
async function versionsIn(store: LocalChunkStore, random: Random, count: number): Promise<Buffer[]> {
  const ids: Buffer[] = []
  let plain = random.chunk()
  for (let at = 0; at < count; at++) {
    ids.push(store.put(plain, 'data', ids.at(-1)).id)
    plain = random.laterVersion(plain)
  }
  await store.sync()
  return ids
}

test('a chunk that is not here comes from the source, with its bases, once and for good', async (t) => {
  const random = Random.announced(t)
  const there = temporaryStore(t)
  const here = temporaryStore(t)
  await using first = await openChunkStore(env, there)
  const ids = await versionsIn(first, random, 4)
  const source = new StoreSource(there)
  {
    await using store = await openChunkStore(env, here)
    t.throws(() => store.read(ids[3]), { code: 'NOT_FOUND' })
    store.source = source
    t.true(store.read(ids[3]).equals(first.read(ids[3])))
    t.true(store.read(ids[0]).equals(first.read(ids[0])))
    t.deepEqual(source.asked, [ids[3].toString('hex')])
    await store.sync()
  }
  await using store = await openChunkStore(env, here)
  for (const id of ids) t.true(store.read(id).equals(first.read(id)))
  t.deepEqual((await store.verify()).damaged, [])
})

test('copied records lie in packs of their own, which go on after a reopen beside the others', async (t) => {
  const random = Random.announced(t)
  const there = temporaryStore(t)
  const here = temporaryStore(t)
  await using first = await openChunkStore(env, there)
  const ids = await versionsIn(first, random, 4)
  const source = new StoreSource(there)
  const own: Buffer[] = []
  for (let session = 0; session < 3; session++) {
    await using store = await openChunkStore(env, here, { rebuildIndex: session === 2 })
    store.source = source
    store.read(ids[session])
    own.push(store.put(random.chunk(), 'data').id)
    await store.sync()
    t.deepEqual(store.packs().map(({ isCopied, closed }) => ({ isCopied, closed })), [
      { isCopied: true, closed: false }, { isCopied: false, closed: false },
    ])
  }
  const classes = packPaths(here).map((path) => decodePackHeader(fs.readFileSync(path).subarray(0, packHeaderBytes)).isCopied)
  t.deepEqual(classes, [true, false])
  const copied = recordsOf(here)
  for (const id of [...own, ...ids.slice(0, 3)]) t.true(copied.has(id.toString('hex')))
})

test('a damaged record is healed by the source', async (t) => {
  const random = Random.announced(t)
  const there = temporaryStore(t)
  const here = temporaryStore(t)
  await using first = await openChunkStore(env, there)
  const [id] = await versionsIn(first, random, 1)
  {
    await using store = await openChunkStore(env, here)
    store.put(first.read(id), 'data')
    await store.sync()
  }
  const [path] = packPaths(here)
  const bytes = fs.readFileSync(path)
  bytes[packHeaderBytes + 1000] ^= 1
  fs.writeFileSync(path, bytes)
  {
    await using store = await openChunkStore(env, here)
    t.throws(() => store.read(id), { code: 'DAMAGED' })
    store.source = new StoreSource(there)
    t.true(store.read(id).equals(first.read(id)))
    await store.sync()
  }
  await using reader = await openChunkReader(env, here)
  t.true(reader.read(id).equals(first.read(id)))
})

test('a source that gives something else is not believed', async (t) => {
  const random = Random.announced(t)
  const there = temporaryStore(t)
  await using first = await openChunkStore(env, there)
  const [id, other] = await versionsIn(first, random, 2)
  await using store = await openChunkStore(env, temporaryStore(t))
  const records = recordsOf(there)
  const record = records.get(id.toString('hex'))!
  const cases: { what: string; records: Buffer[] }[] = [
    { what: 'nothing sound', records: [Buffer.alloc(100)] },
    { what: 'bytes behind it', records: [Buffer.concat([record, Buffer.alloc(1)])] },
    { what: 'a delta without its base', records: [records.get(other.toString('hex'))!] },
  ]
  for (const { what, records: given } of cases) {
    store.source = { fetch: () => given }
    t.throws(() => store.read(id), { instanceOf: Error }, what)
    t.is(store.packs().length, 0, what)
  }
  // One whose checksum fits and whose bytes are another chunk's: only the digest tells.
  const forged = Buffer.from(record)
  other.copy(forged, 24)
  const { crc32 } = await import('node:zlib')
  forged.writeUInt32LE(crc32(forged.subarray(8)), 4)
  store.source = { fetch: () => [forged] }
  t.throws(() => store.read(other), { code: 'DAMAGED' })
  store.source = undefined
  t.throws(() => store.read(other), { code: 'NOT_FOUND' })
})

test('a thread that may not wait is told, and reads what it is then given', async (t) => {
  const random = Random.announced(t)
  const there = temporaryStore(t)
  const here = temporaryStore(t)
  await using first = await openChunkStore(env, there)
  await using _writer = await openChunkStore(env, here)
  const ids = await versionsIn(first, random, 3)
  const source = new StoreSource(there)
  await using reader = await openChunkReader(env, here, source)
  reader.absentPolicy = 'tell'
  const told = t.throws(() => reader.read(ids[2]), { instanceOf: AbsentChunk })
  t.true(told.id.equals(ids[2]))
  t.deepEqual(source.asked, [])
  reader.admit(source.fetch([ids[2]]))
  t.true(reader.read(ids[2]).equals(first.read(ids[2])))
  reader.absentPolicy = 'wait'
  const [other] = await versionsIn(first, random, 1)
  await using waiting = await openChunkReader(env, here, new StoreSource(there))
  t.true(waiting.read(other).equals(first.read(other)))
})
