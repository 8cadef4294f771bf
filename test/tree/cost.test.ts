import { Buffer } from 'node:buffer'
import test from 'ava'
import { NodeReader, NodeStore, build, diff, get, nextGap, removeFrom, removeRange, update } from '../../src/image/tree/index.ts'
import { Random } from '../random.ts'
import { MemoryChunks } from './memory-chunks.ts'

/** A file of 64 GiB without holes: leaves of 128 ids, and inner nodes of levels 1 and 2. */
const entryCount = 1024 * 1024
const height = 3

const chunks = new MemoryChunks()
const root = build(new NodeStore(chunks), dense())
const builtCount = chunks.putCount

function* dense(): Generator<[number, Buffer]> {
  for (let key = 0; key < entryCount; key += 1) yield [key, idOf(key)]
}

function idOf(number: number): Buffer {
  const id = Buffer.alloc(32, 7)
  id.writeUInt32LE(number, 0)
  return id
}

function changedAt(random: Random, count: number): [number, Buffer][] {
  const keys = new Set<number>()
  while (keys.size < count) keys.add(random.below(entryCount))
  return [...keys].sort((a, b) => a - b).map((key) => [key, idOf(entryCount + key)])
}

test.serial('a build of a million entries puts each node once', (t) => {
  t.is(builtCount, entryCount / 128 + entryCount / 128 / 128 + 1)
  t.is(chunks.chunks.size, builtCount)
})

test.serial('one change puts and reads one node of each level, each with a base', (t) => {
  const random = Random.announced(t)
  for (let times = 0; times < 20; times += 1) {
    chunks.resetCounts()
    update(new NodeStore(chunks), root, changedAt(random, 1))
    t.is(chunks.putCount, height)
    t.is(chunks.baseCount, height)
    t.is(chunks.readCount, height)
  }
})

test.serial('a new version of a leaf differs from its base in the changed id alone', (t) => {
  const key = 128 * 77 + 5
  const before = new NodeReader(chunks)
  const store = new NodeStore(chunks)
  const after = update(store, root, [[key, idOf(entryCount)]])
  t.deepEqual([...diff(before, root, after)].map((one) => one.key), [key])
  const inner = before.read(root!)
  if (inner.leaf) return t.fail('the root of a million entries is an inner node')
  const index = inner.indexOf(key)
  const old = before.child(inner, index)
  const inner2 = store.read(after!)
  if (inner2.leaf) return t.fail('the root of a million entries is an inner node')
  const now = store.child(inner2, index)
  t.is(old.bytes.length, now.bytes.length)
  t.true(differing(old.bytes, now.bytes) <= 32)
})

test.serial('a diff of two trees with ten changes reads nodes of ten paths only', (t) => {
  const random = Random.announced(t)
  const after = update(new NodeStore(chunks), root, changedAt(random, 10))
  chunks.resetCounts()
  t.is([...diff(new NodeReader(chunks), root, after)].length, 10)
  t.true(chunks.readCount <= 2 * 10 * height)
  chunks.resetCounts()
  t.is([...diff(new NodeReader(chunks), root, root)].length, 0)
  t.is(chunks.readCount, 0)
})

test.serial('a diff of trees whose shapes differ reads little all the same', (t) => {
  const store = new NodeStore(chunks)
  const far = update(store, root, [[2 ** 45, idOf(1)]])
  const shorter = removeFrom(store, root, entryCount / 2)
  chunks.resetCounts()
  t.is([...diff(new NodeReader(chunks), root, far)].length, 1)
  t.true(chunks.readCount <= 4 * height)
  chunks.resetCounts()
  const lastKept = update(store, shorter, [[entryCount / 2 - 1, null]])
  t.is([...diff(new NodeReader(chunks), shorter, lastKept)].length, 1)
  t.true(chunks.readCount <= 4 * height)
})

test.serial('a tail or a range is removed without a visit to what goes as a whole', (t) => {
  chunks.resetCounts()
  const cut = removeFrom(new NodeStore(chunks), root, 128 * 1000 + 3)
  t.is(get(new NodeReader(chunks), cut, 128 * 1000 + 3), null)
  t.deepEqual(get(new NodeReader(chunks), cut, 128 * 1000 + 2), idOf(128 * 1000 + 2))
  t.true(chunks.readCount <= 3 * height)
  chunks.resetCounts()
  removeRange(new NodeStore(chunks), root, 1000, entryCount - 1000)
  t.true(chunks.readCount <= 2 * height)
  t.true(chunks.putCount <= 2 * height)
})

test.serial('a get reads one node of each level, and none again', (t) => {
  const random = Random.announced(t)
  const reader = new NodeReader(chunks)
  chunks.resetCounts()
  const key = random.below(entryCount)
  t.deepEqual(get(reader, root, key), idOf(key))
  t.is(chunks.readCount, height)
  t.deepEqual(get(reader, root, key), idOf(key))
  t.is(get(reader, root, 2 ** 40), null)
  t.is(chunks.readCount, height)
})

test.serial('the end of a long run of keys is found a leaf at a time', (t) => {
  const reader = new NodeReader(chunks)
  chunks.resetCounts()
  t.is(nextGap(reader, root, entryCount - 1000), entryCount)
  t.true(chunks.readCount <= 1000 / 128 + height + 1)
})

function differing(a: Buffer, b: Buffer): number {
  return a.reduce((count, byte, index) => count + (byte === b[index] ? 0 : 1), 0)
}
