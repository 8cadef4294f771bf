/**
 * A pack's first bytes. Integers are little-endian. One pack holds records of one domain under one key, so
 * that records need not repeat them.
 *
 *     0   magic          8   "HOLDPACK"
 *     8   version        2   1
 *     10  flags          2   bit 0: copied, every record in it came from a replica
 *     12  key id         4   0: records are not sealed; else the data key's number (src/crypto)
 *     16  store id      16   the store that wrote the pack
 *     32  domain id     16   chunks are named, and deduplicated, within one domain
 *     48  pack id       16   random, the same wherever the pack is copied
 *     64  created        8   milliseconds since 1970, for people
 *     72  reserved       4   0
 *     76  checksum       4   CRC-32 of all before
 *     80  records ...
 */
import { Buffer } from 'node:buffer'
import { crc32 } from 'node:zlib'
import { HoldfastError } from '../errors.ts'
import { identityBytes } from '../limits.ts'
import { ByteReader, ByteWriter } from './bytes.ts'

export const packVersion = 1
export const packHeaderBytes = 80

const packMagic = Buffer.from('HOLDPACK', 'latin1')
const checksumBytes = 4
const copiedFlag = 1

export interface PackHeader {
  readonly keyId: number
  readonly storeId: Buffer
  readonly domainId: Buffer
  readonly packId: Buffer
  readonly createdMs: number
  /** Its records were copied from a replica, which has them: nothing here rests on this pack alone. */
  readonly isCopied: boolean
}

export function encodePackHeader(header: PackHeader): Buffer {
  const writer = new ByteWriter(packHeaderBytes, packHeaderBytes)
  writer.bytes(packMagic).u16(packVersion).u16(header.isCopied ? copiedFlag : 0).u32(header.keyId)
  writer.bytes(header.storeId).bytes(header.domainId).bytes(header.packId)
  writer.u64(header.createdMs).u32(0)
  return writer.u32(crc32(writer.view())).view()
}

/** Takes the first 80 bytes of a file. Errors: BAD_FORMAT, NEWER_VERSION, DAMAGED. */
export function decodePackHeader(bytes: Uint8Array): PackHeader {
  const reader = new ByteReader(bytes, 'pack header')
  if (reader.left < packHeaderBytes) throw new HoldfastError('BAD_FORMAT', 'a pack is shorter than its header')
  const magic = reader.bytes(packMagic.length)
  if (!magic.equals(packMagic)) throw new HoldfastError('BAD_FORMAT', 'this file is not a pack')
  const version = reader.u16()
  if (version > packVersion) {
    throw new HoldfastError('NEWER_VERSION', `pack version ${version} is newer than ${packVersion}: update Holdfast`)
  }
  const flags = reader.u16()
  const keyId = reader.u32()
  const storeId = Buffer.from(reader.bytes(identityBytes))
  const domainId = Buffer.from(reader.bytes(identityBytes))
  const packId = Buffer.from(reader.bytes(identityBytes))
  const createdMs = reader.safe64()
  const reserved = reader.u32()
  const checksum = crc32(bytes.subarray(0, packHeaderBytes - checksumBytes))
  if (reader.u32() !== checksum) throw reader.damaged('fails its checksum')
  const isStrange = version !== packVersion || (flags & ~copiedFlag) !== 0 || reserved !== 0
  if (isStrange) throw reader.damaged('holds what is never written')
  return { keyId, storeId, domainId, packId, createdMs, isCopied: (flags & copiedFlag) !== 0 }
}
