import test from 'ava'
import { Buffer } from 'node:buffer'
import fs from 'node:fs'
import { basename, join } from 'node:path'
import { Random } from '../random.ts'
import { FailingEnv, type Operation } from './failing-env.ts'
import { env, packPaths, temporaryStore } from './support.ts'
import { digest, initStore, openChunkReader, openChunkStore } from './variant.ts'

test('a pack’s header and name are durable before records, records before sync returns', async (t) => {
  const directory = temporaryStore(t)
  const watched = new FailingEnv()
  await using store = await openChunkStore(watched.env, directory)
  watched.calls.length = 0
  store.put(Buffer.from('one'), 'node')
  t.deepEqual(watched.calls, ['createNew *.pack', 'write *.pack', 'sync *.pack', 'syncDirectory packs'])
  watched.calls.length = 0
  store.put(Buffer.from('two'), 'node')
  await store.sync()
  t.deepEqual(watched.calls, ['write *.pack', 'sync *.pack'])
  watched.calls.length = 0
  store.put(Buffer.from('one'), 'node')
  await store.sync()
  t.deepEqual(watched.calls, [], 'nothing new, nothing written')
})

test('a pack’s records are durable before the footer that vouches for them is written', async (t) => {
  const directory = temporaryStore(t)
  const watched = new FailingEnv()
  const random = Random.announced(t)
  await using store = await openChunkStore(watched.env, directory, { packBytesMax: 256 * 1024 })
  store.put(random.bytes(65_536), 'data')
  watched.calls.length = 0
  while (!watched.calls.includes('createNew *.pack')) store.put(random.bytes(65_536), 'data')
    t.deepEqual(watched.calls.slice(0, watched.calls.indexOf('createNew *.pack')).slice(0, 4), ['write *.pack', 'sync *.pack', 'write *.pack', 'sync *.pack'])
})

test('the mark of an index that is being opened is gone for good once it is open', async (t) => {
  const directory = temporaryStore(t)
  const watched = new FailingEnv()
  await (await openChunkStore(watched.env, directory)).close()
  const at = watched.calls.indexOf('unlink index.opening')
  t.true(at >= 0)
  t.is(watched.calls[at + 1], `syncDirectory ${basename(directory)}`)
  watched.failing = { operation: 'syncDirectory', after: 0 }
  await t.throwsAsync(openChunkStore(watched.env, directory), { code: 'IO' })
  await using store = await openChunkStore(env, directory)
  t.true(store.put(Buffer.from('one'), 'node').storedBytes > 0, 'nothing of the failed opening holds the store')
})

test('a store’s identity is published last', (t) => {
  const directory = join(temporaryStore(t), 'inner')
  const watched = new FailingEnv()
  initStore(watched.env, directory)
  const expected = ['write store.json.tmp', 'sync store.json.tmp', 'rename store.json', 'syncDirectory inner']
  t.deepEqual(watched.calls.slice(-4), expected)
})

for (const operation of ['write', 'sync', 'createNew', 'syncDirectory'] satisfies Operation[]) {
  test(`after a failed ${operation} the store only closes, and opens again with all that was synced`, async (t) => {
    const directory = temporaryStore(t)
    const random = Random.announced(t)
    const synced: Buffer[] = []
    const watched = new FailingEnv()
    if (operation === 'write' || operation === 'sync') {
      await using store = await openChunkStore(env, directory)
      synced.push(random.bytes(500))
      store.put(synced[0], 'node')
      await store.sync()
    }
    {
      await using store = await openChunkStore(watched.env, directory)
      watched.failing = { operation, after: 0 }
      await t.throwsAsync(async () => {
        store.put(random.bytes(700), 'node')
        await store.sync()
      }, { code: 'IO' })
      t.throws(() => store.put(random.bytes(10), 'node'), { code: 'FAILED_STATE' })
      await t.throwsAsync(store.sync(), { code: 'FAILED_STATE' })
      for (const plain of synced) t.true(store.read(digest(plain)).equals(plain))
    }
    await using store = await openChunkStore(env, directory)
    for (const plain of synced) t.true(store.read(digest(plain)).equals(plain))
    t.deepEqual((await store.verify()).damaged, [])
    t.true(store.put(random.bytes(20), 'node').storedBytes > 0)
    await store.sync()
  })
}

test('the name of a pack that its maker could not sync is durable before records in it are', async (t) => {
  const directory = temporaryStore(t)
  const watched = new FailingEnv()
  {
    await using store = await openChunkStore(watched.env, directory)
    watched.failing = { operation: 'syncDirectory', after: 0 }
    t.throws(() => store.put(Buffer.from('one'), 'node'), { code: 'IO' })
  }
  const [path] = packPaths(directory)
  watched.calls.length = 0
  await using store = await openChunkStore(watched.env, directory)
  store.put(Buffer.from('one'), 'node')
  await store.sync()
  t.deepEqual(packPaths(directory), [path])
  t.true(watched.calls.includes('syncDirectory packs'))
})

test('what a failed sync left behind is not taken for durable by the next one', async (t) => {
  const directory = temporaryStore(t)
  const plain = Random.announced(t).bytes(700)
  const watched = new FailingEnv()
  {
    await using store = await openChunkStore(env, directory)
    store.put(Buffer.from('one'), 'node')
    await store.sync()
  }
  {
    await using store = await openChunkStore(watched.env, directory)
    watched.failing = { operation: 'sync', after: 0 }
    store.put(plain, 'node')
    await t.throwsAsync(store.sync(), { code: 'IO' })
  }
  watched.calls.length = 0
  await using store = await openChunkStore(watched.env, directory)
  store.put(plain, 'node')
  await store.sync()
  // The system counts what it failed to write as written: another sync is content, and the bytes are nowhere.
  t.true(watched.calls.includes('write *.pack'))
  t.true(store.read(digest(Buffer.from('one'))).equals(Buffer.from('one')))
})

test('records that reached the pack but not the index are found again', async (t) => {
  const directory = temporaryStore(t)
  const random = new Random(5)
  const plains = Array.from({ length: 20 }, () => random.bytes(300))
  const index = join(directory, 'index')
  const kept = join(directory, 'kept')
  {
    await using store = await openChunkStore(env, directory)
    for (const plain of plains.slice(0, 10)) store.put(plain, 'node')
    await store.sync()
  }
  fs.cpSync(index, kept, { recursive: true })
  {
    await using store = await openChunkStore(env, directory)
    for (const plain of plains.slice(10)) store.put(plain, 'node')
    await store.sync()
  }
  fs.rmSync(index, { recursive: true })
  fs.renameSync(kept, index)
  {
    await using store = await openChunkStore(env, directory)
    t.is(store.stats().node.records, 20)
  }
  await using reader = await openChunkReader(env, directory)
  for (const plain of plains) t.true(reader.read(digest(plain)).equals(plain))
  t.is(packPaths(directory).length, 1)
})

test('a chunk found bad is no hit, and is healed where its dependants find it', async (t) => {
  const directory = temporaryStore(t)
  const random = Random.announced(t)
  const versions = [random.bytes(3000)]
  for (let n = 0; n < 3; n++) versions.push(random.laterVersion(versions[n], 2))
  {
    await using store = await openChunkStore(env, directory)
    for (const [n, plain] of versions.entries()) store.put(plain, 'node', n > 0 ? digest(versions[n - 1]) : undefined)
    await store.sync()
  }
  const [path] = packPaths(directory)
  const bytes = fs.readFileSync(path)
  bytes[bytes.indexOf(digest(versions[1])) + 80] ^= 1
  fs.writeFileSync(path, bytes)
  {
    await using store = await openChunkStore(env, directory)
    t.true(store.read(digest(versions[0])).equals(versions[0]))
    for (const plain of versions.slice(1)) t.throws(() => store.read(digest(plain)), { code: 'DAMAGED' })
    t.true(store.put(versions[1], 'node').storedBytes > 0)
    await store.sync()
  }
  await using reader = await openChunkReader(env, directory)
  for (const plain of versions) t.true(reader.read(digest(plain)).equals(plain))
})
