import { Buffer } from 'node:buffer'
import test from 'ava'
import { decodeEffects, encodeEffects } from '../../src/format/effects.ts'
import type { Effect } from '../../src/format/effects.ts'
import { xattrTotalBytesMax } from '../../src/limits.ts'
import { goldenEffects, goldenInode } from '../golden/log-v1.ts'
import { Random } from '../random.ts'
import { checkMutants, checkNoise } from './mutants.ts'

const again = (bytes: Buffer): Buffer => encodeEffects(decodeEffects(bytes))

test('the bytes of each effect', (t) => {
  const hex = (effect: Effect): string => encodeEffects([effect]).toString('hex')
  t.is(hex(goldenEffects[0]), '01' + '0900000000000000' + '8000' + goldenInode.toString('hex'))
  t.is(hex(goldenEffects[2]), '03' + '0100000000000000' + '0900000000000000' + '08' + '08' + Buffer.from('new name').toString('hex'))
  t.is(hex(goldenEffects[3]), '04' + '0100000000000000' + '02' + 'fffe')
  t.is(hex(goldenEffects[4]), '02' + '0000000000010000')
  t.is(hex({ kind: 'attributes', inode: 1, block: Buffer.from([7]) }), '05' + '0100000000000000' + '01000000' + '07')
})

test('what was encoded is decoded, in order', (t) => {
  t.deepEqual(decodeEffects(encodeEffects(goldenEffects)), goldenEffects)
  t.deepEqual(decodeEffects(Buffer.alloc(0)), [])
  const long: Effect = { kind: 'name', parent: 2 ** 52 - 1, name: Buffer.alloc(255, 0x61), inode: 1, type: 15 }
  t.deepEqual(decodeEffects(encodeEffects([long, long])), [long, long])
  const empty: Effect = { kind: 'attributes', inode: 3, block: Buffer.alloc(0) }
  t.deepEqual(decodeEffects(encodeEffects([empty])), [empty])
})

test('what is cut short, unknown or too large is damaged', (t) => {
  const whole = new Set([0])
  for (let count = 1; count <= goldenEffects.length; count += 1) whole.add(encodeEffects(goldenEffects.slice(0, count)).length)
  const bytes = encodeEffects(goldenEffects)
  for (let length = 0; length < bytes.length; length += 1) {
    if (!whole.has(length)) t.throws(() => decodeEffects(bytes.subarray(0, length)), { code: 'DAMAGED' }, `${length}`)
  }
  for (const tag of [0, 6, 255]) t.throws(() => decodeEffects(Buffer.concat([Buffer.from([tag]), Buffer.alloc(40)])), { code: 'DAMAGED' })
  const large = encodeEffects([{ kind: 'attributes', inode: 1, block: Buffer.alloc(xattrTotalBytesMax + 1) }])
  t.throws(() => decodeEffects(large), { code: 'DAMAGED' })
  const nameless = Buffer.from('04' + '0100000000000000' + '00', 'hex')
  t.throws(() => decodeEffects(nameless), { code: 'DAMAGED' })
  const beyond = Buffer.from('02' + 'ffffffffffffffff', 'hex')
  t.throws(() => decodeEffects(beyond), { code: 'DAMAGED' })
})

test('mutants and noise are refused by code, or mean one thing only', (t) => {
  const random = Random.announced(t)
  checkMutants(t, random, encodeEffects(goldenEffects), 3000, again)
  checkNoise(t, random, Buffer.alloc(0), 3000, again)
})
