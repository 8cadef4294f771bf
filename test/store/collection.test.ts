import test from 'ava'
import type { ExecutionContext } from 'ava'
import { Buffer } from 'node:buffer'
import fs from 'node:fs'
import { join } from 'node:path'
import { digest } from '../../src/chunk/digest.ts'
import { isCode } from '../../src/errors.ts'
import type { PackEntry } from '../../src/format/keys.ts'
import { packHeaderBytes } from '../../src/format/pack-header.ts'
import { codecRaw, kindNode } from '../../src/format/pack-record.ts'
import { chunkBytes, storeFreeBytesMin } from '../../src/limits.ts'
import { IdSet } from '../../src/store/collection/id-set.ts'
import { planPacks } from '../../src/store/collection/pack-plan.ts'
import type { LocalChunkStore } from '../../src/store/local-chunk-store.ts'
import { openChunkReader, openChunkStore, rebuildIndex } from '../../src/store/open.ts'
import { PackIndex, deleteRecord, putRecord } from '../../src/store/pack-index.ts'
import { Random } from '../random.ts'
import { FailingEnv, type Operation } from './failing-env.ts'
import { StoreSource } from './store-source.ts'
import { env, packPaths, temporaryStore } from './support.ts'

test('a set of ids holds what was added, with depths apart, however it grows', (t) => {
  const random = Random.announced(t)
  for (const idBytes of [6, 16] as const) {
    const set = new IdSet(10, idBytes, random.below(2 ** 31))
    const expected = new Set<string>()
    const ids = Array.from({ length: 5000 }, () => random.bytes(32))
    ids.push(Buffer.alloc(32), Buffer.alloc(32, 0).fill(1, 4))
    for (const id of ids) {
      const depth = random.below(3)
      t.is(set.add(id, depth), !expected.has(`${id.toString('hex')}${depth}`))
      expected.add(`${id.toString('hex')}${depth}`)
    }
    for (const id of ids) for (const depth of [0, 1, 2]) t.is(set.has(id, depth), expected.has(`${id.toString('hex')}${depth}`))
    t.is(set.count, expected.size)
    t.false(set.has(random.bytes(32)))
  }
})

test('a plan drops what is dead, rewrites what is mostly dead, and leaves open and damaged packs', (t) => {
  const pack = { number: 1, fileBytes: 1000, isOpen: false, isDamaged: false, recordBytes: 900, liveBytes: 900, liveRecords: 9 }
  const packs = [
    pack, { ...pack, number: 2, liveBytes: 0, liveRecords: 0 }, { ...pack, number: 3, liveBytes: 600 }, { ...pack, number: 4, liveBytes: 100 },
    { ...pack, number: 5, liveBytes: 0, liveRecords: 0, isOpen: true }, { ...pack, number: 6, liveBytes: 0, liveRecords: 0, isDamaged: true },
    { ...pack, number: 7, liveBytes: 700 },
  ]
  const plan = planPacks(packs)
  t.deepEqual(plan.drop.map(({ number }) => number), [2])
  t.deepEqual(plan.rewrite.map(({ number }) => number), [4, 3])
  t.is(plan.freedBytes, 1000 + 900 + 400)
  t.is(plan.movedBytes, 700)
  t.is(plan.unusedBytes, 900 + 900 + 200)
})

interface Filled {
  readonly directory: string
  /** Versions of some chunks, deltas of each other. */
  readonly chunks: Buffer[]
  /** By version: which chunks are current. */
  readonly versions: number[][]
}

/** Some packs of chunks that change from version to version. */
async function filled(t: ExecutionContext, random: Random, versionCount: number): Promise<Filled> {
  const directory = temporaryStore(t)
  const chunks: Buffer[] = []
  const versions: number[][] = []
  for (let version = 0; version < versionCount; version++) {
    await using store = await openChunkStore(env, directory)
    const before = versions.at(-1)
    const current: number[] = []
    for (let at = 0; at < 12; at++) {
      const last = before?.[at]
      if (last !== undefined && random.below(3) > 0) {
        current.push(last)
        continue
      }
      const isNew = last === undefined || random.below(2) === 0
      const chunk = isNew ? random.chunk() : random.laterVersion(chunks[last])
      store.put(chunk, 'data', isNew ? undefined : digest(chunks[last]))
      current.push(chunks.push(chunk) - 1)
    }
    await store.sync()
    versions.push(current)
    // The next version begins another pack.
    using collection = store.beginCollection()
    collection.closePacks(store.packs().map(({ number }) => number))
  }
  return { directory, chunks, versions }
}

function needed({ chunks, versions }: Filled, kept: readonly number[]): Buffer[] {
  return [...new Set(kept.flatMap((version) => versions[version]))].map((at) => chunks[at])
}

async function collect(store: LocalChunkStore, plains: readonly Buffer[], beforeExecuting?: () => Promise<void>) {
  using collection = store.beginCollection()
  for (const plain of plains) collection.live.keep(digest(plain))
  const plan = await collection.plan({}, { unusedShareMax: 0.05, openUnusedBytesMin: 0 })
  await beforeExecuting?.()
  return { plan, done: await collection.execute(plan, {}) }
}

async function checkReadable(t: ExecutionContext, directory: string, plains: readonly Buffer[]): Promise<void> {
  await using reader = await openChunkReader(env, directory)
  for (const plain of plains) t.true(reader.read(digest(plain)).equals(plain))
}

test('what is needed stays, with what it builds on; the rest goes, also from an index made again', async (t) => {
  const random = Random.announced(t)
  for (let round = 0; round < 6; round++) {
    const made = await filled(t, random, 8)
    const { directory, chunks } = made
    const kept = needed(made, Array.from({ length: 8 }, (_, at) => at).filter(() => random.below(4) === 0))
    const before = totalBytes(directory)
    {
      await using store = await openChunkStore(env, directory)
      const { plan, done } = await collect(store, kept)
      t.deepEqual(done.kept, [])
      t.is(done.droppedPacks + done.rewrittenPacks, plan.drop.length + plan.rewrite.length)
      for (const plain of kept) t.true(store.read(digest(plain)).equals(plain))
      await checkReadable(t, directory, kept)
      t.log(`${kept.length} of ${chunks.length} kept, ${before} to ${totalBytes(directory)} bytes, ${JSON.stringify(done)}`)
      t.true(totalBytes(directory) <= before)
    }
    await rebuildIndex(env, directory)
    await using store = await openChunkStore(env, directory)
    await checkReadable(t, directory, kept)
    t.like(await store.verify(), { damagedCount: 0, unindexed: 0 })
    if (kept.length > 0) continue
    t.is(store.stats().packs, 0)
    for (const chunk of chunks) t.false(store.has(digest(chunk)))
  }
})

test('what is put while garbage is collected stays, also what was about to go', async (t) => {
  const random = Random.announced(t)
  for (let round = 0; round < 6; round++) {
    const made = await filled(t, random, 6)
    const { directory, chunks } = made
    const kept = needed(made, [5])
    const again = chunks.filter(() => random.below(4) === 0)
    const late: Buffer[] = []
    await using store = await openChunkStore(env, directory)
    let isBusy = true
    const putting = async (): Promise<void> => {
      while (isBusy) {
        const plain = random.pick(chunks)
        const fresh = random.laterVersion(plain)
        store.put(plain, 'data')
        store.put(fresh, 'data', digest(plain))
        late.push(plain, fresh)
        if (random.below(3) === 0) await store.sync()
        await new Promise((resolve) => setImmediate(resolve))
      }
      await store.sync()
    }
    let running = Promise.resolve()
    await collect(store, kept, async () => {
      for (const plain of again) store.put(plain, 'data')
      running = putting()
    })
    isBusy = false
    await running
    for (const plain of [...kept, ...again, ...late]) t.true(store.read(digest(plain)).equals(plain))
    await checkReadable(t, directory, [...kept, ...again, ...late])
    const second = await collect(store, [...kept, ...again, ...late])
    t.log(`${again.length} and ${late.length} put again; ${JSON.stringify(second.done)}`)
    await checkReadable(t, directory, [...kept, ...again, ...late])
  }
})

test('a collection that fails anywhere costs nothing, and the next one ends it', async (t) => {
  const random = Random.announced(t)
  const made = await filled(t, random, 9)
  const kept = needed(made, [8])
  let failures = 0
  for (const operation of ['sync', 'truncate', 'unlink', 'syncDirectory', 'write', 'createNew'] as Operation[]) {
    for (let after = 0; after < 40; after++) {
      const directory = temporaryStore(t)
      fs.cpSync(made.directory, directory, { recursive: true })
      const failing = new FailingEnv()
      let failed = false
      {
        await using store = await openChunkStore(failing.env, directory)
        failing.failing = { operation, after }
        try {
          await collect(store, kept)
        } catch (error) {
          if (!isCode(error, 'IO', 'FAILED_STATE')) throw error
          failed = true
        }
        failing.failing = undefined
      }
      await using store = await openChunkStore(env, directory)
      for (const plain of kept) t.true(store.read(digest(plain)).equals(plain), `${operation} ${after}`)
      await collect(store, kept)
      await checkReadable(t, directory, kept)
      const report = await store.verify()
      t.is(report.damagedCount, 0, `${operation} ${after}: ${JSON.stringify(report.damaged)}`)
      if (!failed) break
      failures += 1
    }
  }
  t.log(`${failures} failures`)
  t.true(failures > 4)
})

test('without any space what is dead goes all the same, and the rest waits', async (t) => {
  const random = Random.announced(t)
  const made = await filled(t, random, 6)
  const { directory } = made
  let freeBytes = 0
  const full = { ...env, freeBytes: () => freeBytes }
  await using store = await openChunkStore(full, directory)
  const kept = needed(made, [5])
  const first = await collect(store, kept)
  t.true(first.plan.rewrite.length > 0)
  t.is(first.done.rewrittenPacks, 0)
  t.true(first.done.kept.length >= first.plan.rewrite.length)
  await checkReadable(t, directory, kept)
  freeBytes = 2 ** 40
  const second = await collect(store, kept)
  t.is(second.done.rewrittenPacks, second.plan.rewrite.length)
  await checkReadable(t, directory, kept)
})

test('puts leave room for a collection, which goes on with what each pack gives back', async (t) => {
  const random = Random.announced(t)
  const directory = temporaryStore(t)
  const taken = (): number => packPaths(directory).reduce((sum, path) => sum + fs.statSync(path).size, 0)
  let diskBytes = 2 ** 40
  await using store = await openChunkStore({ ...env, freeBytes: () => diskBytes - taken() }, directory)
  const close = (): void => {
    const closing = store.beginCollection()
    closing.closePacks(store.packs().map(({ number }) => number))
    closing.end()
  }
  const kept: Buffer[] = []
  // Each pack is to lose two thirds: together what stays of them is more than there is room for.
  for (let pack = 0; pack < 3; pack++) {
    const chunks = Array.from({ length: 48 }, () => random.bytes(65_536))
    for (const chunk of chunks) store.put(chunk, 'data')
    kept.push(...chunks.slice(0, 16))
    await store.sync()
    close()
  }
  diskBytes = taken() + storeFreeBytesMin + 1_500_000
  t.throws(() => store.put(random.bytes(65_536), 'data'), { code: 'NO_SPACE' })
  const { plan, done } = await collect(store, kept)
  t.is(plan.rewrite.length, 3)
  t.true(plan.movedBytes > 2 * 1_500_000)
  t.deepEqual([done.rewrittenPacks, done.kept], [3, []])
  await checkReadable(t, directory, kept)
})

test('an open pack that cannot be closed without space holds up no other, and its reason says how much it takes', async (t) => {
  const random = Random.announced(t)
  const directory = temporaryStore(t)
  let freeBytes = 2 ** 40
  await using store = await openChunkStore({ ...env, freeBytes: () => freeBytes }, directory)
  const chunks = Array.from({ length: 8 }, () => random.bytes(65_536))
  for (const chunk of chunks.slice(0, 4)) store.put(chunk, 'data')
  await store.sync()
  const filling = store.beginCollection()
  filling.closePacks(store.packs().map(({ number }) => number))
  filling.end()
  for (const chunk of chunks.slice(4)) store.put(chunk, 'data')
  await store.sync()
  freeBytes = 0
  const { plan, done } = await collect(store, [chunks[7]])
  t.deepEqual([plan.drop.length, plan.rewrite.length], [1, 1])
  t.is(done.droppedPacks, 1)
  t.deepEqual(done.kept.map(({ reason }) => /takes 3 MiB of free space/.test(reason)), [true])
  t.true(store.read(digest(chunks[7])).equals(chunks[7]))
  freeBytes = 2 ** 40
  t.is((await collect(store, [chunks[7]])).done.rewrittenPacks, 1)
})

test('one collection at a time', async (t) => {
  await using store = await openChunkStore(env, temporaryStore(t))
  const first = store.beginCollection()
  t.throws(() => store.beginCollection(), { code: 'BUSY' })
  first.end()
  first.end()
  store.beginCollection().end()
})

function totalBytes(directory: string): number {
  return packPaths(directory).reduce((sum, path) => sum + fs.statSync(path).size, 0)
}

test('a record that was spoilt before its pack was closed is left to a repair', async (t) => {
  const directory = temporaryStore(t)
  const plain = Random.announced(t).bytes(chunkBytes)
  await using store = await openChunkStore(env, directory)
  store.put(plain, 'data')
  await store.sync()
  const [path] = packPaths(directory)
  const bytes = fs.readFileSync(path)
  bytes[packHeaderBytes + 1000] ^= 1
  fs.writeFileSync(path, bytes)
  {
    using collection = store.beginCollection()
    collection.closePacks([1])
    collection.live.keep(digest(plain))
    const plan = await collection.plan({}, { unusedShareMax: 0, openUnusedBytesMin: 1 })
    t.like(await collection.execute(plan, {}), { droppedPacks: 0, rewrittenPacks: 0 })
    t.false(collection.isComplete)
  }
  const { damaged } = await store.verify()
  t.like(await store.repair({ damaged, wanted: new Map(), sources: [] }), { corrected: 1 })
  t.true(store.freshReader().read(digest(plain)).equals(plain))
})

for (const fault of ['gone', 'wrong'] as const) {
  test(`a record that is needed moves also where its entry in the index is ${fault}`, async (t) => {
    const directory = temporaryStore(t)
    const random = Random.announced(t)
    const [needed, other] = [random.bytes(3000), random.bytes(3000)]
    const settled = new Map<number, PackEntry>()
    {
      await using store = await openChunkStore(env, directory)
      for (const plain of [needed, other]) store.put(plain, 'node')
      await store.sync()
      for (const { number, fileBytes, ...pack } of store.packs()) {
        settled.set(number, { ...pack, indexedBytes: fileBytes, fileBytes: 0 })
      }
    }
    {
      const place = { packNumber: 7, offset: 80, recordBytes: 100, kind: kindNode, codec: codecRaw, depth: 0 }
      await using index = await PackIndex.open(join(directory, 'index'), () => undefined)
      await index.write([fault === 'gone' ? deleteRecord(digest(needed), 0) : putRecord(digest(needed), place)])
      // So that the pack is not read again.
      await index.settle(settled)
    }
    {
      await using store = await openChunkStore(env, directory)
      using collection = store.beginCollection()
      collection.live.keep(digest(needed))
      const plan = await collection.plan({}, { unusedShareMax: 0, openUnusedBytesMin: 1 })
      t.like(await collection.execute(plan, {}), { rewrittenPacks: 1, kept: [] })
      t.false(store.has(digest(other)))
    }
    await rebuildIndex(env, directory)
    await using reader = await openChunkReader(env, directory)
    t.true(reader.read(digest(needed)).equals(needed))
  })
}

test('a pack with the store’s only own record of a chunk stays, although the record is spoilt and a copied one serves', async (t) => {
  const random = Random.announced(t)
  const [needed, other] = [random.bytes(3000), random.bytes(3000)]
  const [directory, elsewhere] = [temporaryStore(t), temporaryStore(t)]
  for (const each of [directory, elsewhere]) {
    await using store = await openChunkStore(env, each)
    for (const plain of [needed, other]) store.put(plain, 'node')
    await store.sync()
    using collection = store.beginCollection()
    collection.closePacks([1])
  }
  const [path] = packPaths(directory)
  const bytes = fs.readFileSync(path)
  bytes.fill(0, bytes.indexOf(needed) + 100, bytes.indexOf(needed) + 200)
  fs.writeFileSync(path, bytes)
  await using store = await openChunkStore(env, directory)
  t.is((await store.verify()).damagedCount, 1)
  store.adoptRecords(new StoreSource(elsewhere).fetch([digest(needed)]))
  await store.sync()
  t.true(store.freshReader().read(digest(needed)).equals(needed))
  using collection = store.beginCollection()
  collection.live.keep(digest(needed))
  const plan = await collection.plan({}, { unusedShareMax: 0, openUnusedBytesMin: 1 })
  await collection.execute(plan, {})
  t.true(packPaths(directory).includes(path))
  collection.end()
  // Then the pack goes, and what it lacks is the store's own again.
  await store.repair({ damaged: (await store.verify()).damaged, wanted: new Map(), sources: [] })
  t.false(packPaths(directory).includes(path))
  const copied = new Set(store.packs().filter(({ isCopied }) => isCopied).map(({ number }) => number))
  const places: number[] = []
  for await (const { id, location } of store.records()) if (id.equals(digest(needed))) places.push(location.packNumber)
  t.true(places.some((number) => !copied.has(number)))
})
