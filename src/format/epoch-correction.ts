/**
 * An epoch's or head's record that one flipped bit has spoilt. The local part has a checksum, which tells the bit. Of
 * the rest only a digest is known, so each bit is tried: some milliseconds for a record of the usual few hundred bytes,
 * seconds for the longest that are tried. The digest proves the result.
 */
import { Buffer } from 'node:buffer'
import { HoldfastError } from '../errors.ts'
import { digestBytes, KIB } from '../limits.ts'
import { findFlippedBit, isChecksumFlipped } from './crc-correction.ts'
import { decodeEpoch, epochDigest, localBytes, localChecksum, localChecksumAt } from './epoch.ts'

/** A longer record would take minutes. */
const bytesMax = 64 * KIB
const triesBetweenSteps = 256

/** Ends with the record as it was, or null; a step is some milliseconds long. */
export function* correctEpoch(spoilt: Buffer): Generator<void, Buffer | null, undefined> {
  const end = spoilt.length - digestBytes - localBytes
  if (end <= 0 || spoilt.length > bytesMax) return null
  const bytes = Buffer.from(spoilt)
  correctLocal(bytes, end)
  if (isSound(bytes)) return bytes
  const withId = Buffer.from(spoilt)
  epochDigest(withId.subarray(0, end)).copy(withId, end)
  if (isSound(withId)) return withId
  const id = bytes.subarray(end, end + digestBytes)
  for (let bit = 0; bit < end * 8; bit++) {
    bytes[bit >> 3] ^= 1 << (bit & 7)
    if (epochDigest(bytes.subarray(0, end)).equals(id)) return isSound(bytes) ? bytes : null
    bytes[bit >> 3] ^= 1 << (bit & 7)
    if (bit % triesBetweenSteps === 0) yield
  }
  return null
}

/** The same for bytes of which only `isSound` can tell. */
export function* correctByTrial(
  spoilt: Buffer, isSound: (bytes: Buffer) => boolean,
): Generator<void, Buffer | null, undefined> {
  if (spoilt.length > bytesMax) return null
  const bytes = Buffer.from(spoilt)
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    bytes[bit >> 3] ^= 1 << (bit & 7)
    if (isSound(bytes)) return bytes
    bytes[bit >> 3] ^= 1 << (bit & 7)
    if (bit % triesBetweenSteps === 0) yield
  }
  return null
}

/** The id at the end of a record whose first part is spoilt, where the checksum behind it proves it; else null. */
export function provenId(spoilt: Buffer): Buffer | null {
  if (spoilt.length < digestBytes + localBytes) return null
  const id = spoilt.subarray(-digestBytes - localBytes, -localBytes)
  return isLocalOf(spoilt.subarray(-localBytes), id) ? id : null
}

/**
 * A record whole again: this first part, and behind it the local part that a spoilt file ends with. Null where that is
 * not the local part of a record with this id.
 */
export function withLocalOf(spoilt: Buffer, identity: Buffer): Buffer | null {
  if (spoilt.length < localBytes) return null
  const local = spoilt.subarray(-localBytes)
  return isLocalOf(local, identity.subarray(-digestBytes)) ? Buffer.concat([identity, local]) : null
}

function isLocalOf(local: Buffer, id: Buffer): boolean {
  return localChecksum(local, id) === local.readUInt32LE(localChecksumAt)
}

/** The checksum covers the id and the local part. */
function correctLocal(bytes: Buffer, end: number): void {
  const id = bytes.subarray(end, end + digestBytes)
  const local = bytes.subarray(end + digestBytes)
  const computed = localChecksum(local, id)
  const difference = (local.readUInt32LE(localChecksumAt) ^ computed) >>> 0
  if (difference === 0) return
  const flipped = findFlippedBit(difference, digestBytes + localChecksumAt)
  if (isChecksumFlipped(difference)) local.writeUInt32LE(computed, localChecksumAt)
  else if (flipped !== undefined) bytes[end + digestBytes + localChecksumAt - 1 - flipped.fromEnd] ^= flipped.mask
}

function isSound(bytes: Buffer): boolean {
  try {
    decodeEpoch(bytes, 'a record')
    return true
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error
    return false
  }
}
