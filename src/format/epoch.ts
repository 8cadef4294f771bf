/**
 * The record of an epoch or of a head: the commit point. One file, published whole. Little-endian:
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
 *    148   8  commit: grows with each record of the image, the highest one is the head's state
 *    156   8  segment: log segments up to this number are covered
 *    164   8  sequence: the first one not used yet
 *    172   8  wall clock, milliseconds since 1970
 *    180   8  bytes written since the epoch before
 *    188   4  pause of the guest, microseconds
 *    192  32  root of the machine state's chunks (a tree like a file's), zeros = none
 *    224   8  bytes of the machine state
 *    232   2  length of the image's name
 *    234   2  length of the parent's image name
 *    236   4  length of the note
 *    240   4  length of the machine's facts (JSON)
 *    244      image's name, parent's image name, note, facts
 *    end-32   BLAKE3-256 of all before: the epoch's id
 */
import { Buffer } from 'node:buffer'
import { blake3 } from '@napi-rs/blake-hash'
import { assert, HoldfastError } from '../errors.ts'
import { digestBytes, epochRecordBytesMax, machineStateBytesMax } from '../limits.ts'

export const epochVersion = 1
const epochMagic = 0x50454648 // "HFEP"
const fixedBytes = 244
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
  wallMs: number
  writtenBytes: number
  pauseUs: number
  machine: { stateRoot: Buffer | null; stateBytes: number; facts: string } | null
  image: string
  note: string
}

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
  writeSafe(head, record.commit, 148)
  writeSafe(head, record.segment, 156)
  writeSafe(head, record.sequence, 164)
  writeSafe(head, record.wallMs, 172)
  writeSafe(head, record.writtenBytes, 180)
  head.writeUInt32LE(Math.min(record.pauseUs, 0xffffffff), 188)
  if (record.machine?.stateRoot) head.set(record.machine.stateRoot, 192)
  writeSafe(head, record.machine?.stateBytes ?? 0, 224)
  head.writeUInt16LE(texts[0].length, 232)
  head.writeUInt16LE(texts[1].length, 234)
  head.writeUInt32LE(texts[2].length, 236)
  head.writeUInt32LE(texts[3].length, 240)
  const body = Buffer.concat([head, ...texts])
  assert(body.length + digestBytes <= epochRecordBytesMax, 'an epoch record is below its limit')
  return Buffer.concat([body, blake3(body)])
}

/** Errors: BAD_FORMAT (not a record), NEWER_VERSION, DAMAGED (digest or a length is wrong). */
export function decodeEpoch(bytes: Buffer, where: string): StoredEpoch {
  if (bytes.length < fixedBytes + digestBytes || bytes.readUInt32LE(0) !== epochMagic) {
    throw new HoldfastError('BAD_FORMAT', `${where} is not an epoch record`)
  }
  const version = bytes.readUInt16LE(4)
  if (version > epochVersion) {
    throw new HoldfastError('NEWER_VERSION', `${where} has format version ${version}, this Holdfast reads up to ` +
      `${epochVersion}: use the newer Holdfast that wrote it`)
  }
  const end = bytes.length - digestBytes
  const id = Buffer.from(bytes.subarray(end))
  if (bytes.length > epochRecordBytesMax || !blake3(bytes.subarray(0, end)).equals(id)) throw damaged(where)
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
    commit: readSafe(bytes, 148, where),
    segment: readSafe(bytes, 156, where),
    sequence: readSafe(bytes, 164, where),
    wallMs: readSafe(bytes, 172, where),
    writtenBytes: readSafe(bytes, 180, where),
    pauseUs: bytes.readUInt32LE(188),
    machine: (bytes.readUInt8(7) & hasMachine) === 0 ? null : readMachine(bytes, texts[3], where),
    image: texts[0],
    note: texts[2],
    id,
    recordBytes: bytes.length,
  }
}

function readMachine(bytes: Buffer, facts: string, where: string): EpochRecord['machine'] {
  const root = bytes.subarray(192, 224)
  const stateBytes = readSafe(bytes, 224, where)
  if (stateBytes > machineStateBytesMax) throw damaged(where)
  return { stateRoot: isZero(root) ? null : Buffer.from(root), stateBytes, facts }
}

function readTexts(body: Buffer, where: string): string[] {
  const lengths = [body.readUInt16LE(232), body.readUInt16LE(234), body.readUInt32LE(236), body.readUInt32LE(240)]
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
