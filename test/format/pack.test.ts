import test from 'ava'
import { Buffer } from 'node:buffer'
import fs from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { digest } from '../../src/chunk/digest.ts'
import { ByteReader, ByteWriter } from '../../src/format/bytes.ts'
import {
  decodeLocation, decodePackEntry, encodeLocation, encodePackEntry, packKey, packNumberOf, recordKey, recordKeyId,
} from '../../src/format/keys.ts'
import { FooterTable, decodeFooter, footerBytesFrom, readPlace } from '../../src/format/pack-footer.ts'
import { decodePackHeader, encodePackHeader, packHeaderBytes } from '../../src/format/pack-header.ts'
import {
  codecDelta, codecLz4, codecRaw, encodeVoidHeader, kindData, kindNode, kindVoid, readRecordHeader, recordChecksumHolds,
  writeRecord,
} from '../../src/format/pack-record.ts'
import { emptyTotals } from '../../src/format/pack-totals.ts'
import { chunkBytes } from '../../src/limits.ts'
import { initStore } from '../../src/store/identity.ts'
import { openChunkStore } from '../../src/store/open.ts'
import { readFooter, scanRecords } from '../../src/store/pack-scan.ts'
import { env, temporaryStore } from '../store/support.ts'
import { goldenHeader, goldenPlains } from '../golden/pack-v1.ts'

const goldenPath = join(import.meta.dirname, '../golden/pack-v1.bin')
const golden = fs.readFileSync(goldenPath)

test('the golden pack: header, records, footer as version 1 wrote them', (t) => {
  t.deepEqual(decodePackHeader(golden.subarray(0, packHeaderBytes)), goldenHeader)
  t.true(encodePackHeader(goldenHeader).equals(golden.subarray(0, packHeaderBytes)))
  using file = env.open(goldenPath, 'read')
  const footer = readFooter(file)
  t.truthy(footer)
  if (footer === undefined) return
  t.is(footer.count, 3)
  t.deepEqual(footer.totals.data, { records: 0, plainBytes: 0, storedBytes: 0 })
  t.is(footer.totals.node.plainBytes, goldenPlains[0].length + goldenPlains[1].length + goldenPlains[2].length)
  const found = [...scanRecords(file, packHeaderBytes, footer.recordsEnd)].map((step) => {
    if (step.type === 'gap') return 'gap'
    return [step.offset, step.recordBytes, step.header.codec, step.header.depth, step.header.paidBytes]
  })
  t.deepEqual(found, [[80, 120, codecRaw, 0, 0], [200, 105, codecLz4, 0, 0], [405, 124, codecDelta, 1, 77]])
  for (const [at, plain] of goldenPlains.entries()) {
    t.true(footer.id(at).equals(digest(plain)))
    t.is(footer.place(at).offset, [80, 200, 405][at])
  }
})

test('a store reads the golden pack, which another store wrote', async (t) => {
  const directory = temporaryStore(t)
  fs.copyFileSync(goldenPath, join(directory, 'packs', `00000007.${goldenHeader.packId.toString('hex')}.pack`))
  await using store = await openChunkStore(env, directory)
  for (const plain of goldenPlains) t.true(store.read(digest(plain)).equals(plain))
  t.like(await store.verify(), { records: 3, damagedCount: 0, unindexed: 0 })
  t.true(store.put(Buffer.from('a new chunk'), 'node').storedBytes > 0)
  t.deepEqual(store.packs().map(({ number }) => number), [7, 8])
})

test('headers that are not ours, newer, encrypted or damaged say which', (t) => {
  const bytes = golden.subarray(0, packHeaderBytes)
  const changed = (at: number, value: number, mend = false) => {
    const copy = Buffer.from(bytes)
    copy[at] = value
    if (mend) copy.writeUInt32LE(crc32(copy.subarray(0, 76)), 76)
    return () => decodePackHeader(copy)
  }
  t.throws(changed(0, 0x68), { code: 'BAD_FORMAT' })
  t.throws(() => decodePackHeader(bytes.subarray(0, 79)), { code: 'BAD_FORMAT' })
  t.throws(changed(8, 2), { code: 'NEWER_VERSION' })
  t.throws(changed(8, 0, true), { code: 'DAMAGED' })
  t.throws(changed(10, 2, true), { code: 'DAMAGED' })
  t.is(changed(12, 5, true)().keyId, 5)
  for (let at = 10; at < packHeaderBytes; at++) t.throws(changed(at, bytes[at] ^ 1), { code: 'DAMAGED' }, `byte ${at}`)
})

const id = Buffer.alloc(32, 1)
const alone = { depth: 0, baseDepth: 0, baseId: undefined }
const content = { kind: kindData, codec: codecRaw, ...alone, plainBytes: 40, paidBytes: 9, id }

test('a record’s header is refused where a field is not what may be', (t) => {
  const record = Buffer.alloc(200)
  t.is(writeRecord(record, 0, content, Buffer.alloc(40)), 96)
  const header = readRecordHeader(record, 0)
  t.like(header, { ...content, payloadBytes: 40, headerBytes: 56 })
  t.true(header !== undefined && recordChecksumHolds(record, 0, header))
  const refused: [number, number[]][] = [
    [0, [0]], [8, [3, 255]], [9, [3, codecLz4, codecDelta]], [10, [1, 4]], [11, [1]],
    [12, [0, 41]], [14, [1, 255]], [15, [255]], [16, [39, 41, 0]], [18, [255]], [19, [255]],
  ]
  for (const [at, values] of refused) {
    for (const value of values) {
      const copy = Buffer.from(record)
      copy[at] = value
      t.is(readRecordHeader(copy, 0), undefined, `byte ${at} = ${value}`)
    }
  }
  t.is(readRecordHeader(record.subarray(0, 55), 0), undefined)
})

test('a delta’s base is shallower than itself, at most two deep', (t) => {
  const record = Buffer.alloc(300)
  const isTaken = (depth: number, baseDepth: number) => {
    const delta = { ...content, codec: codecDelta, depth, baseDepth, baseId: Buffer.alloc(32, 2) }
    writeRecord(record, 0, delta, Buffer.alloc(20))
    return readRecordHeader(record, 0) !== undefined
  }
  for (const [depth, baseDepth] of [[1, 0], [3, 2], [3, 0]]) t.true(isTaken(depth, baseDepth))
  for (const [depth, baseDepth] of [[0, 0], [1, 1], [2, 3], [4, 3]]) t.false(isTaken(depth, baseDepth))
})

test('any changed bit of a record fails its checksum', (t) => {
  const record = Buffer.alloc(96)
  writeRecord(record, 0, content, Buffer.alloc(40, 5))
  for (let bit = 0; bit < record.length * 8; bit++) {
    record[bit >> 3] ^= 1 << (bit & 7)
    const header = readRecordHeader(record, 0)
    t.false(header !== undefined && recordChecksumHolds(record, 0, header), `bit ${bit}`)
    record[bit >> 3] ^= 1 << (bit & 7)
  }
})

test('a void covers what it says', (t) => {
  const bytes = Buffer.concat([encodeVoidHeader(1000), Buffer.alloc(976, 7)])
  const header = readRecordHeader(bytes, 0)
  t.like(header, { kind: kindVoid, headerBytes: 24, payloadBytes: 976 })
  t.true(header !== undefined && recordChecksumHolds(bytes, 0, header))
})

test('footers with hostile lengths are refused before anything is allocated', (t) => {
  const table = new FooterTable()
  const form = { recordBytes: 60, kind: kindNode, codec: codecLz4, depth: 0 }
  for (let n = 0; n < 100; n++) table.add(id, { offset: 80 + n * 60, ...form })
  const totals = emptyTotals()
  const footer = table.encode(totals)
  const fileBytes = 80 + 6000 + footer.length
  const trailer = () => footer.subarray(footer.length - 16)
  t.is(footerBytesFrom(trailer(), fileBytes), footer.length)
  t.like(decodeFooter(footer, fileBytes), { count: 100, recordsEnd: 6080 })
  t.throws(() => decodeFooter(footer, fileBytes - 100), { code: 'DAMAGED' })
  footer.writeUInt32LE(0xffffffff, 8)
  mend(footer)
  t.throws(() => decodeFooter(footer, fileBytes), { code: 'DAMAGED' })
  footer.writeUInt32LE(99, 8)
  mend(footer)
  t.throws(() => decodeFooter(footer, fileBytes), { code: 'DAMAGED' })
  for (const bytes of [0, 10, 0xffffffff, fileBytes]) {
    footer.writeUInt32LE(bytes, footer.length - 16)
    t.is(footerBytesFrom(trailer(), fileBytes), undefined)
  }
})

function mend(footer: Buffer): void {
  footer.writeUInt32LE(crc32(footer.subarray(0, footer.length - 12)), footer.length - 12)
}

test('keys sort by id and depth, values come back', (t) => {
  const form = { kind: kindNode, codec: codecDelta, depth: 3 }
  const location = { packNumber: 0x01020304, offset: 0x0f0e0d0c, recordBytes: 65_624, ...form }
  t.deepEqual(decodeLocation(encodeLocation(location)), location)
  t.is(decodeLocation(Buffer.alloc(11)), undefined)
  t.deepEqual(readPlace(encodeLocation(location), 4).recordBytes, 65_624)
  t.true(Buffer.compare(recordKey(id, 0), recordKey(id, 1)) < 0)
  t.true(recordKeyId(recordKey(id, 3)).equals(id))
  t.is(packNumberOf(packKey(0xfffffffe)), 0xfffffffe)
  const entry = { packId: Buffer.alloc(16, 3), indexedBytes: 1, fileBytes: 2, closed: true, isCopied: true, totals: emptyTotals() }
  t.deepEqual(decodePackEntry(encodePackEntry(entry)), entry)
  t.throws(() => decodePackEntry(encodePackEntry(entry).subarray(1)), { code: 'DAMAGED' })
})

test('cursors check every length', (t) => {
  const writer = new ByteWriter(100, 1).u8(1).u16(2).u32(3).u64(4n)
  const bytes = writer.bytes16(Buffer.from('ab')).bytes32(Buffer.from('cde')).zeros(2).view()
  const reader = new ByteReader(bytes, 'thing')
  t.deepEqual([reader.u8(), reader.u16(), reader.u32(), reader.safe64()], [1, 2, 3, 4])
  t.is(reader.bytes16(2).toString(), 'ab')
  t.throws(() => new ByteReader(bytes.subarray(19), 'thing').bytes32(2), { code: 'DAMAGED', message: /thing/ })
  t.is(reader.bytes32(3).toString(), 'cde')
  t.throws(() => reader.end(), { code: 'DAMAGED' })
  t.throws(() => reader.u32(), { code: 'DAMAGED' })
  reader.bytes(2)
  reader.end()
  const hostile = Buffer.alloc(12, 0xff)
  t.throws(() => new ByteReader(hostile, 'x').bytes32(0xffffffff), { code: 'DAMAGED' })
  t.throws(() => new ByteReader(hostile, 'x').count32(0xffffffff, 1), { code: 'DAMAGED' })
  t.throws(() => new ByteReader(hostile, 'x').safe64(), { code: 'DAMAGED' })
  t.throws(() => new ByteWriter(3).u32(1), { message: /assertion/ })
})

test('a newer pack in the store is neither written to nor passed over', async (t) => {
  const directory = temporaryStore(t)
  const newer = Buffer.from(golden.subarray(0, 529))
  newer.writeUInt16LE(2, 8)
  fs.writeFileSync(join(directory, 'packs', `00000001.${goldenHeader.packId.toString('hex')}.pack`), newer)
  await t.throwsAsync(openChunkStore(env, directory), { code: 'NEWER_VERSION' })
  t.throws(() => initStore(env, directory), { code: 'EXISTS' })
  t.is(chunkBytes, 65_536)
})
