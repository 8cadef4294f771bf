/**
 * Records of epochs as they lie on a replica: some of one image in one object, so that ten epochs a second do not
 * make ten objects a second. Of each only what the epoch *is*; how a store's log stands to it stays at home.
 * Little-endian:
 *
 *      0   4  magic "HFEB"
 *      4   2  version (1)
 *      6   2  count of records, at least 1
 *      8  16  domain id
 *     24   4  key id, 0 = not encrypted
 *     28  16  image id
 *     44   4  count of packs
 *     48      for each pack: 16 its id, 1 length of a suffix, the suffix (ASCII): its name on this replica
 *             for each record, by rising number: 4 length, its first part (up to and with its id)
 *      n   4  CRC-32 of all before
 *
 * The packs are all that a reader of these records may need: while the batch is there, no collector removes them.
 */
import { Buffer } from 'node:buffer'
import { crc32 } from 'node:zlib'
import { HoldfastError, assert } from '../errors.ts'
import {
  epochBatchBytesMax, epochBatchPacksMax, epochBatchRecordsMax, epochRecordBytesMax, identityBytes,
} from '../limits.ts'
import { ByteReader, ByteWriter } from './bytes.ts'
import type { StoredEpoch } from './epoch.ts'
import { decodeEpochIdentity, epochIdentityBytesMin } from './epoch.ts'

const epochBatchMagic = Buffer.from('HFEB', 'latin1')
const epochBatchVersion = 1
const checksumBytes = 4
const headBytes = 44
const packSuffixBytesMax = 100
const packPattern = /^[0-9a-f]{32}(\.[0-9A-Za-z.]+)?$/

export interface EpochBatch {
  readonly domainId: Buffer
  readonly keyId: number
  readonly imageId: Buffer
  /** Names of packs on this replica: the id in hex, and for one that was uploaded again a suffix from '.' on. */
  readonly packs: readonly string[]
  /** First parts of records, by rising number. */
  readonly records: readonly Buffer[]
}

/** What a record of that many bytes adds to a batch. */
export function batchedBytes(recordBytes: number): number {
  return 4 + recordBytes
}

/** What the name of a pack adds to a batch, at most. */
export const batchedPackBytesMax = identityBytes + 1 + packSuffixBytesMax

/** Bytes of a batch without records and packs. */
export const emptyBatchBytes = headBytes + 4 + checksumBytes

export function encodeEpochBatch({ domainId, keyId, imageId, packs, records }: EpochBatch): Buffer {
  assert(records.length > 0 && records.length <= epochBatchRecordsMax, 'a batch holds some records')
  const writer = new ByteWriter(epochBatchBytesMax)
  writer.bytes(epochBatchMagic).u16(epochBatchVersion).u16(records.length)
  writer.bytes(domainId).u32(keyId).bytes(imageId).u32(packs.length)
  for (const pack of packs) writePack(writer, pack)
  for (const record of records) writer.bytes32(record)
  return writer.u32(crc32(writer.view())).view()
}

export interface DecodedBatch {
  readonly epochs: StoredEpoch[]
  readonly records: Buffer[]
  readonly packs: string[]
}

/**
 * The records with their first parts, by rising number. Each one's own digest is right, and it is of this image.
 * Errors: BAD_FORMAT (no batch), NEWER_VERSION, DAMAGED.
 */
export function decodeEpochBatch(bytes: Buffer, where: string): DecodedBatch {
  const reader = new ByteReader(bytes, where)
  if (reader.left < emptyBatchBytes || !reader.bytes(epochBatchMagic.length).equals(epochBatchMagic)) {
    throw new HoldfastError('BAD_FORMAT', `${where} holds no records of epochs`)
  }
  if (reader.u16() > epochBatchVersion) {
    throw new HoldfastError('NEWER_VERSION', `${where} was written by a newer Holdfast: use that one`)
  }
  if (bytes.length > epochBatchBytesMax) throw reader.damaged('is larger than any')
  if (crc32(bytes.subarray(0, -checksumBytes)) !== bytes.readUInt32LE(bytes.length - checksumBytes)) {
    throw reader.damaged('fails its checksum')
  }
  const count = reader.u16()
  const [domainId, keyId, imageId] = [reader.bytes(identityBytes), reader.u32(), reader.bytes(identityBytes)]
  const packs = readPacks(reader)
  if (count === 0 || count * epochIdentityBytesMin > reader.left) throw reader.damaged('has no such count of records')
  const records = Array.from({ length: count }, () => Buffer.from(reader.bytes32(epochRecordBytesMax)))
  if (reader.left !== checksumBytes) throw reader.damaged('holds more than its records')
  const epochs = records.map((record) => decodeEpochIdentity(record, where))
  for (const [at, epoch] of epochs.entries()) {
    const isOurs = epoch.kind === 'epoch' && epoch.keyId === keyId && epoch.domainId.equals(domainId) &&
      epoch.imageId.equals(imageId) && (at === 0 || epoch.number > epochs[at - 1].number)
    if (!isOurs) throw reader.damaged('holds a record that does not belong there')
  }
  return { epochs, records, packs }
}

function writePack(writer: ByteWriter, pack: string): void {
  const suffix = Buffer.from(pack.slice(2 * identityBytes), 'latin1')
  const isName = packPattern.test(pack) && suffix.length <= packSuffixBytesMax
  assert(isName, 'a pack is named by its id, with a short suffix perhaps')
  writer.bytes(Buffer.from(pack.slice(0, 2 * identityBytes), 'hex')).u8(suffix.length).bytes(suffix)
}

function readPacks(reader: ByteReader): string[] {
  const count = reader.count32(epochBatchPacksMax, identityBytes + 1)
  return Array.from({ length: count }, () => {
    const id = reader.bytes(identityBytes).toString('hex')
    const name = id + reader.bytes(reader.u8()).toString('latin1')
    if (!packPattern.test(name)) throw reader.damaged('names a pack that cannot be')
    return name
  })
}
