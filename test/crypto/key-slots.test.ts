import { Buffer } from 'node:buffer'
import test from 'ava'
import {
  addSlot, changeSlot, dropOldKeys, makeKeys, removeSlot, renewKeys, unlock,
} from '../../src/crypto/key-slots.ts'
import { decodeKeysFile, encodeKeysFile } from '../../src/crypto/keys-file.ts'
import type { Secret } from '../../src/crypto/secret.ts'
import { systemEnv } from '../../src/env/system.ts'
import { codeOf } from '../../src/errors.ts'
import { keySlotsMax } from '../../src/limits.ts'

const env = systemEnv()
const domainId = Buffer.alloc(16, 0xd0)
const [first, second, third] = [1, 2, 3].map((n): Secret => ({ kind: 'keyFile', bytes: Buffer.alloc(32, n) }))
const plain = Buffer.from('what is named')

test('a passphrase opens its slot and no other, however its letters are composed', (t) => {
  const file = makeKeys(env, domainId, { kind: 'passphrase', passphrase: 'caf\u00e9' })
  const { keys, slotId } = unlock(decodeKeysFile(encodeKeysFile(file)), { kind: 'passphrase', passphrase: 'cafe\u0301' })
  t.is(slotId, 1)
  t.is(keys.keyId, 1)
  t.throws(() => unlock(file, { kind: 'passphrase', passphrase: 'cafe' }), { code: 'KEY_WRONG' })
  t.throws(() => unlock(file, first), { code: 'KEY_WRONG' })
  for (const passphrase of ['', 'x'.repeat(1025)]) {
    t.throws(() => unlock(file, { kind: 'passphrase', passphrase }), { code: 'USAGE' })
  }
  t.throws(() => unlock(file, { kind: 'keyFile', bytes: Buffer.alloc(31) }), { code: 'USAGE' })
})

test('every slot opens the same keys; the root opens them too, and spares the slots', (t) => {
  const made = makeKeys(env, domainId, first)
  const { keys } = unlock(made, first)
  const { file, slotId } = addSlot(env, made, keys.root, second)
  t.is(slotId, 2)
  const root: Secret = { kind: 'root', root: keys.root.toString('hex') }
  for (const secret of [first, second, root]) t.deepEqual(unlock(file, secret).keys.chunkId(plain), keys.chunkId(plain))
  t.throws(() => unlock(file, third), { code: 'KEY_WRONG' })
  const text = encodeKeysFile(file).toString()
  for (const secretBytes of [keys.root, keys.ring.idKey, keys.dataKey(1)]) t.false(text.includes(secretBytes.toString('hex')))
})

test('changing a secret rewraps its slot and nothing else', (t) => {
  const made = makeKeys(env, domainId, first)
  const { keys } = unlock(made, first)
  const { file } = addSlot(env, made, keys.root, second)
  const changed = changeSlot(env, file, keys.root, 1, third)
  t.deepEqual(changed.ring, file.ring)
  t.deepEqual(changed.slots[1], file.slots[1])
  t.throws(() => unlock(changed, first), { code: 'KEY_WRONG' })
  t.is(unlock(changed, third).slotId, 1)
  t.throws(() => changeSlot(env, file, keys.root, 9, third), { code: 'NOT_FOUND' })
})

test('the last slot stays, numbers go on, and there is an end to slots', (t) => {
  const made = makeKeys(env, domainId, first)
  const { keys } = unlock(made, first)
  t.throws(() => removeSlot(made, 1), { code: 'USAGE' })
  t.throws(() => removeSlot(made, 2), { code: 'NOT_FOUND' })
  let { file } = addSlot(env, made, keys.root, second)
  file = removeSlot(file, 1)
  t.throws(() => unlock(file, first), { code: 'KEY_WRONG' })
  t.is(unlock(file, second).slotId, 2)
  while (file.slots.length < keySlotsMax) file = addSlot(env, file, keys.root, third).file
  t.throws(() => addSlot(env, file, keys.root, third), { code: 'USAGE' })
})

test('new keys are in one slot; the old root opens nothing, old data keys go last', (t) => {
  const made = makeKeys(env, domainId, first)
  const { keys } = unlock(made, first)
  const { file } = addSlot(env, made, keys.root, second)
  const renewed = renewKeys(env, file, keys, first, 1)
  t.throws(() => unlock(renewed, second), { code: 'KEY_WRONG' })
  t.throws(() => unlock(renewed, { kind: 'root', root: keys.root.toString('hex') }), { code: 'KEY_WRONG' })
  const now = unlock(renewed, first).keys
  t.is(now.keyId, 2)
  t.deepEqual(now.dataKey(1), keys.dataKey(1))
  t.notDeepEqual(now.dataKey(2), keys.dataKey(1))
  t.deepEqual(now.chunkId(plain), keys.chunkId(plain))
  const last = unlock(dropOldKeys(env, renewed, now), first).keys
  t.deepEqual([...last.ring.dataKeys.keys()], [2])
  t.throws(() => last.dataKey(1), { code: 'KEY_NEEDED' })
})

test('a keys file that was changed anywhere opens nothing, or the same', (t) => {
  const file = makeKeys(env, domainId, first)
  const { keys } = unlock(file, first)
  const bytes = encodeKeysFile(file)
  let refused = 0
  for (let at = 0; at < bytes.length; at += 1) {
    const mutant = Buffer.from(bytes)
    mutant[at] ^= 1
    try {
      t.deepEqual(unlock(decodeKeysFile(mutant), first).keys.root, keys.root)
    } catch (error) {
      t.true(['KEY_WRONG', 'DAMAGED', 'BAD_FORMAT', 'NEWER_VERSION'].includes(String(codeOf(error))), String(error))
      refused += 1
    }
  }
  t.true(refused > bytes.length / 2, `${refused} of ${bytes.length}`)
})

test('a keys file from elsewhere cannot make us work without end', (t) => {
  const text = encodeKeysFile(makeKeys(env, domainId, { kind: 'passphrase', passphrase: 'x' })).toString()
  const changes: [string | RegExp, string][] = [
    [/"costLog2": 17/, '"costLog2": 21'], [/"costLog2": 17/, '"costLog2": -1'],
    [/"costLog2": 17/, '"costLog2": 0'], [/"slots": \[[^]*\],/, '"slots": [],'],
    [/"salt": "[0-9a-f]{64}"/, '"salt": "00"'], [/"kind": "passphrase"/, '"kind": "other"'], [/"id": 1/, '"id": 1.5'],
  ]
  for (const [from, to] of changes) {
    t.throws(() => decodeKeysFile(Buffer.from(text.replace(from, to))), { code: 'DAMAGED' }, to)
  }
  t.throws(() => decodeKeysFile(Buffer.from(text.replace('"version": 1', '"version": 2'))), { code: 'NEWER_VERSION' })
  t.throws(() => decodeKeysFile(Buffer.alloc(70_000, 0x20)), { code: 'DAMAGED' })
})
