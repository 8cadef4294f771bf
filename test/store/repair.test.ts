/** Packs are spoilt and mended: what was found, what was healed, and that nothing else changed. */
import test, { type ExecutionContext } from 'ava'
import { Buffer } from 'node:buffer'
import fs from 'node:fs'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import type { Env } from '../../src/env/env.ts'
import { isCode } from '../../src/errors.ts'
import { packHeaderBytes } from '../../src/format/pack-header.ts'
import { chunkBytes } from '../../src/limits.ts'
import type { ChunkSource } from '../../src/store/chunk-source.ts'
import type { Damage } from '../../src/store/damage.ts'
import type { ChunkReader } from '../../src/store/chunks.ts'
import type { LocalChunkStore } from '../../src/store/local-chunk-store.ts'
import { readFooter, scanRecords } from '../../src/store/pack-scan.ts'
import type { RepairReport } from '../../src/store/repair.ts'
import { Random } from '../random.ts'
import { FailingEnv } from './failing-env.ts'
import { StoreSource } from './store-source.ts'
import { env, packPaths, temporaryStore } from './support.ts'
import { digest, openChunkReader, openChunkStore, rebuildIndex } from './variant.ts'

/** Chains of versions of small nodes, and a chunk here and there; the pack is closed where asked. */
async function filled(t: ExecutionContext, random: Random, count: number): Promise<{ directory: string; plains: Buffer[] }> {
  const directory = temporaryStore(t)
  const plains: Buffer[] = []
  await using store = await openChunkStore(env, directory)
  for (let n = 0; n < count; n++) {
    const base = plains.length > 0 && random.below(4) > 0 ? random.pick(plains) : undefined
    const fresh = random.below(8) === 0 ? random.chunk() : random.bytes(500 + random.below(1500))
    const plain = base === undefined ? fresh : random.laterVersion(base, 3)
    plains.push(plain)
    store.put(plain, plain.length === chunkBytes ? 'data' : 'node', base && digest(base))
    if (random.below(5) === 0) await store.sync()
  }
  await store.sync()
  return { directory, plains }
}

/** A repair of nothing but closes no pack: damage told of where there is none makes the open pack a closed one. */
async function closeOpenPack(directory: string): Promise<void> {
  await using store = await openChunkStore(env, directory)
  const [{ path, number }] = store.packs()
  const damage: Damage = { kind: 'header', path, packNumber: number, offset: 0, bytes: 80, reason: 'none' }
  await store.repair({ damaged: [damage], wanted: new Map(), sources: [] })
}

interface Outcome {
  damaged: Damage[]
  repair: RepairReport
  lost: number
}

async function mend(store: LocalChunkStore, plains: Buffer[], sources: ChunkSource[] = []): Promise<Outcome> {
  const { damaged } = await store.verify()
  const repair = await store.repair({ damaged, wanted: new Map(), sources })
  return { damaged, repair, lost: plains.filter((plain) => !isRight(store, plain)).length }
}

function isRight(store: ChunkReader, plain: Buffer): boolean {
  try {
    return store.read(digest(plain)).equals(plain)
  } catch (error) {
    if (isCode(error, 'NOT_FOUND', 'DAMAGED')) return false
    throw error
  }
}

function recordOffsets(path: string): number[] {
  using file = env.open(path, 'read')
  return [...scanRecords(file, packHeaderBytes, file.size())].map(({ offset }) => offset)
}

function sourceOf(plains: Buffer[]): ChunkSource {
  return {
    name: 'the test',
    async *find(wanted) {
      // Wrong bytes too: whoever asks compares.
      yield Buffer.from('nobody wants this')
      for (const plain of plains) if (wanted.has(digest(plain).toString('latin1'))) yield plain
    },
  }
}

for (const kind of ['open', 'closed'] as const) {
  test(`one flipped bit in an ${kind} pack is found and healed by the record’s own checksum`, async (t) => {
    const random = Random.announced(t)
    const { directory, plains } = await filled(t, random, 40)
    if (kind === 'closed') await closeOpenPack(directory)
    const [path] = packPaths(directory)
    const sound = fs.readFileSync(path)
    const kept = join(directory, 'kept')
    fs.cpSync(join(directory, 'index'), kept, { recursive: true })
    const tally = { tried: 0, found: 0, healed: 0, corrected: 0 }
    for (let round = 0; round < 40; round++) {
      for (const each of packPaths(directory)) fs.rmSync(each)
      fs.rmSync(join(directory, 'index'), { recursive: true })
      fs.cpSync(kept, join(directory, 'index'), { recursive: true })
      const broken = Buffer.from(sound)
      // But for the two bytes of the version: a store with a pack that says to be newer is refused, not mended.
      const drawn = random.below(sound.length - 2)
      const at = drawn < 8 ? drawn : drawn + 2
      broken[at] ^= 1 << random.below(8)
      fs.writeFileSync(path, broken)
      await using store = await openChunkStore(env, directory)
      const { damaged, repair, lost } = await mend(store, plains)
      tally.tried += 1
      tally.found += Number(damaged.length > 0)
      tally.healed += Number(lost === 0)
      tally.corrected += repair.corrected
      t.true(damaged.length > 0, `byte ${at} is not found`)
      t.is(lost, 0, `byte ${at}: ${JSON.stringify(damaged)}`)
      t.is(repair.quarantined.length, 1)
      t.true(fs.readFileSync(repair.quarantined[0]).subarray(0, broken.length).equals(broken), 'the bad pack is kept as it was')
      t.deepEqual((await store.verify()).damaged, [], `byte ${at}`)
    }
    t.log(`bit flips tried ${tally.tried}, found ${tally.found}, healed ${tally.healed}, records corrected ${tally.corrected}`)
  })
}

function recordsEnd(path: string): number | undefined {
  using file = env.open(path, 'read')
  return readFooter(file)?.recordsEnd
}

test('larger damage costs what it hits; the rest moves, and a source brings back what is lost', async (t) => {
  const random = Random.announced(t)
  let lostBefore = 0
  for (let round = 0; round < 12; round++) {
    const { directory, plains } = await filled(t, random, 40)
    const [path] = packPaths(directory)
    const bytes = fs.readFileSync(path)
    const damageBytes = 200
    const damageAt = packHeaderBytes + random.below(bytes.length - packHeaderBytes - damageBytes)
    const hit = recordOffsets(path).filter((_, at, offsets) =>
      (offsets[at + 1] ?? bytes.length) > damageAt && offsets[at] < damageAt + damageBytes)
    const isAtEnd = hit.includes(recordOffsets(path).at(-1) ?? 0)
    random.bytes(damageBytes).copy(bytes, damageAt)
    fs.writeFileSync(path, bytes)
    const isRebuilt = round % 3 === 0
    if (isRebuilt) await rebuildIndex(env, directory)
    let lost: number
    {
      await using store = await openChunkStore(env, directory)
      ;({ lost } = await mend(store, plains))
      lostBefore += lost
      // Without an index nothing tells a spoilt last record from what a crash tore off, which is cut off.
      const isCut = isRebuilt && isAtEnd
      t.is(packPaths(directory).includes(path), isCut, `damage at ${damageAt} of ${bytes.length}`)
      if (isCut) t.is(recordsEnd(path), hit[0])
    }
    await rebuildIndex(env, directory)
    await using store = await openChunkStore(env, directory)
    t.is(plains.filter((plain) => !isRight(store, plain)).length, lost, 'what was moved is in the packs')
    const ids = plains.map((plain): [string, 'node'] => [digest(plain).toString('latin1'), 'node'])
    const wanted = new Map(ids.filter(([key]) => !store.has(Buffer.from(key, 'latin1'))))
    const { damaged } = await store.verify()
    const { missing } = await store.repair({ damaged, wanted, sources: [sourceOf(plains)] })
    t.is(missing, 0)
    t.is(plains.filter((plain) => !isRight(store, plain)).length, 0)
    t.deepEqual((await store.verify()).damaged, [])
  }
  t.true(lostBefore > 0, 'some rounds lose something')
})

test('a chunk is found again in a pack that the index does not lead to, and in quarantine', async (t) => {
  const random = Random.announced(t)
  for (const place of ['packs', 'quarantine']) {
    const { directory, plains } = await filled(t, random, 30)
    const [path] = packPaths(directory)
    const bytes = fs.readFileSync(path)
    fs.mkdirSync(join(directory, place), { recursive: true })
    fs.writeFileSync(join(directory, place, `00000009.${'ab'.repeat(16)}.pack`), bytes)
    bytes.fill(0xee, bytes.length >> 1, (bytes.length >> 1) + 300)
    fs.writeFileSync(path, bytes)
    await using store = await openChunkStore(env, directory)
    const { lost, repair } = await mend(store, plains)
    t.is(lost, 0, place)
    t.true((repair.found.get('other packs') ?? 0) > 0 || place === 'packs', place)
  }
})

test('what no copy here has comes from a replica, and stays', async (t) => {
  const random = Random.announced(t)
  const { directory, plains } = await filled(t, random, 40)
  const replica = `${directory}-replica`
  fs.cpSync(directory, replica, { recursive: true })
  t.teardown(() => fs.rmSync(replica, { recursive: true, force: true }))
  const [path] = packPaths(directory)
  const bytes = fs.readFileSync(path)
  for (let count = 0; count < 5; count++) random.bytes(100).copy(bytes, 80 + random.below(bytes.length - 200))
  fs.writeFileSync(path, bytes)
  {
    await using store = await openChunkStore(env, directory)
    const { lost } = await mend(store, plains)
    t.true(lost > 0, 'without a replica it is lost')
  }
  await using store = await openChunkStore(env, directory)
  store.source = new StoreSource(replica)
  const wanted = new Map(plains.map((plain): [string, 'node'] => [digest(plain).toString('latin1'), 'node'])
    .filter(([key]) => !store.has(Buffer.from(key, 'latin1'))))
  const { damaged } = await store.verify()
  const { missing, found } = await store.repair({ damaged, wanted, sources: [] })
  t.is(missing, 0)
  t.true((found.get('replicas') ?? 0) > 0)
  store.source = undefined
  t.is(plains.filter((plain) => !isRight(store, plain)).length, 0)
  t.deepEqual((await store.verify()).damaged, [])
})

test('who reads in another thread reads on while packs are mended and moved', async (t) => {
  const random = Random.announced(t)
  const { directory, plains } = await filled(t, random, 40)
  const [path] = packPaths(directory)
  const bytes = fs.readFileSync(path)
  bytes[bytes.length >> 1] ^= 4
  fs.writeFileSync(path, bytes)
  await using store = await openChunkStore(env, directory)
  await using reader = await openChunkReader(env, directory)
  const isServed = (plain: Buffer): boolean => isRight(reader, plain)
  t.true(plains.some(isServed))
  t.is((await mend(store, plains)).lost, 0)
  t.deepEqual(plains.filter((plain) => !isServed(plain)), [])
})

test('a repair that fails half-way loses nothing, and the next one goes on', async (t) => {
  const random = Random.announced(t)
  const { directory, plains } = await filled(t, random, 20)
  const [path] = packPaths(directory)
  const bytes = fs.readFileSync(path)
  bytes[bytes.length >> 1] ^= 4
  fs.writeFileSync(path, bytes)
  let failed = 0
  for (const operation of ['write', 'sync', 'rename', 'syncDirectory', 'createNew'] as const) {
    for (let after = 0; after < 6; after++) {
      const copy = `${directory}-copy`
      fs.rmSync(copy, { recursive: true, force: true })
      fs.cpSync(directory, copy, { recursive: true })
      t.teardown(() => fs.rmSync(copy, { recursive: true, force: true }))
      const failing = new FailingEnv()
      {
        await using store = await openChunkStore(failing.env, copy)
        const { damaged } = await store.verify()
        failing.failing = { operation, after }
        failed += await store.repair({ damaged, wanted: new Map(), sources: [] }).then(() => 0, () => 1)
      }
      await using store = await openChunkStore(env, copy)
      t.is((await mend(store, plains)).lost, 0, `${operation} ${after}`)
      t.deepEqual((await store.verify()).damaged, [])
    }
  }
  t.true(failed > 10, `${failed} repairs failed`)
  t.log(`${failed} repairs failed half-way, nothing lost`)
})

test('a sample reads a share, a time box says what it left out', async (t) => {
  const random = Random.announced(t)
  const { directory } = await filled(t, random, 60)
  await closeOpenPack(directory)
  await using store = await openChunkStore(env, directory)
  const { records } = await store.verify()
  const sampled = await store.verify({ fraction: 0.3 })
  t.true(sampled.records > 0 && sampled.records < records, `${sampled.records} of ${records}`)
  t.like(sampled, { unreadPacks: 0, damagedCount: 0 })
  const none = await store.verify({ timeMs: 0 })
  t.like(none, { packs: 0, records: 0, unreadPacks: 1 })
  t.true(none.unreadBytes > 0)
  t.is((await store.verify({ readData: false })).records, records)
})

test('a chunk that is put again while a bad pack leaves the index stays in it', async (t) => {
  const directory = temporaryStore(t)
  const random = Random.announced(t)
  const plain = random.bytes(3000)
  let putting: Promise<void> | undefined
  let put = (): Promise<void> => Promise.resolve()
  const watched: Env = {
    ...env,
    open: (path, mode) => {
      const file = env.open(path, mode)
      if (path !== packPaths(directory)[0]) return file
      return Object.assign(file, {
        [Symbol.dispose]: () => {
          file.close()
          // Its records have moved: now it leaves the index.
          if (packPaths(directory).length > 1) putting ??= turn().then(put)
        },
      })
    },
  }
  await using store = await openChunkStore(watched, directory)
  store.put(plain, 'node')
  for (let count = 0; count < 5000; count++) store.put(random.bytes(40), 'node')
  await store.sync()
  const [path] = packPaths(directory)
  const bytes = fs.readFileSync(path)
  const at = bytes.indexOf(digest(plain)) + 500
  bytes.fill(0, at, at + 100)
  fs.writeFileSync(path, bytes)
  const { damaged } = await store.verify()
  t.is(damaged.length, 1)
  put = () => {
    store.put(plain, 'node')
    return store.sync()
  }
  const report = await store.repair({ damaged, wanted: new Map(), sources: [] })
  await putting
  t.like(report, { moved: 5000, missing: 1 })
  t.not(putting, undefined)
  t.true(store.freshReader().has(digest(plain)))
})
