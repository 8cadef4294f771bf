/**
 * The record of an epoch or of a head: the commit point. One file, published whole, in two parts: what the
 * epoch *is*, the same wherever it was made, and behind its digest how this store's log stands to it.
 * Little-endian:
 *
 *      0   4  magic "HFEP"
 *      4   2  version (1)
 *      6   1  kind: 0 epoch, 1 head
 *      7   1  flags: bit 0 has a machine
 *      8  16  domain id
 *     24   4  key id, 0 = not encrypted
 *     28  16  image id
 *     44   8  epoch number; in a head: the number of its parent
 *     52   8  next number: one above the highest that the image ever used
 *     60  32  parent epoch's id, zeros = none
 *     92  16  parent's image id
 *    108   8  parent's number
 *    116  32  root of the manifest
 *    148   8  wall clock, milliseconds since 1970
 *    156   8  bytes written since the epoch before
 *    164   4  pause of the guest, microseconds
 *    168  32  root of the machine state's chunks (a tree like a file's), zeros = none
 *    200   8  bytes of the machine state
 *    208   2  length of the image's name
 *    210   2  length of the parent's image name
 *    212   4  length of the note
 *    216   4  length of the machine's facts (JSON)
 *    220      image's name, parent's image name, note, facts
 *      n  32  BLAKE3-256 of all before: the epoch's id
 *
 * and the local part, 48 bytes from n + 32:
 *
 *      0   8  commit: one above that of the record before
 *      8   8  segment: log segments up to this number are covered
 *     16   8  sequence: the first one not used yet
 *     24   8  unique of the last request that is covered, 0 = none: if the kernel sends it again, it was done
 *     32   4  connection of that request
 *     36   8  reserved, 0
 *     44   4  CRC-32 of the id and of bytes 0 to 43
 */
import { Buffer } from 'node:buffer'
import { crc32 } from 'node:zlib'
import { blake3 } from '@napi-rs/blake-hash'
import { assert, HoldfastError } from '../errors.ts'
import { digestBytes, epochRecordBytesMax, machineStateBytesMax } from '../limits.ts'

export const epochVersion = 1
const epochMagic = 0x50454648 // "HFEP"
const fixedBytes = 220
export const localBytes = 48
export const localChecksumAt = 44
/** The shortest first part of a record. */
export const epochIdentityBytesMin = fixedBytes + digestBytes
const hasMachine = 1

export interface EpochRecord {
  kind: 'epoch' | 'head'
  domainId: Buffer
  keyId: number
  imageId: Buffer
  number: number
  nextNumber: number
  parent: { id: Buffer; imageId: Buffer; image: string; number: number } | null
  manifest: Buffer
  commit: number
  segment: number
  sequence: number
  lastRequest: { connection: number; unique: bigint }
  wallMs: number
  writtenBytes: number
  pauseUs: number
  machine: { stateRoot: Buffer | null; stateBytes: number; facts: string } | null
  image: string
  note: string
}

type LocalPart = Pick<EpochRecord, 'commit' | 'segment' | 'sequence' | 'lastRequest'>

/** Of an image whose log is empty. */
export const firstLocal: LocalPart = Object.freeze({
  commit: 1, segment: 0, sequence: 1, lastRequest: { connection: 0, unique: 0n },
})

/** A record as read, with its id and its size. */
export interface StoredEpoch extends EpochRecord {
  id: Buffer
  recordBytes: number
}

export function encodeEpoch(record: EpochRecord): Buffer {
  const texts = [record.image, record.parent?.image ?? '', record.note, record.machine?.facts ?? '']
    .map((text) => Buffer.from(text))
  const head = Buffer.alloc(fixedBytes)
  head.writeUInt32LE(epochMagic, 0)
  head.writeUInt16LE(epochVersion, 4)
  head.writeUInt8(record.kind === 'head' ? 1 : 0, 6)
  head.writeUInt8(record.machine === null ? 0 : hasMachine, 7)
  head.set(record.domainId, 8)
  head.writeUInt32LE(record.keyId, 24)
  head.set(record.imageId, 28)
  writeSafe(head, record.number, 44)
  writeSafe(head, record.nextNumber, 52)
  if (record.parent !== null) {
    head.set(record.parent.id, 60)
    head.set(record.parent.imageId, 92)
    writeSafe(head, record.parent.number, 108)
  }
  head.set(record.manifest, 116)
  writeSafe(head, record.wallMs, 148)
  writeSafe(head, record.writtenBytes, 156)
  head.writeUInt32LE(Math.min(record.pauseUs, 0xffffffff), 164)
  if (record.machine?.stateRoot) head.set(record.machine.stateRoot, 168)
  writeSafe(head, record.machine?.stateBytes ?? 0, 200)
  head.writeUInt16LE(texts[0].length, 208)
  head.writeUInt16LE(texts[1].length, 210)
  head.writeUInt32LE(texts[2].length, 212)
  head.writeUInt32LE(texts[3].length, 216)
  const body = Buffer.concat([head, ...texts])
  assert(body.length + digestBytes + localBytes <= epochRecordBytesMax, 'an epoch record is below its limit')
  const id = epochDigest(body)
  return Buffer.concat([body, id, encodeLocal(record, id)])
}

/** The id of an epoch, from all that is before it. */
export function epochDigest(body: Uint8Array): Buffer {
  return blake3(body)
}

function encodeLocal(record: LocalPart, id: Buffer): Buffer {
  const local = Buffer.alloc(localBytes)
  writeSafe(local, record.commit, 0)
  writeSafe(local, record.segment, 8)
  writeSafe(local, record.sequence, 16)
  local.writeBigUInt64LE(record.lastRequest.unique, 24)
  local.writeUInt32LE(record.lastRequest.connection, 32)
  local.writeUInt32LE(localChecksum(local, id), localChecksumAt)
  return local
}

/** Of a local part, as it should stand in it. */
export function localChecksum(local: Buffer, id: Buffer): number {
  return crc32(local.subarray(0, localChecksumAt), crc32(id))
}

/** Errors: BAD_FORMAT (not a record), NEWER_VERSION, DAMAGED (digest or a length is wrong). */
export function decodeEpoch(bytes: Buffer, where: string): StoredEpoch {
  refuseForeign(bytes, fixedBytes + digestBytes + localBytes, where)
  const end = bytes.length - digestBytes - localBytes
  const id = Buffer.from(bytes.subarray(end, end + digestBytes))
  const local = bytes.subarray(end + digestBytes)
  if (bytes.length > epochRecordBytesMax || !epochDigest(bytes.subarray(0, end)).equals(id)) throw damaged(where)
  if (localChecksum(local, id) !== local.readUInt32LE(localChecksumAt)) throw damaged(where)
  const record = decodeParts(bytes, end, where)
  if (!encodeEpoch(record).equals(bytes)) throw damaged(where)
  return { ...record, id, recordBytes: bytes.length }
}

/** The first part of a record, its id included: what it is on every replica. */
export function epochIdentityOf(record: Buffer): Buffer {
  return record.subarray(0, record.length - localBytes)
}

/** As `decodeEpoch`, of a first part alone; the local part is that of an image that begins with this epoch. */
export function decodeEpochIdentity(identity: Buffer, where: string): StoredEpoch {
  refuseForeign(identity, epochIdentityBytesMin, where)
  const id = identity.subarray(-digestBytes)
  return decodeEpoch(Buffer.concat([identity, encodeLocal(firstLocal, id)]), where)
}

function refuseForeign(bytes: Buffer, bytesMin: number, where: string): void {
  if (bytes.length < bytesMin || bytes.readUInt32LE(0) !== epochMagic) {
    const remedy = 'restore it from a replica, or use another epoch'
    throw new HoldfastError('BAD_FORMAT', `${where} is no epoch record: ${remedy}`)
  }
  const version = bytes.readUInt16LE(4)
  if (version > epochVersion) {
    throw new HoldfastError('NEWER_VERSION', `${where} has format version ${version}, this Holdfast reads up to ` +
      `${epochVersion}: use the newer Holdfast that wrote it`)
  }
}

/** The parts of a record whose digest is right. Fields that another encoder filled otherwise are the caller's. */
function decodeParts(bytes: Buffer, end: number, where: string): EpochRecord {
  const local = bytes.subarray(end + digestBytes)
  const texts = readTexts(bytes.subarray(0, end), where)
  const parentId = bytes.subarray(60, 92)
  return {
    kind: bytes.readUInt8(6) === 1 ? 'head' : 'epoch',
    domainId: Buffer.from(bytes.subarray(8, 24)),
    keyId: bytes.readUInt32LE(24),
    imageId: Buffer.from(bytes.subarray(28, 44)),
    number: readSafe(bytes, 44, where),
    nextNumber: readSafe(bytes, 52, where),
    parent: isZero(parentId) ? null : {
      id: Buffer.from(parentId),
      imageId: Buffer.from(bytes.subarray(92, 108)),
      image: texts[1],
      number: readSafe(bytes, 108, where),
    },
    manifest: Buffer.from(bytes.subarray(116, 148)),
    commit: readSafe(local, 0, where),
    segment: readSafe(local, 8, where),
    sequence: readSafe(local, 16, where),
    lastRequest: { unique: local.readBigUInt64LE(24), connection: local.readUInt32LE(32) },
    wallMs: readSafe(bytes, 148, where),
    writtenBytes: readSafe(bytes, 156, where),
    pauseUs: bytes.readUInt32LE(164),
    machine: (bytes.readUInt8(7) & hasMachine) === 0 ? null : readMachine(bytes, texts[3], where),
    image: texts[0],
    note: texts[2],
  }
}

function readMachine(bytes: Buffer, facts: string, where: string): EpochRecord['machine'] {
  const root = bytes.subarray(168, 200)
  const stateBytes = readSafe(bytes, 200, where)
  if (stateBytes > machineStateBytesMax) throw damaged(where)
  return { stateRoot: isZero(root) ? null : Buffer.from(root), stateBytes, facts }
}

function readTexts(body: Buffer, where: string): string[] {
  const lengths = [body.readUInt16LE(208), body.readUInt16LE(210), body.readUInt32LE(212), body.readUInt32LE(216)]
  if (lengths.reduce((sum, length) => sum + length, fixedBytes) !== body.length) throw damaged(where)
  let at = fixedBytes
  return lengths.map((length) => body.toString('utf8', at, (at += length)))
}

function isZero(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0)
}

function damaged(where: string): HoldfastError {
  return new HoldfastError('DAMAGED', `${where} is damaged: restore it from a replica, or use another epoch`)
}

function writeSafe(bytes: Buffer, value: number, at: number): void {
  bytes.writeBigUInt64LE(BigInt(value), at)
}

function readSafe(bytes: Buffer, at: number, where: string): number {
  const value = Number(bytes.readBigUInt64LE(at))
  if (!Number.isSafeInteger(value)) throw damaged(where)
  return value
}
