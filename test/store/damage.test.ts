import test, { type ExecutionContext } from 'ava'
import { Buffer } from 'node:buffer'
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isCode } from '../../src/errors.ts'
import { codecRaw, kindNode, recordBytesMax, writeRecord } from '../../src/format/pack-record.ts'
import { chunkBytes, packBytesMax } from '../../src/limits.ts'
import type { ChunkReader } from '../../src/store/chunks.ts'
import { readFooter } from '../../src/store/pack-scan.ts'
import { Random } from '../random.ts'
import { env, packPaths, temporaryStore } from './support.ts'
import { digest, initStore, openChunkReader, openChunkStore, rebuildIndex, sealOfPack } from './variant.ts'

interface Filled {
  readonly directory: string
  readonly plains: Buffer[]
}

/** Chains of versions of small nodes and of chunks, synced every few puts. */
async function filledStore(t: ExecutionContext, random: Random, count: number): Promise<Filled> {
  const directory = temporaryStore(t)
  const plains: Buffer[] = []
  await using store = await openChunkStore(env, directory)
  for (let n = 0; n < count; n++) {
    const base = plains.length > 0 && random.below(4) > 0 ? random.pick(plains) : undefined
    const plain = base === undefined ? fresh(random) : random.laterVersion(base, 3)
    plains.push(plain)
    store.put(plain, plain.length === chunkBytes ? 'data' : 'node', base && digest(base))
    if (random.below(5) === 0) await store.sync()
  }
  await store.sync()
  return { directory, plains }
}

function fresh(random: Random): Buffer {
  return random.below(8) === 0 ? random.chunk() : random.bytes(500 + random.below(1500))
}

/** Every chunk is served right or not at all; returns how many. */
function servedRight(t: ExecutionContext, reader: ChunkReader, plains: Buffer[]): number {
  let served = 0
  for (const plain of plains) {
    try {
      t.true(reader.read(digest(plain)).equals(plain))
      served += 1
    } catch (error) {
      if (!isCode(error, 'NOT_FOUND', 'DAMAGED')) throw error
    }
  }
  return served
}

async function healsAll(t: ExecutionContext, { directory, plains }: Filled): Promise<void> {
  {
    await using store = await openChunkStore(env, directory)
    servedRight(t, store, plains)
    for (const plain of plains) store.put(plain, plain.length === chunkBytes ? 'data' : 'node')
    t.is(servedRight(t, store, plains), plains.length)
    await store.sync()
  }
  await using reader = await openChunkReader(env, directory)
  t.is(servedRight(t, reader, plains), plains.length)
}

test('nothing comes to lie where a pack lost its end with the index, as a replica may have that still', async (t) => {
  const random = Random.announced(t)
  const filled = await filledStore(t, random, 10)
  const [path] = packPaths(filled.directory)
  fs.truncateSync(path, fs.statSync(path).size - 10)
  fs.rmSync(join(filled.directory, 'index'), { recursive: true })
  const later = fresh(random)
  {
    await using store = await openChunkStore(env, filled.directory)
    store.put(later, later.length === chunkBytes ? 'data' : 'node')
    await store.sync()
    t.true(store.read(digest(later)).equals(later))
  }
  using file = env.open(path, 'read')
  const footer = readFooter(file)!
  const old = new Set(filled.plains.map((plain) => digest(plain).toString('hex')))
  const ids = Array.from({ length: footer.count }, (_, at) => footer.id(at).toString('hex'))
  t.true(ids.length > 0 && ids.every((id) => old.has(id)))
  t.is(packPaths(filled.directory).length, 2)
})

test('a pack cut at any byte keeps what lies before, and grows on', async (t) => {
  const random = Random.announced(t)
  for (let round = 0; round < 12; round++) {
    const filled = await filledStore(t, random, 30)
    const [path] = packPaths(filled.directory)
    const cutAt = random.below(fs.statSync(path).size + 1)
    fs.truncateSync(path, cutAt)
    if (round % 2 === 0) fs.rmSync(join(filled.directory, 'index'), { recursive: true })
    {
      await using store = await openChunkStore(env, filled.directory)
      servedRight(t, store, filled.plains)
      const report = await store.verify()
      // A cut pack of 80 bytes or less is a header only, sound or not.
      const onlyBasesAreGone = report.damaged.every(({ reason }) => /cannot be read|is not in the store/.test(reason))
      if (cutAt > 80) t.true(onlyBasesAreGone, JSON.stringify(report))
    }
    await healsAll(t, filled)
  }
})

test('a pack that lost more than its writer holds in memory is damage like any other', async (t) => {
  const random = Random.announced(t)
  const directory = temporaryStore(t)
  const plains = Array.from({ length: 10 }, () => random.bytes(65_536))
  {
    await using store = await openChunkStore(env, directory)
    for (const plain of plains) store.put(plain, 'data')
    await store.sync()
  }
  fs.truncateSync(packPaths(directory)[0], 70_000)
  await using store = await openChunkStore(env, directory)
  t.true(store.read(digest(plains[0])).equals(plains[0]))
  for (const plain of plains.slice(1)) {
    t.throws(() => store.read(digest(plain)), { code: 'DAMAGED' })
    t.false(store.has(digest(plain)))
  }
  for (const plain of plains) store.put(plain, 'data')
  await store.sync()
  for (const plain of plains) t.true(store.read(digest(plain)).equals(plain))
})

test('garbage behind the last sync is cut off or stepped over', async (t) => {
  const random = Random.announced(t)
  for (let round = 0; round < 8; round++) {
    const { directory, plains } = await filledStore(t, random, 20)
    const [path] = packPaths(directory)
    const soundBytes = fs.statSync(path).size
    const late = random.bytes(3000)
    const lostBytes = 30 + random.below(500)
    // Writes that never arrived, then a record that did: the system writes pages in any order.
    fs.appendFileSync(path, random.bytes(lostBytes))
    const recordOfLate = strayRecord(fs.readFileSync(path), late)
    if (round % 2 === 0) fs.appendFileSync(path, recordOfLate)
    fs.appendFileSync(path, random.bytes(random.below(300)))
    await using store = await openChunkStore(env, directory)
    t.is(servedRight(t, store, [...plains, late]), plains.length + (round % 2 === 0 ? 1 : 0))
    t.deepEqual((await store.verify()).damaged, [])
    t.is(fs.statSync(path).size, soundBytes + (round % 2 === 0 ? lostBytes + recordOfLate.length : 0))
  }
})

/** A record of the pack, as it would stand behind these bytes of it. */
function strayRecord(pack: Buffer, plain: Buffer): Buffer {
  const seal = sealOfPack(pack)
  const content = {
    kind: kindNode, codec: codecRaw, depth: 0, baseDepth: 0, plainBytes: plain.length, paidBytes: 0, id: digest(plain),
    baseId: undefined,
  }
  const record = Buffer.alloc(recordBytesMax)
  const sealing = (bound: Buffer, payload: Uint8Array) => seal!.seal(bound, payload, pack.length)
  return record.subarray(0, writeRecord(record, 0, content, plain, seal === null ? undefined : sealing))
}

test('a flipped bit anywhere in a pack is found, never served, and healed', async (t) => {
  const random = Random.announced(t)
  const filled = await filledStore(t, random, 40)
  const [path] = packPaths(filled.directory)
  const sound = fs.readFileSync(path)
  for (let round = 0; round < 60; round++) {
    const at = random.below(sound.length)
    const broken = Buffer.from(sound)
    broken[at] ^= 1 << random.below(8)
    fs.writeFileSync(path, broken)
    await using reader = await openChunkReader(env, filled.directory)
    servedRight(t, reader, filled.plains)
  }
  const flips = Array.from({ length: 3 }, () => 80 + random.below(sound.length - 80))
  const broken = Buffer.from(sound)
  for (const at of flips) broken[at] ^= 0x10
  fs.writeFileSync(path, broken)
  {
    await using store = await openChunkStore(env, filled.directory)
    t.true((await store.verify()).damagedCount > 0)
  }
  await healsAll(t, filled)
})

test('a flipped bit anywhere in the index never makes a wrong byte', async (t) => {
  const random = Random.announced(t)
  const { directory, plains } = await filledStore(t, random, 40)
  await rebuildIndex(env, directory)
  const index = join(directory, 'index')
  const kept = join(directory, 'kept')
  fs.cpSync(index, kept, { recursive: true })
  for (let round = 0; round < 30; round++) {
    const names = fs.readdirSync(kept).filter((name) => fs.statSync(join(kept, name)).size > 0)
    fs.rmSync(index, { recursive: true })
    fs.cpSync(kept, index, { recursive: true })
    const path = join(index, random.pick(names))
    const bytes = fs.readFileSync(path)
    bytes[random.below(bytes.length)] ^= 1 << random.below(8)
    fs.writeFileSync(path, bytes)
    await using store = await openChunkStore(env, directory)
    servedRight(t, store, plains)
  }
  await rebuildIndex(env, directory)
  await using store = await openChunkStore(env, directory)
  t.is(servedRight(t, store, plains), plains.length)
})

test('an index whose every block is spoilt is made again when the store is opened', async (t) => {
  const { directory, plains } = await filledStore(t, Random.announced(t), 40)
  await rebuildIndex(env, directory)
  const index = join(directory, 'index')
  {
    await using store = await openChunkStore(env, directory)
    await store.repair({ damaged: [], wanted: new Map(), sources: [] })
  }
  for (const name of fs.readdirSync(index).filter((each) => /\.(ldb|log)$/.test(each))) {
    const bytes = fs.readFileSync(join(index, name))
    for (let at = 20; at < bytes.length - 60; at += 50) bytes[at] ^= 0x40
    fs.writeFileSync(join(index, name), bytes)
  }
  await using store = await openChunkStore(env, directory)
  t.is(servedRight(t, store, plains), plains.length)
})

test('an index that turns out to be damaged in use is made again when the store is opened next', async (t) => {
  const { directory, plains } = await filledStore(t, Random.announced(t), 40)
  // Opened again, so that what is in LevelDB's log comes into a table.
  await (await openChunkStore(env, directory)).close()
  const index = join(directory, 'index')
  for (const name of fs.readdirSync(index).filter((each) => each.endsWith('.ldb'))) {
    const bytes = fs.readFileSync(join(index, name))
    fs.writeFileSync(join(index, name), bytes.fill(0xa5, bytes.length >> 3, bytes.length >> 1))
  }
  {
    await using reader = await openChunkReader(env, directory)
    t.true(servedRight(t, reader, plains) < plains.length)
  }
  t.true(fs.existsSync(join(directory, 'index.opening')))
  await using store = await openChunkStore(env, directory)
  t.is(servedRight(t, store, plains), plains.length)
})

test('an index whose opening ended the process is made again', async (t) => {
  const { directory, plains } = await filledStore(t, Random.announced(t), 10)
  const index = join(directory, 'index')
  fs.writeFileSync(join(index, 'of the old one'), '')
  fs.writeFileSync(join(directory, 'index.opening'), '')
  {
    await using store = await openChunkStore(env, directory)
    t.is(servedRight(t, store, plains), plains.length)
  }
  t.false(fs.existsSync(join(index, 'of the old one')))
  t.false(fs.existsSync(join(directory, 'index.opening')))
})

const testAsRoot = process.getuid?.() === 0 ? test : test.skip

testAsRoot('a full file system refuses before damage, and takes more once there is room', async (t) => {
  const mount = fs.mkdtempSync(join(tmpdir(), 'holdfast-full-'))
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=12m', 'tmpfs', mount])
  t.teardown(() => {
    execFileSync('umount', ['-l', mount])
    fs.rmdirSync(mount)
  })
  const directory = join(mount, 'store')
  initStore(env, directory)
  const random = Random.announced(t)
  const ballast = join(mount, 'ballast')
  fs.writeFileSync(ballast, Buffer.alloc(4 * 2 ** 20))
  const plains: Buffer[] = []
  {
    await using store = await openChunkStore(env, directory)
    const error = t.throws(() => {
      for (;;) {
        const plain = random.bytes(chunkBytes)
        store.put(plain, 'data')
        plains.push(plain)
      }
    }, { code: 'NO_SPACE' })
    t.truthy(error)
    t.is(servedRight(t, store, plains), plains.length)
    await t.throwsAsync(store.sync(), { code: 'NO_SPACE' })
    fs.unlinkSync(ballast)
    plains.push(random.bytes(chunkBytes))
    store.put(plains[plains.length - 1], 'data')
    await store.sync()
  }
  await using store = await openChunkStore(env, directory)
  t.is(servedRight(t, store, plains), plains.length)
  t.deepEqual((await store.verify()).damaged, [])
})

test('packs are closed at their size, found by their footers, and scanned where those are broken', async (t) => {
  const directory = temporaryStore(t)
  const random = Random.announced(t)
  const plain = random.bytes(chunkBytes)
  const count = Math.ceil(packBytesMax / chunkBytes) + 20
  const nth = (n: number) => {
    plain.writeUInt32LE(n)
    return plain
  }
  {
    await using store = await openChunkStore(env, directory)
    for (let n = 0; n < count; n++) {
      store.put(nth(n), 'data')
      if (n % 500 === 0) await store.sync()
    }
    await store.sync()
    t.like(store.stats(), { packs: 2, data: { records: count, plainBytes: count * chunkBytes } })
  }
  const [first] = packPaths(directory)
  const fileBytes = fs.statSync(first).size
  t.true(fileBytes <= packBytesMax && fileBytes > packBytesMax - 2 * chunkBytes, String(fileBytes))
  for (const damageFooter of [false, true]) {
    if (damageFooter) fs.truncateSync(first, fileBytes - 5)
    await rebuildIndex(env, directory)
    await using store = await openChunkStore(env, directory)
    for (let n = 0; n < count; n += 7) t.true(store.read(digest(nth(n))).equals(plain))
    t.is(store.stats().data.records, count)
    const report = await store.verify({ fraction: 0.05 })
    t.is(report.damagedCount, damageFooter ? 2 : 0, JSON.stringify(report.damaged))
    t.true(report.records > 0 && report.records < count / 4)
  }
})

test('verifying and opening stop on request', async (t) => {
  const { directory } = await filledStore(t, Random.announced(t), 10)
  const signal = AbortSignal.abort()
  {
    await using store = await openChunkStore(env, directory)
    await t.throwsAsync(store.verify({ signal }), { code: 'ABORTED' })
  }
  await t.throwsAsync(rebuildIndex(env, directory, { signal }), { code: 'ABORTED' })
  await using store = await openChunkStore(env, directory)
  t.is((await store.verify()).damagedCount, 0)
})
