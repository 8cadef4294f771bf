/**
 * The log of an image: bytes of a segment's header and of its records. All numbers are little-endian.
 *
 * Segment header, 128 bytes, followed by records without gaps:
 *
 *      0   4  magic "HFLG"
 *      4   2  version (1)
 *      6   1  lane: 0 disk and namespace, 1 memory
 *      7   1  reserved, 0
 *      8  16  domain id
 *     24   4  key id: number of the data key that payloads are sealed with, 0 = they are not
 *     28  16  image id
 *     44   4  nonce, random: a record of an older file in the same blocks is not taken for ours
 *     48   8  segment number
 *     56   8  sequence of the first record that either lane of this number may hold
 *     64   8  sequence of the lane's last record before this file, 0 = none since the image was mounted: if that
 *             record was lost, what follows it in the lane must not be taken
 *     72  16  salt of the seal, random; 0 where nothing is sealed
 *     88  32  reserved, 0
 *    120   4  checksum: CRC-32 of bytes 0 to 119
 *    124   4  reserved, 0
 *
 * Record, 72 bytes and a payload:
 *
 *      0   4  magic "HFLR"
 *      4   1  type
 *      5   3  counter of the seal, 0 where nothing is sealed
 *      8   4  length of header, payload and tag
 *     12   4  checksum: CRC-32 of bytes 0 to 11, then of 16 to the end
 *     16   4  nonce of the segment
 *     20   4  connection that the request came by, 0 = none
 *     24   8  sequence, growing over both lanes
 *     32   8  unique of the request that is done with this record; 0 = none, or more records of it follow
 *     40   8  inode
 *     48   8  chunk number of the offset
 *     56   4  offset within the chunk
 *     60   4  so many sequences before this one lies the last record of the disk lane that was known to be durable when
 *             this one was written; 0 = not known
 *     64   8  time, nanoseconds since 1970
 *     72      payload, encrypted where it is sealed
 *    end - 16  tag, only where it is sealed: over the payload and the header without its checksum
 *
 * A record is at most 80 bytes before its payload so that it fits before the data of a kernel write request
 * and both go to the file in one call.
 */
import { crc32 } from 'node:zlib'
import { assert, HoldfastError } from '../errors.ts'
import { logRecordBytesMax } from '../limits.ts'

export const segmentHeaderBytes = 128
export const logRecordHeaderBytes = 72
export const segmentSaltBytes = 16
/** A record's counter has three bytes. */
export const logCounterMax = 2 ** 24 - 1
const segmentMagic = 0x474c4648 // "HFLG"
export const logRecordMagic = 0x524c4648 // "HFLR"
export const logVersion = 1
export const segmentChecksumAt = 120
export const recordChecksumAt = 12

export type Lane = 'disk' | 'memory'

export const recordType = {
  /** Payload bytes replace those at the offset; the file grows to hold them; mtime and ctime are the time. */
  write: 1,
  /** The range from the offset, payload = its length (8 bytes), reads as zeros; the size stays. */
  zero: 2,
  /** The file's size becomes the offset; what lay beyond is gone for good. */
  truncate: 3,
  /** Payload = namespace effects, all or none (see effects.ts). */
  effects: 4,
} as const
export type RecordType = (typeof recordType)[keyof typeof recordType]

export interface SegmentHeader {
  lane: Lane
  domainId: Uint8Array
  keyId: number
  imageId: Uint8Array
  nonce: number
  segment: number
  firstSequence: number
  previousSequence: number
  /** 16 bytes. */
  salt: Uint8Array
}

export interface LogRecordHeader {
  type: RecordType
  /** Of what its writer has sealed in this file; 0 where nothing is sealed. */
  counter: number
  lengthBytes: number
  nonce: number
  connection: number
  sequence: number
  unique: bigint
  inode: number
  chunk: number
  within: number
  timeNs: bigint
  /** The last record of the disk lane that was known to be durable when this one was written; 0, absent: not known. */
  syncedSequence?: number
}

export function encodeSegmentHeader(header: SegmentHeader): Buffer {
  assert(header.domainId.length === 16 && header.imageId.length === 16, 'ids of a segment have 16 bytes')
  assert(header.salt.length === segmentSaltBytes, 'so has its salt')
  const bytes = Buffer.alloc(segmentHeaderBytes)
  bytes.writeUInt32LE(segmentMagic, 0)
  bytes.writeUInt16LE(logVersion, 4)
  bytes.writeUInt8(header.lane === 'memory' ? 1 : 0, 6)
  bytes.set(header.domainId, 8)
  bytes.writeUInt32LE(header.keyId, 24)
  bytes.set(header.imageId, 28)
  bytes.writeUInt32LE(header.nonce, 44)
  writeSafe(bytes, header.segment, 48)
  writeSafe(bytes, header.firstSequence, 56)
  writeSafe(bytes, header.previousSequence, 64)
  bytes.set(header.salt, 72)
  bytes.writeUInt32LE(crc32(bytes.subarray(0, segmentChecksumAt)), segmentChecksumAt)
  return bytes
}

/** Null when the bytes are too short or torn: such a segment holds nothing. Errors: NEWER_VERSION. */
export function decodeSegmentHeader(bytes: Buffer): SegmentHeader | null {
  if (bytes.length < segmentHeaderBytes || bytes.readUInt32LE(0) !== segmentMagic) return null
  if (bytes.readUInt32LE(segmentChecksumAt) !== crc32(bytes.subarray(0, segmentChecksumAt))) return null
  const version = bytes.readUInt16LE(4)
  if (version > logVersion) {
    throw new HoldfastError('NEWER_VERSION', `the image's log has version ${version}, this Holdfast reads up to ` +
      `${logVersion}: use the newer Holdfast that wrote it`)
  }
  return {
    lane: bytes.readUInt8(6) === 1 ? 'memory' : 'disk',
    domainId: Buffer.from(bytes.subarray(8, 24)),
    keyId: bytes.readUInt32LE(24),
    imageId: Buffer.from(bytes.subarray(28, 44)),
    nonce: bytes.readUInt32LE(44),
    segment: readSafe(bytes, 48),
    firstSequence: readSafe(bytes, 56),
    previousSequence: readSafe(bytes, 64),
    salt: Buffer.from(bytes.subarray(72, 72 + segmentSaltBytes)),
  }
}

/** Writes the header of a record whose payload already stands at `at + 72`; checksums both. */
export function writeRecordHeader(bytes: Buffer, at: number, header: LogRecordHeader): void {
  writeRecordFields(bytes, at, header)
  bytes.writeUInt32LE(recordChecksum(bytes, at, header.lengthBytes), at + recordChecksumAt)
}

/** The header without its checksum. */
export function writeRecordFields(bytes: Buffer, at: number, header: LogRecordHeader): void {
  bytes.writeUInt32LE(logRecordMagic, at)
  bytes.writeUInt32LE(header.type + header.counter * 256, at + 4)
  bytes.writeUInt32LE(header.lengthBytes, at + 8)
  bytes.writeUInt32LE(header.nonce, at + 16)
  bytes.writeUInt32LE(header.connection, at + 20)
  writeSafe(bytes, header.sequence, at + 24)
  bytes.writeBigUInt64LE(header.unique, at + 32)
  writeSafe(bytes, header.inode, at + 40)
  writeSafe(bytes, header.chunk, at + 48)
  bytes.writeUInt32LE(header.within, at + 56)
  bytes.writeUInt32LE(syncedDistance(header), at + 60)
  bytes.writeBigUInt64LE(header.timeNs, at + 64)
}

/** Completes the header of a record, of which the rest stands elsewhere, in parts. */
export function writeRecordChecksum(bytes: Buffer, at: number, rest: readonly Uint8Array[]): void {
  const header = recordChecksum(bytes, at, logRecordHeaderBytes)
  bytes.writeUInt32LE(rest.reduce((sum, part) => crc32(part, sum), header), at + recordChecksumAt)
}

/** What of a record's header a seal is bound to: all but the checksum. */
export function boundHeaderOf(bytes: Buffer, at: number): Buffer {
  return Buffer.concat([bytes.subarray(at, at + 12), bytes.subarray(at + 16, at + logRecordHeaderBytes)])
}

/**
 * Length of the record that the bytes at `at` say begins there; 0 when none of this segment does. Nothing but its
 * header need be there, and the header may lie.
 */
export function announcedBytes(bytes: Buffer, at: number, nonce: number): number {
  if (at + logRecordHeaderBytes > bytes.length || bytes.readUInt32LE(at) !== logRecordMagic) return 0
  const lengthBytes = bytes.readUInt32LE(at + 8)
  if (lengthBytes < logRecordHeaderBytes || lengthBytes > logRecordBytesMax) return 0
  const type = bytes[at + 4]
  const isOurs = bytes.readUInt32LE(at + 16) === nonce && type >= recordType.write && type <= recordType.effects
  return isOurs ? lengthBytes : 0
}

/**
 * All bytes of a record of that length are there, and its checksum is theirs. Where they are not is where the log
 * ends (a torn tail), so it is no error.
 */
export function isRecordWhole(bytes: Buffer, at: number, lengthBytes: number): boolean {
  if (at + lengthBytes > bytes.length) return false
  return bytes.readUInt32LE(at + recordChecksumAt) === recordChecksum(bytes, at, lengthBytes)
}

/** A record where it stands, moved from one to the next: a log has too many for an object each. */
export class LogRecordView implements LogRecordHeader {
  #bytes: Buffer = Buffer.alloc(0)
  #at = 0

  moveTo(bytes: Buffer, at: number): void {
    this.#bytes = bytes
    this.#at = at
  }

  get type(): RecordType {
    return this.#bytes[this.#at + 4] as RecordType
  }

  get counter(): number {
    return this.#bytes.readUIntLE(this.#at + 5, 3)
  }

  get lengthBytes(): number {
    return this.#bytes.readUInt32LE(this.#at + 8)
  }

  get nonce(): number {
    return this.#bytes.readUInt32LE(this.#at + 16)
  }

  get connection(): number {
    return this.#bytes.readUInt32LE(this.#at + 20)
  }

  get sequence(): number {
    return readSafe(this.#bytes, this.#at + 24)
  }

  get unique(): bigint {
    return this.#bytes.readBigUInt64LE(this.#at + 32)
  }

  get inode(): number {
    return readSafe(this.#bytes, this.#at + 40)
  }

  get chunk(): number {
    return readSafe(this.#bytes, this.#at + 48)
  }

  get within(): number {
    return this.#bytes.readUInt32LE(this.#at + 56)
  }

  get timeNs(): bigint {
    return this.#bytes.readBigUInt64LE(this.#at + 64)
  }

  get syncedSequence(): number {
    const distance = this.#bytes.readUInt32LE(this.#at + 60)
    return distance === 0 ? 0 : this.sequence - distance
  }

  get payloadBytes(): number {
    return this.lengthBytes - logRecordHeaderBytes
  }

  /** As much of it as is there. */
  get payload(): Buffer {
    return this.#bytes.subarray(this.#at + logRecordHeaderBytes, this.#at + this.lengthBytes)
  }
}

/** Of the record at `at`, as it should stand in it. */
export function recordChecksum(bytes: Buffer, at: number, lengthBytes: number): number {
  return crc32(bytes.subarray(at + 16, at + lengthBytes), crc32(bytes.subarray(at, at + 12)))
}

function syncedDistance({ sequence, syncedSequence = 0 }: LogRecordHeader): number {
  const distance = sequence - syncedSequence
  return syncedSequence === 0 || distance > 0xffff_ffff ? 0 : distance
}

function writeSafe(bytes: Buffer, value: number, at: number): void {
  bytes.writeUInt32LE(value % 0x1_0000_0000, at)
  bytes.writeUInt32LE(Math.floor(value / 0x1_0000_0000), at + 4)
}

/** Above 2^53 the value is not exact, and no caller takes it: such numbers fail every later check. */
function readSafe(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * 0x1_0000_0000
}
