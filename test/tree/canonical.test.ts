import type { Buffer } from 'node:buffer'
import test from 'ava'
import { NodeStore, entries, removeFrom, removeRange, update } from '../../src/image/tree/index.ts'
import { Random } from '../random.ts'
import { MemoryChunks } from './memory-chunks.ts'
import { referenceRoot } from './reference.ts'
import { applyTo, built, randomChanges, randomModel, shapes, sorted } from './shapes.ts'
import type { Model, Shape } from './shapes.ts'

const rounds = 60

function hex(root: Buffer | null): string {
  return root === null ? 'empty' : root.toString('hex')
}

/** One random edit of the tree and of the model. */
function edit(random: Random, shape: Shape, store: NodeStore, root: Buffer | null, model: Model): Buffer | null {
  const kind = random.below(12)
  const from = shape.key(random)
  if (kind === 0) {
    for (const key of [...model.keys()]) if (key >= from) model.delete(key)
    return removeFrom(store, root, from)
  }
  if (kind === 1) {
    const to = shape.key(random)
    for (const key of [...model.keys()]) if (key >= from && key < to) model.delete(key)
    return removeRange(store, root, from, to)
  }
  const changes = randomChanges(random, shape, model, random.pick([1, 3, 50, 300]))
  applyTo(model, changes)
  return update(store, root, changes)
}

for (const shape of shapes) {
  test(`${shape.name}: a build gives the root that the definition gives`, (t) => {
    const random = Random.announced(t)
    for (const count of [0, 1, 2, 30, 200, 1000]) {
      const model = randomModel(random, shape, count)
      t.is(hex(built(new NodeStore(new MemoryChunks()), model)), hex(referenceRoot(sorted(model))), `${count} entries`)
    }
  })

  test(`${shape.name}: whatever the history, the root is that of a build from scratch`, (t) => {
    const random = Random.announced(t)
    const store = new NodeStore(new MemoryChunks())
    const model: Model = new Map()
    let root: Buffer | null = null
    for (let round = 0; round < rounds; round += 1) {
      root = edit(random, shape, store, root, model)
      const fresh = new NodeStore(new MemoryChunks())
      t.is(hex(root), hex(built(fresh, model)), `round ${round}`)
    }
    t.deepEqual([...entries(store, root)], sorted(model))
  })

  test(`${shape.name}: changes one by one, in any order, end in the same root as all at once`, (t) => {
    const random = Random.announced(t)
    const store = new NodeStore(new MemoryChunks())
    const before = randomModel(random, shape, 400)
    const changes = randomChanges(random, shape, before, 120)
    const start = built(store, before)
    const shuffled = changes.map((change) => ({ change, rank: random.unit() })).sort((a, b) => a.rank - b.rank)
    let root = start
    for (const { change } of shuffled) root = update(store, root, [change])
    t.is(hex(root), hex(update(store, start, changes)))
  })

  test(`${shape.name}: removing everything ends in the empty tree`, (t) => {
    const random = Random.announced(t)
    const store = new NodeStore(new MemoryChunks())
    const model = randomModel(random, shape, 400)
    const root = built(store, model)
    t.is(update(store, root, sorted(model).map(([key]) => [key, null] as const)), null)
    t.is(removeFrom(store, root, 0), null)
  })

  test(`${shape.name}: what changes nothing gives the same root and puts nothing`, (t) => {
    const random = Random.announced(t)
    const chunks = new MemoryChunks()
    const store = new NodeStore(chunks)
    const model = randomModel(random, shape, 700)
    const root = built(store, model)
    chunks.resetCounts()
    const same = sorted(model).filter(() => random.below(3) === 0)
    const absent = [shape.key(random), shape.key(random) + 1].filter((key) => !model.has(key)).sort((a, b) => a - b)
    t.is(hex(update(store, root, same)), hex(root))
    for (const key of absent) t.is(hex(update(store, root, [[key, null]])), hex(root))
    t.is(hex(update(store, root, [])), hex(root))
    t.is(chunks.putCount, 0)
  })
}

test('a change and its undoing give back the first root', (t) => {
  const random = Random.announced(t)
  for (const shape of shapes) {
    const store = new NodeStore(new MemoryChunks())
    const model = randomModel(random, shape, 500)
    const root = built(store, model)
    const changes = randomChanges(random, shape, model, 100)
    const undo = changes.map(([key]) => [key, model.get(key) ?? null] as const)
    t.is(hex(update(store, update(store, root, changes), undo)), hex(root), shape.name)
  }
})

test('keys that do not rise, empty and overlong values are refused', (t) => {
  const store = new NodeStore(new MemoryChunks())
  const value = Random.announced(t).bytes(8)
  const expected = { name: 'AssertionFailure' }
  t.throws(() => update(store, null, [[2, value], [1, value]]), expected)
  t.throws(() => update(store, null, [[2, value], [2, value]]), expected)
  t.throws(() => update(store, null, [[2 ** 52, value]]), expected)
  t.throws(() => update(store, null, [[0.5, value]]), expected)
  t.throws(() => update(store, null, [[-1, value]]), expected)
  t.throws(() => update(store, null, [[1, value.subarray(0, 0)]]), expected)
  t.throws(() => update(store, null, [[1, new Uint8Array(4225)]]), expected)
})
