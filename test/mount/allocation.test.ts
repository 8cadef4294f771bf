import test from 'ava'
import { countKeys } from '../../src/image/allocation.ts'
import { NodeReader, NodeStore, update } from '../../src/image/tree/index.ts'
import type { Change } from '../../src/image/tree/index.ts'
import { digestBytes } from '../../src/limits.ts'
import { Random } from '../random.ts'
import { MemoryChunks } from '../tree/memory-chunks.ts'

test('the ids of a file are counted by the weights of its tree as by looking at each', (t) => {
  const random = Random.announced(t)
  for (const spread of [1, 3, 200, 100_000]) {
    const chunks = new MemoryChunks()
    const keys = new Set<number>()
    const count = 1 + random.below(5000)
    for (let at = 0; keys.size < count; at += 1 + random.below(spread)) keys.add(at)
    const sorted = [...keys].sort((a, b) => a - b)
    const root = update(new NodeStore(chunks), null, sorted.map((key): Change => [key, random.bytes(digestBytes)]))
    const reader = new NodeReader(chunks)
    const last = sorted[sorted.length - 1]
    for (let times = 0; times < 100; times += 1) {
      const from = random.below(last + 10)
      const to = from + random.below(last + 10)
      t.is(countKeys(reader, root, from, to), sorted.filter((key) => key >= from && key < to).length)
    }
    t.is(countKeys(reader, root, 0, Infinity), sorted.length)
    t.is(countKeys(reader, null, 0, Infinity), 0)
  }
})
