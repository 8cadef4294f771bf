/**
 * A record: one stored form of one chunk. Integers are little-endian.
 *
 *     0   magic          4   9E 48 46 52 ("\x9EHFR")
 *     4   checksum       4   CRC-32 of all that follows, payload included (a void's: of its header only)
 *     8   kind           1   0 void, 1 data, 2 node
 *     9   codec          1   0 raw, 1 LZ4, 2 delta; bit 7: the payload is sealed
 *     10  depth          1   0 where the payload stands alone, else deltas to apply: 1 to 3
 *     11  base depth     1   of the base record, less than depth; 0 without a base
 *     12  plain bytes    4   1 to 65,536; of a void 0
 *     16  payload bytes  4   as many as plain where raw, else fewer
 *     20  paid bytes     4   see the delta policy: what this base has cost beyond the newest one
 *     24  id            32   BLAKE3-256 of the plain bytes, keyed where the store is encrypted
 *     56  base id       32   only where the codec is delta
 *         payload            encrypted where it is sealed, and then of the same length
 *         salt           8   only where it is sealed
 *         tag           16   the same; over payload and header from the kind on
 *
 * raw: the plain bytes. LZ4: the plain length (4 bytes) and one LZ4 block. delta: LZ4, in the same form, of
 * plain XOR base, where the base is cut or padded with zeros to the plain length. A void has neither id nor
 * base: it is a header of 24 bytes that covers what a crash left, so that a scan can step over it.
 */
import { Buffer } from 'node:buffer'
import { crc32 } from 'node:zlib'
import { deltaDepthMax, digestBytes, packBytesMax, recordPlainBytesMax } from '../limits.ts'

export const recordMagic = Buffer.from([0x9e, 0x48, 0x46, 0x52])

export const kindVoid = 0
export const kindData = 1
export const kindNode = 2

export const codecRaw = 0
export const codecLz4 = 1
export const codecDelta = 2

export const checksumAt = 4
export const kindAt = checksumAt + 4
const codecAt = kindAt + 1
const depthAt = codecAt + 1
const baseDepthAt = depthAt + 1
const plainBytesAt = baseDepthAt + 1
const payloadBytesAt = plainBytesAt + 4
const paidBytesAt = payloadBytesAt + 4
const idAt = paidBytesAt + 4
const baseIdAt = idAt + digestBytes

/** Bit of the codec's byte. */
const sealedBit = 0x80
export const recordSaltBytes = 8
const sealTagBytes = 16
/** What sealing adds to a record. */
const sealBytes = recordSaltBytes + sealTagBytes

export const voidHeaderBytes = idAt
/** Without a base, then with one. */
export const recordHeaderBytesMin = baseIdAt
export const recordHeaderBytesMax = baseIdAt + digestBytes
export const recordBytesMax = recordHeaderBytesMax + recordPlainBytesMax + sealBytes

export interface RecordHeader {
  readonly kind: number
  readonly codec: number
  readonly depth: number
  readonly plainBytes: number
  readonly payloadBytes: number
  readonly paidBytes: number
  /** Empty for a void. Views into the bytes they were read from. */
  readonly id: Buffer
  readonly baseId: Buffer | undefined
  readonly baseDepth: number
  readonly headerBytes: number
  readonly isSealed: boolean
}

/** A payload as it is stored in an encrypted store. */
export interface RecordSeal {
  readonly body: Buffer
  readonly salt: Buffer
  readonly tag: Buffer
}

/** Of a whole record, header and all. */
export function recordBytesOf(header: RecordHeader): number {
  return header.headerBytes + header.payloadBytes + (header.isSealed ? sealBytes : 0)
}

/** The payload of the record that `bytes` begin with, as it is stored. */
export function storedPayloadOf(bytes: Buffer, header: RecordHeader): Buffer {
  return bytes.subarray(header.headerBytes, header.headerBytes + header.payloadBytes)
}

/** Views of what a sealed record holds. */
export function sealOf(bytes: Buffer, header: RecordHeader): RecordSeal {
  const saltAt = header.headerBytes + header.payloadBytes
  const tagAt = saltAt + recordSaltBytes
  return {
    body: storedPayloadOf(bytes, header), salt: bytes.subarray(saltAt, tagAt),
    tag: bytes.subarray(tagAt, tagAt + sealTagBytes),
  }
}

/** The part of the header that a seal is bound to. */
export function boundBytesOf(bytes: Buffer, header: RecordHeader): Buffer {
  return bytes.subarray(kindAt, header.headerBytes)
}

export function recordHeaderBytesFor(codec: number): number {
  return codec === codecDelta ? recordHeaderBytesMax : recordHeaderBytesMin
}

/** What a record says, whatever the length of its payload. */
export type RecordContent = Omit<RecordHeader, 'payloadBytes' | 'headerBytes' | 'isSealed'>

type RecordNumbers = Omit<RecordContent, 'id' | 'baseId'>

/**
 * Writes a record at `offset`, where there must be room; with `seal`, which is given the bytes to bind, its payload is
 * sealed. Returns the record's length.
 */
export function writeRecord(
  target: Buffer, offset: number, record: RecordContent, payload: Uint8Array,
  seal?: (bound: Buffer, payload: Uint8Array) => RecordSeal,
): number {
  const headerBytes = recordHeaderBytesFor(record.codec)
  writeHeader(target, offset, record, payload.length)
  record.id.copy(target, offset + idAt)
  record.baseId?.copy(target, offset + baseIdAt)
  let end = offset + headerBytes
  if (seal === undefined) {
    target.set(payload, end)
    end += payload.length
  } else {
    target[offset + codecAt] |= sealedBit
    const { body, salt, tag } = seal(target.subarray(offset + kindAt, end), payload)
    for (const part of [body, salt, tag]) end += part.copy(target, end)
  }
  target.writeUInt32LE(crc32(target.subarray(offset + kindAt, end)), offset + checksumAt)
  return end - offset
}

/** The 24 bytes that declare the `bytes` from their start as nothing. */
export function encodeVoidHeader(bytes: number): Buffer {
  const header = Buffer.alloc(voidHeaderBytes)
  const content = { kind: kindVoid, codec: codecRaw, depth: 0, baseDepth: 0, plainBytes: 0, paidBytes: 0 }
  writeHeader(header, 0, content, bytes - voidHeaderBytes)
  header.writeUInt32LE(crc32(header.subarray(kindAt)), checksumAt)
  return header
}

/**
 * The header at `offset`, or undefined where there is none that this version writes. Only its form is
 * checked: the checksum is `recordChecksumHolds`'s affair, the content is the digest's.
 */
export function readRecordHeader(bytes: Buffer, offset: number): RecordHeader | undefined {
  if (bytes.length - offset < voidHeaderBytes || !magicAt(bytes, offset)) return undefined
  const kind = bytes[offset + kindAt]
  const isSealed = kind !== kindVoid && (bytes[offset + codecAt] & sealedBit) !== 0
  const codec = isSealed ? bytes[offset + codecAt] & ~sealedBit : bytes[offset + codecAt]
  const headerBytes = kind === kindVoid ? voidHeaderBytes : recordHeaderBytesFor(codec)
  if (bytes.length - offset < headerBytes) return undefined
  const header: RecordHeader = {
    kind,
    codec,
    depth: bytes[offset + depthAt],
    baseDepth: bytes[offset + baseDepthAt],
    plainBytes: bytes.readUInt32LE(offset + plainBytesAt),
    payloadBytes: bytes.readUInt32LE(offset + payloadBytesAt),
    paidBytes: bytes.readUInt32LE(offset + paidBytesAt),
    id: bytes.subarray(offset + idAt, offset + (kind === kindVoid ? idAt : baseIdAt)),
    baseId: codec === codecDelta ? bytes.subarray(offset + baseIdAt, offset + headerBytes) : undefined,
    headerBytes,
    isSealed,
  }
  return hasForm(header) ? header : undefined
}

/** Whether the record whose header was read at `offset` lies in `bytes` whole and undamaged. */
export function recordChecksumHolds(bytes: Buffer, offset: number, header: RecordHeader): boolean {
  const end = offset + (header.kind === kindVoid ? voidHeaderBytes : recordBytesOf(header))
  if (end > bytes.length) return false
  return bytes.readUInt32LE(offset + checksumAt) === crc32(bytes.subarray(offset + kindAt, end))
}

function writeHeader(target: Buffer, offset: number, record: RecordNumbers, payloadBytes: number): void {
  recordMagic.copy(target, offset)
  target[offset + kindAt] = record.kind
  target[offset + codecAt] = record.codec
  target[offset + depthAt] = record.depth
  target[offset + baseDepthAt] = record.baseDepth
  target.writeUInt32LE(record.plainBytes, offset + plainBytesAt)
  target.writeUInt32LE(payloadBytes, offset + payloadBytesAt)
  target.writeUInt32LE(record.paidBytes, offset + paidBytesAt)
}

function magicAt(bytes: Buffer, offset: number): boolean {
  return bytes[offset] === recordMagic[0] && bytes[offset + 1] === recordMagic[1] &&
    bytes[offset + 2] === recordMagic[2] && bytes[offset + 3] === recordMagic[3]
}

function hasForm(header: RecordHeader): boolean {
  const { kind, codec, depth, baseDepth, plainBytes, payloadBytes } = header
  if (kind === kindVoid) return codec === codecRaw && depth === 0 && plainBytes === 0 && payloadBytes < packBytesMax
  if (kind !== kindData && kind !== kindNode) return false
  if (plainBytes === 0 || plainBytes > recordPlainBytesMax) return false
  if (codec === codecRaw) return depth === 0 && baseDepth === 0 && payloadBytes === plainBytes
  if (payloadBytes === 0 || payloadBytes >= plainBytes) return false
  if (codec === codecLz4) return depth === 0 && baseDepth === 0
  return codec === codecDelta && depth <= deltaDepthMax && baseDepth < depth
}
