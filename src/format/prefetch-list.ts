/**
 * What to fetch first of an epoch that is on replicas only: places of records, those first without which its machine
 * does not run. A hint: what it names may have moved, and what it lacks is found by the index. Little-endian:
 *
 *      0   4  magic "HFPL"
 *      4   2  version (1)
 *      6   2  0
 *      8  16  domain id
 *     24   4  key id, 0 = not encrypted
 *     28  16  image id
 *     44   8  number of the epoch
 *     52   4  count of packs
 *     56   4  count of records
 *     60   4  count of those of them that are needed before the machine runs
 *     64   4  bytes of the working set
 *     68      packs: ids, 16 each
 *             records: 32 chunk id, 4 which pack, 8 place as bytes 32 to 39 of a footer's entry
 *             working set: JSON, [{path, chunks}]: what the guest touches first
 *     -4   4  CRC-32 of all before
 */
import { Buffer } from 'node:buffer'
import { crc32 } from 'node:zlib'
import { HoldfastError } from '../errors.ts'
import { digestBytes, identityBytes, prefetchListBytesMax, prefetchRecordsMax } from '../limits.ts'
import { ByteReader, ByteWriter } from './bytes.ts'
import type { RunEntry } from './index-run.ts'
import { placeBytes, readPlace, writePlace } from './pack-footer.ts'

export interface PrefetchList {
  readonly domainId: Buffer
  readonly keyId: number
  readonly imageId: Buffer
  readonly number: number
  /** Likeliest first. */
  readonly entries: readonly RunEntry[]
  /** So many of the entries are needed before the machine runs. */
  readonly firstCount: number
  /** JSON. */
  readonly workingSet: string
}

const listMagic = Buffer.from('HFPL', 'latin1')
const listVersion = 1
const headBytes = 68
const entryBytes = digestBytes + 4 + placeBytes
const checksumBytes = 4

export function encodePrefetchList(list: PrefetchList): Buffer {
  const packs = new Map<string, number>()
  for (const { packId } of list.entries) {
    const name = packId.toString('latin1')
    if (!packs.has(name)) packs.set(name, packs.size)
  }
  const workingSet = Buffer.from(list.workingSet)
  const writer = new ByteWriter(prefetchListBytesMax)
  writer.bytes(listMagic).u16(listVersion).u16(0).bytes(list.domainId).u32(list.keyId).bytes(list.imageId)
  writer.u64(list.number).u32(packs.size).u32(list.entries.length).u32(list.firstCount).u32(workingSet.length)
  for (const name of packs.keys()) writer.bytes(Buffer.from(name, 'latin1'))
  for (const { id, packId, place } of list.entries) {
    const placed = Buffer.alloc(placeBytes)
    writePlace(placed, 0, place)
    writer.bytes(id).u32(packs.get(packId.toString('latin1')) ?? 0).bytes(placed)
  }
  writer.bytes(workingSet)
  return writer.u32(crc32(writer.view())).view()
}

/** Errors: BAD_FORMAT, NEWER_VERSION, DAMAGED. */
export function decodePrefetchList(bytes: Buffer, where: string): PrefetchList {
  const reader = new ByteReader(bytes, where)
  if (reader.left < headBytes + checksumBytes || !reader.bytes(listMagic.length).equals(listMagic)) {
    throw new HoldfastError('BAD_FORMAT', `${where} is no prefetch list`)
  }
  if (reader.u16() > listVersion) throw new HoldfastError('NEWER_VERSION', `${where} was written by a newer Holdfast`)
  const reserved = reader.u16()
  const end = bytes.length - checksumBytes
  if (crc32(bytes.subarray(0, end)) !== bytes.readUInt32LE(end) || reserved !== 0) {
    throw reader.damaged('fails its checksum')
  }
  const domainId = Buffer.from(reader.bytes(identityBytes))
  const keyId = reader.u32()
  const imageId = Buffer.from(reader.bytes(identityBytes))
  const number = reader.safe64()
  const [packCount, count, firstCount, setBytes] = [reader.u32(), reader.u32(), reader.u32(), reader.u32()]
  const isWhole = count <= prefetchRecordsMax && packCount <= count && firstCount <= count &&
    packCount * identityBytes + count * entryBytes + setBytes + checksumBytes === reader.left
  if (!isWhole) throw reader.damaged('does not hold what it says')
  const packs = Array.from({ length: packCount }, () => Buffer.from(reader.bytes(identityBytes)))
  const entries = Array.from({ length: count }, () => entryFrom(reader, packs))
  return { domainId, keyId, imageId, number, entries, firstCount, workingSet: reader.bytes(setBytes).toString() }
}

function entryFrom(reader: ByteReader, packs: readonly Buffer[]): RunEntry {
  const id = Buffer.from(reader.bytes(digestBytes))
  const pack = reader.u32()
  if (pack >= packs.length) throw reader.damaged('names a pack that it does not have')
  return { id, packId: packs[pack], place: readPlace(reader.bytes(placeBytes), 0) }
}
