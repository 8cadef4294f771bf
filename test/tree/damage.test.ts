/** Trees whose nodes are each well formed but do not belong together, as only an enemy or a bug makes them. */
import type { Buffer } from 'node:buffer'
import test from 'ava'
import { encodeInner, encodeLeaf } from '../../src/format/node.ts'
import { heavyWeight } from '../../src/format/node-partition.ts'
import { NodeReader, NodeStore, diff, entries, get, nextKey, update } from '../../src/image/tree/index.ts'
import { Random } from '../random.ts'
import { MemoryChunks } from './memory-chunks.ts'

const damaged = { name: 'HoldfastError', code: 'DAMAGED' }

function leafAt(chunks: MemoryChunks, key: number, bytes: number): Buffer {
  return chunks.put(encodeLeaf([key], [new Uint8Array(bytes).fill(9)]), 'node').id
}

/** An inner node of level 1 whose second child is as the test wants it. */
function forged(chunks: MemoryChunks, second: { id: Buffer; weight: number }): Buffer {
  const first = { slot: 0, id: leafAt(chunks, 0, 4000), weight: 4000 }
  return chunks.put(encodeInner(1, 0, [first, { slot: 64, ...second }]), 'node').id
}

const forgeries = {
  'a leaf of keys elsewhere': (chunks: MemoryChunks) => ({ id: leafAt(chunks, 3, 3000), weight: 3000 }),
  'a leaf of another weight': (chunks: MemoryChunks) => ({ id: leafAt(chunks, 8192, 3000), weight: 3001 }),
  'a leaf said to be an inner node': (chunks: MemoryChunks) => ({ id: leafAt(chunks, 8192, 3000), weight: heavyWeight }),
  'an inner node said to be a leaf': (chunks: MemoryChunks) => ({ id: forged(chunks, { id: leafAt(chunks, 8192, 3000), weight: 3000 }), weight: 3000 }),
  'an inner node of the same level': (chunks: MemoryChunks) => ({ id: forged(chunks, { id: leafAt(chunks, 8192, 3000), weight: 3000 }), weight: heavyWeight }),
}

for (const [name, forge] of Object.entries(forgeries)) {
  test(`${name} is DAMAGED for every way of reading`, (t) => {
    const chunks = new MemoryChunks()
    const root = forged(chunks, forge(chunks))
    const whole = forged(chunks, { id: leafAt(chunks, 8200, 3000), weight: 3000 })
    const reader = new NodeReader(chunks)
    t.throws(() => get(reader, root, 8192), damaged)
    t.throws(() => nextKey(reader, root, 1), damaged)
    t.throws(() => [...entries(reader, root)], damaged)
    t.throws(() => [...diff(reader, root, whole)], damaged)
    t.throws(() => update(new NodeStore(chunks), root, [[8192, null]]), damaged)
  })
}

test('a missing node is NOT_FOUND, and bytes of another kind are BAD_FORMAT', (t) => {
  const chunks = new MemoryChunks()
  const reader = new NodeReader(chunks)
  const random = Random.announced(t)
  t.throws(() => get(reader, random.bytes(32), 0), { code: 'NOT_FOUND' })
  t.throws(() => get(reader, chunks.put(new Uint8Array(4096).fill(1), 'node').id, 0), { code: 'BAD_FORMAT' })
})

test('a write that fails leaves the tree before as it was', (t) => {
  const chunks = new MemoryChunks()
  const store = new NodeStore(chunks)
  const value = Random.announced(t).bytes(3000)
  const root = update(store, null, [[1, value], [2, value], [3, value]])
  chunks.put = (): never => {
    throw Object.assign(new Error('no space'), { code: 'NO_SPACE' })
  }
  t.throws(() => update(store, root, [[4, value]]), { code: 'NO_SPACE' })
  t.deepEqual([...entries(store, root)].map(([key]) => key), [1, 2, 3])
})
