import type { Buffer } from 'node:buffer'
import test from 'ava'
import { treeKeyMax } from '../../src/limits.ts'
import { NodeReader, NodeStore, diff, entries, get, nextGap, nextKey, nodes, update, walk } from '../../src/image/tree/index.ts'
import { Random } from '../random.ts'
import { MemoryChunks } from './memory-chunks.ts'
import { applyTo, built, randomChanges, randomModel, shapes, sorted } from './shapes.ts'

for (const shape of shapes) {
  test(`${shape.name}: get, nextKey, nextGap and entries answer as a sorted map does`, (t) => {
    const random = Random.announced(t)
    const chunks = new MemoryChunks()
    const model = randomModel(random, shape, 700)
    const root = built(new NodeStore(chunks), model)
    const reader = new NodeReader(chunks)
    const all = sorted(model)
    for (let times = 0; times < 200; times += 1) {
      const near = random.pick(all)[0] + random.pick([-1, 0, 1])
      const key = Math.max(0, Math.min(treeKeyMax, random.below(2) === 0 ? near : random.below(treeKeyMax + 1)))
      const to = shape.key(random)
      t.deepEqual(get(reader, root, key), model.get(key) ?? null)
      t.is(nextKey(reader, root, key), all.find((entry) => entry[0] >= key)?.[0] ?? null)
      let gap = key
      while (model.has(gap)) gap += 1
      t.is(nextGap(reader, root, key), gap)
      if (times % 20 === 0) t.deepEqual([...entries(reader, root, key, to)], all.filter((entry) => entry[0] >= key && entry[0] < to))
    }
    t.deepEqual([...entries(reader, root)], all)
  })

  test(`${shape.name}: diff tells exactly what differs, in order`, (t) => {
    const random = Random.announced(t)
    const store = new NodeStore(new MemoryChunks())
    const model = randomModel(random, shape, random.pick([0, 100, 900]))
    const root = built(store, model)
    for (const count of [1, 10, 400]) {
      const after = new Map(model)
      applyTo(after, randomChanges(random, shape, model, count))
      const keys = [...new Set([...model.keys(), ...after.keys()])].sort((a, b) => a - b)
      const expected = keys
        .map((key) => ({ key, before: model.get(key) ?? null, after: after.get(key) ?? null }))
        .filter((one) => one.before === null || one.after === null || !one.before.equals(one.after))
      t.deepEqual([...diff(store, root, built(store, after))], expected)
    }
    t.is([...diff(store, root, null)].length, model.size)
    t.is([...diff(store, null, root)].length, model.size)
    t.is([...diff(store, null, null)].length, 0)
  })

  test(`${shape.name}: every node put by a build is reached, once`, (t) => {
    const random = Random.announced(t)
    const chunks = new MemoryChunks()
    const model = randomModel(random, shape, 900)
    const root = built(new NodeStore(chunks), model)
    const reader = new NodeReader(chunks)
    const reached = [...nodes(reader, root)].map((id) => id.toString('hex'))
    t.deepEqual([...new Set(reached)].sort(), [...chunks.chunks.keys()].sort())
    t.is(chunks.putCount, reached.length)
  })
}

test('a walk leaves out what its visitor has seen', (t) => {
  const random = Random.announced(t)
  const store = new NodeStore(new MemoryChunks())
  const model = randomModel(random, shapes[0], 1500)
  const root = built(store, model)
  const changes = randomChanges(random, shapes[0], model, 1)
  const after = update(store, root, changes)
  const seen = new Set<string>()
  const keys: number[] = []
  const visitor = {
    node: (id: Buffer): boolean => seen.size !== seen.add(id.toString('hex')).size,
    entry: (key: number): void => void keys.push(key),
  }
  walk(store, root, visitor)
  t.deepEqual(keys, sorted(model).map((entry) => entry[0]))
  keys.length = 0
  walk(store, after, visitor)
  t.true(keys.length <= 128 * 2)
  t.deepEqual(new Set([...nodes(store, root), ...nodes(store, after)].map((id) => id.toString('hex'))), seen)
})

test('a walk without a visitor of entries reads no leaf below the root', (t) => {
  const chunks = new MemoryChunks()
  const root = built(new NodeStore(chunks), randomModel(Random.announced(t), shapes[0], 1500))
  chunks.resetCounts()
  let count = 0
  walk(new NodeReader(chunks), root, { node: () => (count += 1) > 0 })
  t.is(chunks.readCount, 1)
  t.is(count, chunks.chunks.size)
})

test('the empty tree holds nothing', (t) => {
  const reader = new NodeReader(new MemoryChunks())
  t.is(get(reader, null, 0), null)
  t.is(nextKey(reader, null, 0), null)
  t.is(nextGap(reader, null, 5), 5)
  t.deepEqual([...entries(reader, null)], [])
  t.deepEqual([...nodes(reader, null)], [])
})
