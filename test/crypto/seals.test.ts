import { Buffer } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import test from 'ava'
import { makeKeys, unlock } from '../../src/crypto/key-slots.ts'
import { PackSeal, unsealedRecord } from '../../src/crypto/pack-seal.ts'
import { keyIdOfObject, openObject, sealObject } from '../../src/crypto/sealed-object.ts'
import { SegmentSeal } from '../../src/crypto/segment-seal.ts'
import { systemEnv } from '../../src/env/system.ts'
import { codecRaw, kindData, readRecordHeader, recordBytesMax, recordChecksumHolds, writeRecord } from '../../src/format/pack-record.ts'
import { soundHeader } from '../../src/store/record-source.ts'
import { testKeys, testSecret } from './keys.ts'

const env = systemEnv()
const packId = Buffer.alloc(16, 0x33)
const secretText = 'a plain word that must not be seen'

function sealedRecord(offset: number, seal = new PackSeal(env, testKeys, packId, 1)): Buffer {
  const payload = Buffer.from(secretText.repeat(20))
  const content = {
    kind: kindData, codec: codecRaw, depth: 0, baseDepth: 0, plainBytes: payload.length, paidBytes: 0,
    id: testKeys.chunkId(payload), baseId: undefined,
  }
  const target = Buffer.alloc(recordBytesMax)
  const sealing = (bound: Buffer, plain: Uint8Array) => seal.seal(bound, plain, offset)
  return target.subarray(0, writeRecord(target, 0, content, payload, sealing))
}

test('a record opens where it was written, in its pack, and nowhere else', (t) => {
  const record = sealedRecord(4096)
  const header = readRecordHeader(record, 0)!
  t.true(header.isSealed && recordChecksumHolds(record, 0, header))
  t.false(record.includes(secretText))
  const seal = new PackSeal(env, testKeys, packId, 1)
  t.is(seal.open(record, header, 4096).toString(), secretText.repeat(20))
  t.throws(() => seal.open(record, header, 4097), { code: 'DAMAGED' })
  const otherPack = new PackSeal(env, testKeys, Buffer.alloc(16, 0x34), 1)
  t.throws(() => otherPack.open(record, header, 4096), { code: 'DAMAGED' })
  t.throws(() => new PackSeal(env, testKeys, packId, 2), { code: 'KEY_NEEDED' })
})

test('no byte of a sealed record can be changed, also with a checksum to fit', (t) => {
  const record = sealedRecord(80)
  const seal = new PackSeal(env, testKeys, packId, 1)
  for (let at = 8; at < record.length; at += 1) {
    const mutant = Buffer.from(record)
    mutant[at] ^= 1 << (at % 8)
    const header = readRecordHeader(mutant, 0)
    if (header === undefined || header.headerBytes + header.payloadBytes + 24 > record.length) continue
    t.throws(() => seal.open(mutant, header, 80), { code: 'DAMAGED' }, `byte ${at}`)
  }
})

test('what is written over at the same place is sealed with another nonce', (t) => {
  const [before, after] = [sealedRecord(80), sealedRecord(80)]
  t.notDeepEqual(before.subarray(56), after.subarray(56))
  t.notDeepEqual(before.subarray(-24, -16), after.subarray(-24, -16))
})

test('a record without its seal is one of a plain store', (t) => {
  const seal = new PackSeal(env, testKeys, packId, 1)
  const record = sealedRecord(80, seal)
  t.is(soundHeader(record), undefined)
  const plain = unsealedRecord(seal, record, readRecordHeader(record, 0)!, 80)
  const header = soundHeader(plain)!
  t.false(header.isSealed)
  t.is(plain.subarray(header.headerBytes).toString(), secretText.repeat(20))
  t.deepEqual(header.id, readRecordHeader(record, 0)!.id)
})

test('ids are keyed: other keys, other ids; the same keys, the same', (t) => {
  const plain = Buffer.from('a well-known file')
  const other = unlock(makeKeys(env, testKeys.domainId, testSecret), testSecret).keys
  t.deepEqual(testKeys.chunkId(plain), testKeys.chunkId(Buffer.from(plain)))
  t.notDeepEqual(testKeys.chunkId(plain), other.chunkId(plain))
})

test('any part of a sealed payload of the log can be revealed', (t) => {
  const seal = new SegmentSeal(testKeys, 1, randomBytes(16), Buffer.alloc(128, 7))
  const payload = randomBytes(5000)
  const bound = Buffer.from('a header')
  const { body, tag } = seal.seal(bound, payload, 3)
  t.deepEqual(seal.open(bound, Buffer.concat([body, tag]), 3), payload)
  for (const [start, end] of [[0, 5000], [0, 1], [15, 17], [16, 32], [4999, 5000], [1234, 3456]]) {
    const part = Buffer.from(body.subarray(start, end))
    seal.reveal(part, start, 3)
    t.deepEqual(part, payload.subarray(start, end), `${start} to ${end}`)
  }
  t.is(seal.open(bound, Buffer.concat([body, tag]), 4), undefined)
  t.is(seal.open(Buffer.from('A header'), Buffer.concat([body, tag]), 3), undefined)
  const otherHeader = new SegmentSeal(testKeys, 1, Buffer.alloc(16), Buffer.alloc(128, 8))
  t.is(otherHeader.open(bound, Buffer.concat([body, tag]), 3), undefined)
})

test('a sealed file opens as what it is, whole and unchanged', (t) => {
  const plain = Buffer.from(secretText)
  const sealed = sealObject(env, testKeys, 'epoch 3 of web', plain)
  t.is(keyIdOfObject(sealed), 1)
  t.is(keyIdOfObject(plain), null)
  t.deepEqual(openObject(testKeys, 'epoch 3 of web', sealed), plain)
  t.throws(() => openObject(testKeys, 'epoch 4 of web', sealed), { code: 'DAMAGED' })
  t.throws(() => openObject(testKeys, 'epoch 3 of web', sealed.subarray(0, -1)), { code: 'DAMAGED' })
  t.throws(() => openObject(testKeys, 'epoch 3 of web', plain), { code: 'BAD_FORMAT' })
  for (let at = 0; at < sealed.length; at += 1) {
    const mutant = Buffer.from(sealed)
    mutant[at] ^= 0x10
    t.throws(() => openObject(testKeys, 'epoch 3 of web', mutant), { name: 'HoldfastError' }, `byte ${at}`)
  }
  const elsewhere = unlock(makeKeys(env, Buffer.alloc(16, 9), testSecret), testSecret).keys
  t.throws(() => openObject(elsewhere, 'epoch 3 of web', sealed), { code: 'WRONG_DOMAIN' })
})
