/**
 * The root of a manifest, one chunk: all that an epoch or a head holds of files. Little-endian:
 *
 *      0   2  magic "mM"
 *      2   1  version (1)
 *      3   1  zero
 *      4   4  count of orphans
 *      8   8  next inode number: one above the highest ever used
 *     16   8  count of inodes, orphans included
 *     24  32  root of the inode tree, zeros = no inodes
 *     56      orphans, rising: inodes without a name that are still open. The first number, then each one's
 *             distance from the one before; 7 bits a byte, the low ones first, bit 7 = more follow, in as few
 *             bytes as hold it. Heads only: an epoch has none.
 */
import { Buffer } from 'node:buffer'
import { assert, HoldfastError } from '../errors.ts'
import { digestBytes, recordPlainBytesMax, treeKeyMax } from '../limits.ts'
import { ByteReader, ByteWriter } from './bytes.ts'

export interface Manifest {
  /** Root of the inode tree: records (inode.ts) by inode number. */
  inodes: Buffer | null
  nextInode: number
  inodeCount: number
  /** Inode numbers, rising. */
  orphans: number[]
}

export const manifestVersion = 1
const magic = 0x4d6d // "mM"
const headBytes = 56
const numberBytesMax = 8
const noRoot = Buffer.alloc(digestBytes)

/** Errors: NO_SPACE (more orphans than one chunk holds: over 8,000, most often over 30,000). */
export function encodeManifest(manifest: Manifest): Buffer {
  const bytesMax = headBytes + numberBytesMax * manifest.orphans.length
  const writer = new ByteWriter(bytesMax, bytesMax)
  writer.u16(magic).u8(manifestVersion).u8(0).u32(manifest.orphans.length)
  writer.u64(manifest.nextInode).u64(manifest.inodeCount).bytes(manifest.inodes ?? noRoot)
  let before = 0
  for (const number of manifest.orphans) {
    assert(number > before && number <= treeKeyMax, 'orphans rise')
    writeGap(writer, number - before)
    before = number
  }
  if (writer.length > recordPlainBytesMax) {
    throw new HoldfastError('NO_SPACE', 'too many files are unlinked and still open: close some')
  }
  return Buffer.from(writer.view())
}

/** The root is a copy. Errors: BAD_FORMAT, NEWER_VERSION, DAMAGED. */
export function decodeManifest(bytes: Uint8Array): Manifest {
  const reader = new ByteReader(bytes, 'a manifest')
  if (reader.left < headBytes || reader.u16() !== magic) {
    throw new HoldfastError('BAD_FORMAT', 'these bytes are not a manifest')
  }
  const version = reader.u8()
  if (version > manifestVersion) {
    throw new HoldfastError('NEWER_VERSION', `a manifest of version ${version}: use a newer Holdfast`)
  }
  if (version !== manifestVersion || reader.u8() !== 0) throw reader.damaged('has no version')
  const orphanCount = reader.u32()
  const nextInode = reader.safe64()
  const inodeCount = reader.safe64()
  const root = Buffer.from(reader.bytes(digestBytes))
  if (orphanCount > reader.left) throw reader.damaged('is shorter than its count says')
  const orphans = decodeOrphans(reader, orphanCount)
  reader.end()
  return { inodes: root.equals(noRoot) ? null : root, nextInode, inodeCount, orphans }
}

function decodeOrphans(reader: ByteReader, count: number): number[] {
  const orphans: number[] = []
  let before = 0
  for (let index = 0; index < count; index += 1) {
    before += readGap(reader)
    if (before > treeKeyMax) throw reader.damaged('names an inode that cannot be')
    orphans.push(before)
  }
  return orphans
}

function writeGap(writer: ByteWriter, gap: number): void {
  let rest = gap
  for (; rest >= 128; rest = Math.floor(rest / 128)) writer.u8(128 + (rest % 128))
  writer.u8(rest)
}

function readGap(reader: ByteReader): number {
  let gap = 0
  for (let unit = 1; unit <= treeKeyMax; unit *= 128) {
    const byte = reader.u8()
    gap += (byte % 128) * unit
    if (byte === 0) break
    if (byte < 128) return gap
  }
  throw reader.damaged('holds a distance that cannot be')
}
