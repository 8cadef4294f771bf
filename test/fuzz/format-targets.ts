/** The decoders of bytes on disk and on replicas. */
import { Buffer } from 'node:buffer'
import fs from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { decompressWhole } from '../../src/chunk/codec.ts'
import { decodeKeysFile } from '../../src/crypto/keys-file.ts'
import type { EnvFile } from '../../src/env/env.ts'
import { HoldfastError } from '../../src/errors.ts'
import { decodeCheckedJson, encodeCheckedJson } from '../../src/format/checked-json.ts'
import { decodeDirents } from '../../src/format/dirent.ts'
import { decodeEffects } from '../../src/format/effects.ts'
import { decodeEpochBatch, encodeEpochBatch } from '../../src/format/epoch-batch.ts'
import { decodeEpoch, epochDigest, localBytes, localChecksum, localChecksumAt } from '../../src/format/epoch.ts'
import { encodeIndexRun, entriesOfRun } from '../../src/format/index-run.ts'
import { decodeAttributes, decodeInode } from '../../src/format/inode.ts'
import { decodeLocation, decodePackEntry } from '../../src/format/keys.ts'
import { correctLogRecord, correctSegmentHeader } from '../../src/format/log-correction.ts'
import {
  announcedBytes, decodeSegmentHeader, isRecordWhole, LogRecordView, recordChecksum, recordChecksumAt, segmentChecksumAt, segmentHeaderBytes,
} from '../../src/format/log.ts'
import { decodeManifest } from '../../src/format/manifest.ts'
import { decodeNode } from '../../src/format/node.ts'
import { decodeFooter } from '../../src/format/pack-footer.ts'
import { decodePackHeader, packHeaderBytes } from '../../src/format/pack-header.ts'
import { checksumAt, kindAt, readRecordHeader, recordBytesOf } from '../../src/format/pack-record.ts'
import { correctRecord } from '../../src/format/record-correction.ts'
import { MIB } from '../../src/limits.ts'
import { decodeOwner, encodeOwner } from '../../src/replica/owner-record.ts'
import { readFooter, scanRecords } from '../../src/store/pack-scan.ts'
import { corpusOf, golden } from './target.ts'
import type { FuzzTarget } from './target.ts'

const formats = JSON.parse(fs.readFileSync(join(import.meta.dirname, '../golden/formats-v1.json'), 'utf8')) as Record<string, string>
const bytesOf = (...names: string[]): Buffer[] => names.map((name) => Buffer.from(formats[name], 'hex'))
const pack = golden('pack-v1.bin')
const log = golden('log-v1.bin')
const digestBytes = 32

const owner = {
  self: 'ab'.repeat(16), storeId: Buffer.alloc(16, 1), imageId: Buffer.alloc(16, 2), image: 'vm', origin: { kind: 'empty' as const },
  createdMs: 1, last: -1, openedMs: 2,
}
const batch = { domainId: Buffer.alloc(16, 1), keyId: 0, imageId: Buffer.alloc(16, 2), packs: [], records: [golden('epoch-v1.bin')] }
const entries = [1, 2, 3].map((byte) => ({
  id: Buffer.alloc(32, byte), packId: Buffer.alloc(16, byte), place: { offset: 80 * byte, recordBytes: 100, kind: 1, codec: 1, depth: 0 },
}))

function coded(run: (bytes: Buffer) => unknown): (bytes: Buffer) => void {
  return (bytes) => {
    try {
      run(bytes)
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error
    }
  }
}

function simple(name: string, seeds: Buffer[], run: (bytes: Buffer) => unknown, reseal?: (bytes: Buffer) => void): FuzzTarget {
  return { name, seeds: [...seeds, ...corpusOf(name)], run: coded(run), reseal }
}

/** Reads all that a node says of itself. */
function wholeNode(bytes: Buffer): void {
  const node = decodeNode(bytes)
  for (let index = 0; index < node.count; index++) {
    if (node.leaf) node.valueOf(node.keyAt(index))
    else node.idAt(index).equals(bytes.subarray(0, node.keyEnd(index) - node.keyStart(index) > 0 ? digestBytes : 0))
  }
}

function sealEpoch(bytes: Buffer): void {
  const end = bytes.length - digestBytes - localBytes
  if (end < 0) return
  const id = epochDigest(bytes.subarray(0, end))
  id.copy(bytes, end)
  const local = bytes.subarray(end + digestBytes)
  local.writeUInt32LE(localChecksum(local, id), localChecksumAt)
}

function crcAt(at: number): (bytes: Buffer) => void {
  return (bytes) => {
    if (bytes.length >= at + 4) bytes.writeUInt32LE(crc32(bytes.subarray(0, at)), at)
  }
}

/** The last bytes are a checksum of all before. */
function crcAtEnd(bytesBehind: number): (bytes: Buffer) => void {
  return (bytes) => {
    const at = bytes.length - 4 - bytesBehind
    if (at > 0) bytes.writeUInt32LE(crc32(bytes.subarray(0, at)), at)
  }
}

function sealRecord(bytes: Buffer): void {
  if (bytes.length > kindAt) bytes.writeUInt32LE(crc32(bytes.subarray(kindAt)), checksumAt)
}

function sealLogRecord(bytes: Buffer): void {
  if (bytes.length < 72) return
  bytes.writeUInt32LE(bytes.length, 8)
  bytes.writeUInt32LE(recordChecksum(bytes, 0, bytes.length), recordChecksumAt)
}

function readLogRecord(bytes: Buffer): void {
  const nonce = 0xdeadbeef
  correctLogRecord(bytes, nonce)
  const lengthBytes = announcedBytes(bytes, 0, nonce)
  if (lengthBytes === 0 || !isRecordWhole(bytes, 0, lengthBytes)) return
  const view = new LogRecordView()
  view.moveTo(bytes, 0)
  if (view.type === 4) decodeEffects(bytes.subarray(72, lengthBytes))
}

function readRecord(bytes: Buffer): void {
  correctRecord(bytes)
  const header = readRecordHeader(bytes, 0)
  if (header === undefined || recordBytesOf(header) > bytes.length || header.codec === 0) return
  decompressWhole(bytes.subarray(header.headerBytes, recordBytesOf(header)), header.plainBytes)
}

function scanPack(bytes: Buffer): void {
  const file = {
    size: () => bytes.length,
    read: (target: Uint8Array, position: number) => bytes.copy(target, 0, Math.min(position, bytes.length)),
  } as unknown as EnvFile
  const end = readFooter(file)?.recordsEnd ?? bytes.length
  let covered = Math.min(packHeaderBytes, end)
  for (const found of scanRecords(file, covered, end)) {
    const length = found.type === 'gap' ? found.gapBytes : found.recordBytes
    if (found.offset < covered || length <= 0 || found.offset + length > end) throw new Error('a scan leaves its pack, or goes back')
    covered = found.offset + length
  }
}

const recordAt = packHeaderBytes
const recordBytes = recordBytesOf(readRecordHeader(pack, recordAt)!)
const footerBytes = pack.readUInt32LE(pack.length - 16)
const packFileBytes = pack.length

export const formatTargets: readonly FuzzTarget[] = [
  simple('pack header', [pack.subarray(0, packHeaderBytes)], decodePackHeader, crcAt(76)),
  simple('pack record', [pack.subarray(recordAt, recordAt + recordBytes), ...lz4Records()], readRecord, sealRecord),
  simple('pack footer', [pack.subarray(packFileBytes - footerBytes)], (bytes) => decodeFooter(bytes, packFileBytes), crcAtEnd(8)),
  { ...simple('pack scan', [pack], scanPack), extraBytesMax: 4 * MIB },
  simple('epoch record', [golden('epoch-v1.bin'), ...bytesOf('head record')], (bytes) => decodeEpoch(bytes, 'a record'), sealEpoch),
  simple('log segment header', [log.subarray(0, segmentHeaderBytes)], (bytes) => [decodeSegmentHeader(bytes), correctSegmentHeader(bytes)],
    crcAt(segmentChecksumAt)),
  simple('log record', [log.subarray(segmentHeaderBytes, segmentHeaderBytes + announcedBytes(log, segmentHeaderBytes, 0xdeadbeef))],
    readLogRecord, sealLogRecord),
  simple('effects', bytesOf('effects'), decodeEffects),
  simple('inode', bytesOf('inode of a file', 'inode of a link'), decodeInode),
  simple('names', bytesOf('names'), decodeDirents),
  simple('attributes', bytesOf('extended attributes'), decodeAttributes),
  simple('manifest', bytesOf('manifest'), decodeManifest),
  simple('node', bytesOf('sorted leaf', 'leaf of slots', 'inner node'), wholeNode),
  simple('index values', bytesOf('place of a record'), (bytes) => [decodeLocation(bytes), decodePackEntry(bytes)]),
  simple('identity', [encodeCheckedJson({ magic: 'holdfast store', version: 1, storeId: '00', keyId: 0 })], decodeCheckedJson),
  simple('keys file', [], decodeKeysFile),
  simple('owner of a generation', [encodeOwner(owner)], (bytes) => decodeOwner(bytes, 'an owner')),
  simple('epoch batch', [encodeEpochBatch(batch)], (bytes) => decodeEpochBatch(bytes, 'a batch'), crcAtEnd(0)),
  simple('index run', [encodeIndexRun(batch, entries)], (bytes) => [...entriesOfRun(bytes)]),
]

function lz4Records(): Buffer[] {
  const found: Buffer[] = []
  for (let at = recordAt; at < packFileBytes - footerBytes;) {
    const header = readRecordHeader(pack, at)!
    if (header.codec > 0) found.push(pack.subarray(at, at + recordBytesOf(header)))
    at += recordBytesOf(header)
  }
  return found
}
