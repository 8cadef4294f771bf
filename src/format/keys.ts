/**
 * Every key and value of the index, a LevelDB database that can be rebuilt from the packs. Keys sort as
 * bytes; numbers in keys are big-endian, in values little-endian.
 *
 *     "i"                     identity   index version 4, store id 16
 *     "p" pack number 4       pack       pack id 16, indexed bytes 4, file bytes 4, closed 1, totals 40
 *     "r" id 32, depth 1      record     pack number 4, place 8 (see pack-footer.ts)
 *
 * A pack number is the pack's name in this store only, and is never used twice. A pack entry says that the
 * records before `indexed bytes` are in the index for good; file bytes are 0 until the pack is closed. `closed` has
 * bit 0 for that, and bit 1 for a pack of copied records.
 */
import { Buffer } from 'node:buffer'
import { digestBytes, identityBytes } from '../limits.ts'
import { ByteReader, ByteWriter } from './bytes.ts'
import { placeBytes, type RecordPlace, readPlace, writePlace } from './pack-footer.ts'
import { type PackTotals, packTotalsBytes, readTotals, writeTotals } from './pack-totals.ts'

export const indexVersion = 1

const closedBit = 1
const copiedBit = 2

const identityPrefix = 0x69
const packPrefix = 0x70
const recordPrefix = 0x72
const packEntryBytes = identityBytes + 4 + 4 + 1 + packTotalsBytes
export const recordKeyIdAt = 1
export const recordKeyBytes = recordKeyIdAt + digestBytes + 1
export const recordValueBytes = 4 + placeBytes

export interface RecordLocation extends RecordPlace {
  readonly packNumber: number
}

/** Whether what the index told is this very record of a pack. */
export function leadsTo(location: RecordLocation | undefined, packNumber: number, offset: number): boolean {
  return location?.packNumber === packNumber && location.offset === offset
}

export interface PackEntry {
  readonly packId: Buffer
  readonly indexedBytes: number
  readonly fileBytes: number
  readonly closed: boolean
  /** As in the pack's header. */
  readonly isCopied: boolean
  readonly totals: PackTotals
}

export const identityKey = Buffer.from([identityPrefix])

export function identityValue(storeId: Buffer): Buffer {
  return new ByteWriter(4 + identityBytes).u32(indexVersion).bytes(storeId).view()
}

export function packKey(packNumber: number): Buffer {
  const key = Buffer.alloc(5)
  key[0] = packPrefix
  key.writeUInt32BE(packNumber, 1)
  return key
}

export function packNumberOf(key: Buffer): number {
  return key.readUInt32BE(1)
}

/** Bounds of all pack entries: from the first, to before the second. */
export const packKeyRange = [Buffer.from([packPrefix]), Buffer.from([packPrefix + 1])] as const
export const recordKeyRange = [Buffer.from([recordPrefix]), Buffer.from([recordPrefix + 1])] as const

export function encodePackEntry(entry: PackEntry): Buffer {
  const writer = new ByteWriter(packEntryBytes, packEntryBytes)
  const flags = (entry.closed ? closedBit : 0) | (entry.isCopied ? copiedBit : 0)
  writer.bytes(entry.packId).u32(entry.indexedBytes).u32(entry.fileBytes).u8(flags)
  writeTotals(writer, entry.totals)
  return writer.view()
}

/** Errors: DAMAGED. */
export function decodePackEntry(value: Buffer): PackEntry {
  const reader = new ByteReader(value, 'pack entry of the index')
  const packId = Buffer.from(reader.bytes(identityBytes))
  const indexedBytes = reader.u32()
  const fileBytes = reader.u32()
  const flags = reader.u8()
  const totals = readTotals(reader)
  reader.end()
  const closed = (flags & closedBit) !== 0
  return { packId, indexedBytes, fileBytes, closed, isCopied: (flags & copiedBit) !== 0, totals }
}

export function recordKey(id: Uint8Array, depth: number): Buffer {
  const key = Buffer.allocUnsafe(recordKeyBytes)
  key[0] = recordPrefix
  key.set(id, recordKeyIdAt)
  key[recordKeyBytes - 1] = depth
  return key
}

/** The depth that a record's key names. */
export function recordKeyDepth(key: Buffer): number {
  return key[recordKeyBytes - 1]
}

/** A copy of the id that a record's key names. */
export function recordKeyId(key: Buffer): Buffer {
  return Buffer.from(key.subarray(recordKeyIdAt, recordKeyIdAt + digestBytes))
}

export function encodeLocation(location: RecordLocation): Buffer {
  const value = Buffer.allocUnsafe(recordValueBytes)
  value.writeUInt32LE(location.packNumber, 0)
  writePlace(value, 4, location)
  return value
}

/** Without the rest; a number that no pack has where the value is none. */
export function packNumberOfLocation(value: Buffer): number {
  return value.length === recordValueBytes ? value.readUInt32LE(0) : -1
}

/** Undefined where the value is not one: the index is a cache, so that is only a miss. */
export function decodeLocation(value: Buffer): RecordLocation | undefined {
  if (value.length !== recordValueBytes) return undefined
  return { packNumber: value.readUInt32LE(0), ...readPlace(value, 4) }
}
