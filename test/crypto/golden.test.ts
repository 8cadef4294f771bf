/** The encrypted forms as version 1 wrote them. */
import { Buffer } from 'node:buffer'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { unlock } from '../../src/crypto/key-slots.ts'
import { decodeKeysFile, encodeKeysFile } from '../../src/crypto/keys-file.ts'
import { PackSeal } from '../../src/crypto/pack-seal.ts'
import { openObject } from '../../src/crypto/sealed-object.ts'
import { systemEnv } from '../../src/env/system.ts'
import { decodePackHeader, packHeaderBytes } from '../../src/format/pack-header.ts'
import { readRecordHeader, recordChecksumHolds } from '../../src/format/pack-record.ts'
import { ImageLayout } from '../../src/image/layout.ts'
import { LogReader } from '../../src/image/log-reader.ts'
import {
  goldenDomain, goldenImageId, goldenKeyFile, goldenObjectWord, goldenPackId, goldenPassphrase, goldenPayload,
  goldenPlain,
} from '../golden/sealed-v1.ts'

const golden = (name: string): Buffer => fs.readFileSync(join(import.meta.dirname, '../golden', name))
const file = decodeKeysFile(golden('keys-v1.json'))
const { keys } = unlock(file, goldenKeyFile)

test('golden keys open with a key file and with a passphrase, and are written as they were', (t) => {
  t.deepEqual(keys.domainId, goldenDomain)
  t.is(unlock(file, goldenPassphrase).slotId, 2)
  t.deepEqual(unlock(file, goldenPassphrase).keys.root, keys.root)
  t.true(encodeKeysFile(file).equals(golden('keys-v1.json')))
})

test('a golden record opens at its place, and its chunk has the name it had', (t) => {
  const pack = golden('sealed-pack-v1.bin')
  const { keyId, packId } = decodePackHeader(pack.subarray(0, packHeaderBytes))
  t.deepEqual([keyId, packId], [1, goldenPackId])
  const record = pack.subarray(packHeaderBytes)
  const header = readRecordHeader(record, 0)!
  t.true(recordChecksumHolds(record, 0, header))
  const opened = new PackSeal(systemEnv(), keys, packId, keyId).open(record, header, packHeaderBytes)
  t.deepEqual(opened, goldenPlain)
  t.deepEqual(Buffer.from(header.id), keys.chunkId(goldenPlain))
})

test('a golden segment of a sealed log reads back', (t) => {
  const directory = fs.mkdtempSync(join(tmpdir(), 'holdfast-golden-'))
  t.teardown(() => fs.rmSync(directory, { recursive: true, force: true }))
  const layout = new ImageLayout(directory, 'image')
  fs.mkdirSync(layout.log, { recursive: true })
  fs.writeFileSync(layout.segment(7, 'disk'), golden('sealed-log-v1.bin'))
  using log = new LogReader(systemEnv(), layout, goldenImageId, keys)
  const records = Array.from(log.records([7], { sequence: 1000, isWhole: true }), ({ payload, inode, counter }) =>
    ({ payload: Buffer.from(payload), inode, counter }))
  t.deepEqual(records, [{ payload: goldenPayload, inode: 9, counter: 1 }])
})

test('a golden sealed file opens', (t) => {
  t.deepEqual(openObject(keys, goldenObjectWord, golden('sealed-object-v1.bin')), goldenPlain)
})
