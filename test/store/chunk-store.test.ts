import test from 'ava'
import { Buffer } from 'node:buffer'
import fs from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { once } from 'node:events'
import { chunkBytes, pendingRecordsMax } from '../../src/limits.ts'
import { Random } from '../random.ts'
import { env, packPaths, temporaryStore } from './support.ts'
import { digest, initStore, openChunkReader, openChunkStore, rebuildIndex } from './variant.ts'

test('what is put is read: at once, after a sync, after opening again', async (t) => {
  const directory = temporaryStore(t)
  const random = Random.announced(t)
  const chunks = [random.chunk(), random.bytes(chunkBytes), Buffer.alloc(chunkBytes, 7), Buffer.alloc(chunkBytes)]
  const nodes = [Buffer.from('x'), random.bytes(4096), Buffer.alloc(chunkBytes, 1)]
  const ids: Buffer[] = []
  {
    await using store = await openChunkStore(env, directory)
    for (const chunk of chunks) ids.push(store.put(chunk, 'data').id)
    for (const node of nodes) ids.push(store.put(node, 'node').id)
    for (const [at, plain] of [...chunks, ...nodes].entries()) t.true(store.read(ids[at]).equals(plain))
    await store.sync()
    t.like(store.stats(), { packs: 1, data: { records: 4 }, node: { records: 3 } })
  }
  await using store = await openChunkStore(env, directory)
  for (const [at, plain] of [...chunks, ...nodes].entries()) {
    t.true(store.read(ids[at]).equals(plain))
    t.true(ids[at].equals(digest(plain)))
    t.true(store.has(ids[at]))
  }
  t.like(store.stats(), { packs: 1, data: { records: 4, plainBytes: 4 * chunkBytes }, node: { records: 3 } })
  t.false(store.has(digest(Buffer.from('never'))))
  t.throws(() => store.read(digest(Buffer.from('never'))), { code: 'NOT_FOUND' })
})

test('a chunk is stored once, within a sync and across sessions', async (t) => {
  const directory = temporaryStore(t)
  const chunk = Random.announced(t).chunk()
  {
    await using store = await openChunkStore(env, directory)
    t.true(store.put(chunk, 'data').storedBytes > 0)
    t.is(store.put(chunk, 'data').storedBytes, 0)
    await store.sync()
    t.is(store.put(chunk, 'data').storedBytes, 0)
  }
  await using store = await openChunkStore(env, directory)
  t.is(store.put(chunk, 'data').storedBytes, 0)
  await store.sync()
  t.is(packPaths(directory).length, 1)
})

test('versions of a chunk become deltas, at most three deep, and stay readable', async (t) => {
  const directory = temporaryStore(t)
  const random = Random.announced(t)
  const versions = [random.chunk()]
  for (let n = 0; n < 30; n++) versions.push(random.laterVersion(versions[n]))
  const ids: Buffer[] = []
  {
    await using store = await openChunkStore(env, directory)
    let wholeBytes = 0
    let deltaBytes = 0
    for (const [n, version] of versions.entries()) {
      const { id, storedBytes } = store.put(version, 'data', ids.at(-1))
      ids.push(id)
      if (n === 0) wholeBytes = storedBytes
      else deltaBytes += storedBytes
    }
    await store.sync()
    t.true(deltaBytes < 10 * wholeBytes, `30 versions take ${deltaBytes} bytes, the first ${wholeBytes}`)
    for await (const { location } of store.records()) t.true(location.depth <= 3)
  }
  await using reader = await openChunkReader(env, directory)
  for (const at of ids.keys()) t.true(reader.read(ids[at]).equals(versions[at]))
})

test('node chunks of different lengths are deltas of each other', async (t) => {
  const directory = temporaryStore(t)
  const random = Random.announced(t)
  const long = random.bytes(4096)
  const short = Buffer.from(long.subarray(0, 3000))
  const longer = Buffer.concat([long, random.bytes(200)])
  await using store = await openChunkStore(env, directory)
  const first = store.put(long, 'node')
  const second = store.put(short, 'node', first.id)
  const third = store.put(longer, 'node', second.id)
  t.true(second.storedBytes < 300)
  t.true(third.storedBytes < 2000)
  await store.sync()
  await using reader = await openChunkReader(env, directory)
  t.true(reader.read(second.id).equals(short))
  t.true(reader.read(third.id).equals(longer))
})

test('a base that is not there is no base', async (t) => {
  const directory = temporaryStore(t)
  const chunk = Random.announced(t).chunk()
  await using store = await openChunkStore(env, directory)
  const { id } = store.put(chunk, 'data', digest(Buffer.from('nowhere')))
  t.true(store.read(id).equals(chunk))
})

test('a second writer is refused, and none once the first is closed', async (t) => {
  const directory = temporaryStore(t)
  const store = await openChunkStore(env, directory)
  await t.throwsAsync(openChunkStore(env, directory), { code: 'LOCKED' })
  await store.close()
  await store.close()
  t.throws(() => store.put(Buffer.from('x'), 'node'), { code: 'FAILED_STATE' })
  await (await openChunkStore(env, directory)).close()
})

test('what is no store says so, and a newer one too', async (t) => {
  const directory = temporaryStore(t)
  t.throws(() => initStore(env, directory), { code: 'EXISTS' })
  await t.throwsAsync(openChunkStore(env, join(directory, 'packs')), { code: 'NOT_FOUND' })
  const path = join(directory, 'store.json')
  const text = fs.readFileSync(path, 'utf8')
  fs.writeFileSync(path, text.replace('"version":1', '"version":2'))
  await t.throwsAsync(openChunkStore(env, directory), { code: 'NEWER_VERSION' })
  fs.writeFileSync(path, text.replace('holdfast store', 'another thing'))
  await t.throwsAsync(openChunkStore(env, directory), { code: 'BAD_FORMAT' })
  fs.writeFileSync(path, text.replace(/"storeId":"./, '"storeId":"z'))
  await t.throwsAsync(openChunkStore(env, directory), { code: 'DAMAGED' })
  fs.writeFileSync(path, 'nonsense')
  await t.throwsAsync(openChunkStore(env, directory), { code: 'BAD_FORMAT' })
})

test('a deleted or broken index is made again and equal', async (t) => {
  const directory = temporaryStore(t)
  const random = Random.announced(t)
  const plains = Array.from({ length: 40 }, () => random.bytes(1 + random.below(3000)))
  {
    await using store = await openChunkStore(env, directory)
    for (const [at, plain] of plains.entries()) store.put(plain, 'node', at > 0 ? digest(plains[at - 1]) : undefined)
    await store.sync()
  }
  const before = await listing(directory)
  const index = join(directory, 'index')
  const steps: string[] = []
  const breakings = [
    () => fs.rmSync(index, { recursive: true }),
    () => fs.writeFileSync(join(index, 'CURRENT'), 'MANIFEST-999999\n'),
    () => { for (const name of fs.readdirSync(index)) fs.truncateSync(join(index, name), 3) },
  ]
  for (const [round, breakIndex] of breakings.entries()) {
    breakIndex()
    {
      await using store = await openChunkStore(env, directory, { progress: ({ step }) => steps.push(step) })
      for (const plain of plains) t.true(store.read(digest(plain)).equals(plain))
    }
    t.deepEqual(await listing(directory), before)
    t.is(steps.filter((step) => step === 'rebuilding the index').length, round + 1)
  }
  await rebuildIndex(env, directory)
  t.deepEqual(await listing(directory), before)
})

async function listing(directory: string): Promise<string[]> {
  await using store = await openChunkStore(env, directory)
  const lines: string[] = [JSON.stringify(store.stats())]
  for await (const { id, location } of store.records()) lines.push(id.toString('hex') + JSON.stringify(location))
  return lines
}

test('a reader in another thread sees what a sync published', async (t) => {
  const directory = temporaryStore(t)
  const random = Random.announced(t)
  await using store = await openChunkStore(env, directory)
  const worker = new Worker(new URL('reading-worker.ts', import.meta.url), { workerData: directory })
  t.teardown(() => worker.terminate())
  t.is((await once(worker, 'message'))[0], 'ready')
  for (let round = 0; round < 5; round++) {
    const chunk = random.chunk()
    const { id } = store.put(chunk, 'data')
    worker.postMessage(id)
    t.is((await once(worker, 'message'))[0], 'NOT_FOUND')
    await store.sync()
    worker.postMessage(id)
    t.true(chunk.equals((await once(worker, 'message'))[0]))
  }
  worker.postMessage('stop')
  await once(worker, 'exit')
})

test('puts without end publish themselves', async (t) => {
  const directory = temporaryStore(t)
  await using store = await openChunkStore(env, directory)
  const plain = Buffer.alloc(8)
  for (let n = 0; n <= pendingRecordsMax; n++) {
    plain.writeUInt32LE(n)
    store.put(plain, 'node')
  }
  await using reader = await openChunkReader(env, directory)
  plain.writeUInt32LE(17)
  t.true(reader.read(digest(plain)).equals(plain))
  plain.writeUInt32LE(pendingRecordsMax)
  t.throws(() => reader.read(digest(plain)), { code: 'NOT_FOUND' })
  await store.sync()
  t.true(reader.read(digest(plain)).equals(plain))
})

test('concurrent syncs and puts lose nothing', async (t) => {
  const directory = temporaryStore(t)
  const random = new Random(1)
  const plains: Buffer[] = []
  {
    await using store = await openChunkStore(env, directory)
    const syncs: Promise<void>[] = []
    for (let n = 0; n < 200; n++) {
      plains.push(random.bytes(100))
      store.put(plains[n], 'node')
      if (n % 10 === 0) syncs.push(store.sync())
      if (n % 50 === 0) await syncs.at(-1)
      for (const plain of plains) t.true(store.has(digest(plain)))
    }
    await Promise.all([...syncs, store.sync()])
  }
  await using reader = await openChunkReader(env, directory)
  for (const plain of plains) t.true(reader.read(digest(plain)).equals(plain))
})
