import { Buffer } from 'node:buffer'
import test from 'ava'
import { decodeNode, encodeInner, encodeLeaf } from '../../src/format/node.ts'
import { heavyWeight } from '../../src/format/node-partition.ts'
import type { ChildReference } from '../../src/format/node.ts'
import { Random } from '../random.ts'
import { randomModel, shapes, sorted } from '../tree/shapes.ts'
import { checkMutants, checkNoise } from './mutants.ts'

const value = (byte: number, length: number): Buffer => Buffer.alloc(length, byte)

function encodeAgain(bytes: Buffer): Buffer {
  const node = decodeNode(bytes)
  const indexes = Array.from({ length: node.count }, (_, index) => index)
  if (node.leaf) return encodeLeaf(indexes.map((index) => node.keyAt(index)), indexes.map((index) => node.valueAt(index)))
  const slotKeys = 128 ** node.level
  const children = indexes.map((index): ChildReference => ({
    slot: (node.keyStart(index) - node.base) / slotKeys, id: node.idAt(index), weight: node.weightAt(index),
  }))
  return encodeInner(node.level, node.base, children)
}

/** Leaves and inner nodes of every layout. */
function samples(random: Random): Buffer[] {
  const leaves = shapes.map((shape) => {
    const entries = sorted(randomModel(random, shape, 20)).filter((_, index, all) => all.slice(0, index + 1).reduce((sum, [, one]) => sum + one.length, 0) <= 4096)
    return entries.length === 0 ? encodeLeaf([7], [value(7, 4224)]) : encodeLeaf(entries.map(([key]) => key), entries.map(([, one]) => one))
  })
  const dense = Array.from({ length: 128 }, (_, index) => 640 + index)
  const inner = (count: number): ChildReference[] =>
    Array.from({ length: count }, (_, slot) => ({ slot, id: random.bytes(32), weight: slot % 3 === 0 ? heavyWeight : 4096 }))
  return [...leaves, encodeLeaf(dense, dense.map((key) => value(key % 256, 32))), encodeLeaf(dense.slice(3, 80), dense.slice(3, 80).map(() => random.bytes(32))),
    encodeInner(1, 0, inner(3)), encodeInner(2, 128 ** 3 * 5, inner(128)), encodeInner(7, 0, inner(8))]
}

test('a leaf with values of one length, sorted', (t) => {
  const bytes = encodeLeaf([0x1234, 0x12ff], [value(0xaa, 2), value(0xbb, 2)])
  t.is(bytes.toString('hex'), '6d4e' + '01' + '00' + '00' + '01' + '0200' + '0200' + '0012000000000000' + '34ff' + 'aaaabbbb')
})

test('a leaf with values of many lengths, sorted', (t) => {
  const bytes = encodeLeaf([5, 2 ** 52 - 1], [value(0xaa, 1), value(0xbb, 3)])
  t.is(bytes.toString('hex'), '6d4e' + '01' + '00' + '00' + '07' + '0200' + '0000' + '0000000000000000' + '05000000000000' + 'ffffffffffff0f' + '01000400' + 'aabbbbbb')
})

test('a leaf of one entry', (t) => {
  t.is(encodeLeaf([0x010203], [value(0xcc, 3)]).toString('hex'), '6d4e' + '01' + '00' + '00' + '00' + '0100' + '0300' + '0302010000000000' + 'cccccc')
})

test('a leaf in slots', (t) => {
  const keys = [32, 33, 34, 35, 36, 37, 38, 47]
  const bytes = encodeLeaf(keys, keys.map((key) => value(key, 1)))
  t.is(bytes.toString('hex'), '6d4e' + '01' + '00' + '01' + '04' + '0800' + '0100' + '2000000000000000' + '7f80' + '00'.repeat(14) + '20212223242526' + '00'.repeat(8) + '2f')
})

test('an inner node', (t) => {
  const children = [{ slot: 0, id: value(0xaa, 32), weight: 4096 }, { slot: 64, id: value(0xbb, 32), weight: 1 }, { slot: 127, id: value(0xcc, 32), weight: heavyWeight }]
  const bytes = encodeInner(1, 128 * 128, children)
  const head = '6d4e' + '01' + '02' + '00' + '01' + '0300' + '2200' + '0040000000000000' + '00407f'
  t.is(bytes.toString('hex'), head + 'aa'.repeat(32) + '0010' + 'bb'.repeat(32) + '0100' + 'cc'.repeat(32) + 'ffff')
})

test('what was encoded is decoded', (t) => {
  for (const bytes of samples(Random.announced(t))) t.deepEqual(encodeAgain(bytes), bytes)
})

test('a leaf finds its keys and no others', (t) => {
  const random = Random.announced(t)
  for (const shape of shapes) {
    const entries = sorted(randomModel(random, shape, 1))
    const leaf = decodeNode(encodeLeaf(entries.map(([key]) => key), entries.map(([, one]) => one)))
    if (!leaf.leaf) return t.fail('a leaf is a leaf')
    t.deepEqual(leaf.valueOf(entries[0][0]), entries[0][1])
    t.is(leaf.valueOf(entries[0][0] + 1), null)
    t.is(leaf.valueOf(entries[0][0] - 1), null)
    t.is(leaf.valueOf(2 ** 53 - 1), null)
  }
})

test('mutated nodes are refused by code, or are the one encoding of what they hold', (t) => {
  const random = Random.announced(t)
  for (const bytes of samples(random)) checkMutants(t, random, bytes, 300, encodeAgain)
})

test('noise is refused by code', (t) => {
  const random = Random.announced(t)
  checkNoise(t, random, Buffer.from('6d4e01', 'hex'), 2000, encodeAgain)
})

test('the checks of an inner node, one by one', (t) => {
  const id = value(1, 32)
  const refused = (children: ChildReference[], level = 1, base = 0): void => {
    t.throws(() => decodeNode(encodeInner(level, base, children)), { code: 'DAMAGED' })
  }
  const good = [{ slot: 0, id, weight: 4096 }, { slot: 64, id, weight: 4096 }]
  t.notThrows(() => decodeNode(encodeInner(1, 0, good)))
  refused([{ slot: 0, id, weight: 4096 }])
  refused([{ slot: 0, id, weight: 2000 }, { slot: 64, id, weight: 2000 }])
  refused([{ slot: 1, id, weight: 4096 }, { slot: 64, id, weight: 4096 }])
  refused([{ slot: 0, id, weight: 0 }, { slot: 64, id, weight: 4096 }])
  refused([{ slot: 0, id, weight: 4098 }, { slot: 64, id, weight: 4096 }])
  refused([{ slot: 64, id, weight: 4096 }, { slot: 0, id, weight: 4096 }])
  refused([{ slot: 0, id, weight: heavyWeight }, { slot: 64, id, weight: 4096 }], 0)
  refused(good, 1, 128)
  refused([{ slot: 0, id, weight: 4096 }, { slot: 128, id, weight: 4096 }])
  refused([{ slot: 0, id, weight: 4096 }, { slot: 8, id, weight: 4096 }], 7)
})

test('a newer version and other bytes have their own codes', (t) => {
  const bytes = encodeLeaf([1], [value(1, 1)])
  bytes[2] = 2
  t.throws(() => decodeNode(bytes), { code: 'NEWER_VERSION' })
  bytes[2] = 0
  t.throws(() => decodeNode(bytes), { code: 'DAMAGED' })
  bytes[0] = 0
  t.throws(() => decodeNode(bytes), { code: 'BAD_FORMAT' })
  t.throws(() => decodeNode(Buffer.alloc(0)), { code: 'BAD_FORMAT' })
})
