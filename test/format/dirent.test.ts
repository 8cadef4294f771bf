import { Buffer } from 'node:buffer'
import test from 'ava'
import { treeKeyMax } from '../../src/limits.ts'
import { decodeDirents, encodeDirents, isName, nameKey } from '../../src/format/dirent.ts'
import type { Dirent } from '../../src/format/dirent.ts'
import { Random } from '../random.ts'
import { checkMutants, checkNoise } from './mutants.ts'

const dirents: Dirent[] = [
  { inode: 2 ** 40, type: 8, name: Buffer.from('b') },
  { inode: 3, type: 4, name: Buffer.from('abc') },
]
const again = (bytes: Buffer): Buffer => encodeDirents(decodeDirents(bytes))

test('names, sorted by their bytes', (t) => {
  const bytes = encodeDirents(dirents)
  t.is(bytes.toString('hex'), '0300000000000000' + '04' + '03' + '616263' + '0000000000010000' + '08' + '01' + '62')
  t.deepEqual(decodeDirents(bytes), [...dirents].reverse())
})

test('keys of names, pinned: they are positions that outlive a program', (t) => {
  t.is(nameKey(Buffer.from('disk.raw')), 473_392_192_887_423)
  t.is(nameKey(Buffer.from('memory')), 3_340_455_709_736_717)
})

test('keys lie within the tree, and the wrong order of two names does not matter', (t) => {
  const random = Random.announced(t)
  for (let times = 0; times < 200; times += 1) {
    const key = nameKey(random.bytes(1 + random.below(255)))
    t.true(Number.isInteger(key) && key >= 0 && key <= treeKeyMax)
  }
  t.deepEqual(encodeDirents(dirents), encodeDirents([...dirents].reverse()))
})

test('what is a name', (t) => {
  for (const name of ['a', '...', '.a', '..a', 'x'.repeat(255), '\xff']) t.true(isName(Buffer.from(name, 'latin1')), name)
  for (const name of ['', '.', '..', 'a/b', 'a\0', 'x'.repeat(256)]) t.false(isName(Buffer.from(name)), name)
})

test('a name that cannot be, a type that cannot be, a name twice', (t) => {
  const wrong: Dirent[][] = [
    [], [dirents[0], dirents[0]],
    [{ ...dirents[0], name: Buffer.from('..') }], [{ ...dirents[0], type: 3 }], [{ ...dirents[0], inode: 2 ** 52 }],
  ]
  for (const list of wrong) t.throws(() => encodeDirents(list), { name: 'AssertionFailure' })
  t.throws(() => decodeDirents(Buffer.alloc(0)), { code: 'DAMAGED' })
  t.throws(() => decodeDirents(Buffer.from('0300000000000000' + '04' + '02' + '2e2e', 'hex')), { code: 'DAMAGED' })
})

test('fifteen of the longest names can share a key, sixteen cannot', (t) => {
  const names = (count: number): Dirent[] =>
    Array.from({ length: count }, (_, index) => ({ inode: 1, type: 8, name: Buffer.alloc(255, 0x61 + index) }))
  t.is(decodeDirents(encodeDirents(names(15))).length, 15)
  t.throws(() => encodeDirents(names(16)), { code: 'NO_SPACE' })
})

test('mutated names are refused by code, or are the one encoding of what they hold', (t) => {
  const random = Random.announced(t)
  checkMutants(t, random, encodeDirents(dirents), 3000, again)
  checkNoise(t, random, Buffer.alloc(8), 2000, again)
})
