/**
 * The names of a directory: a tree whose keys are 52 bits of the names' BLAKE3 and whose values are all
 * entries of one key (names can share one), by the bytes of their names, none twice. Little-endian, each:
 *
 *      0   8  inode number
 *      8   1  type, the d_type of a directory entry
 *      9   1  length of the name, 1 to 255
 *     10      name; never ".", "..", nor with a slash or a zero
 *
 * A key depends on the name alone, so that it serves as a position in a listing for good.
 */
import { Buffer } from 'node:buffer'
import { blake3 } from '@napi-rs/blake-hash'
import { assert, HoldfastError } from '../errors.ts'
import { nameBytesMax, treeKeyMax } from '../limits.ts'
import { ByteReader } from './bytes.ts'
import { treeValueBytesMax } from './node-table.ts'

export interface Dirent {
  inode: number
  /** The d_type: 1 fifo, 2 character, 4 directory, 6 block, 8 file, 10 link, 12 socket. */
  type: number
  name: Buffer
}

const headBytes = 10
const types: readonly number[] = [1, 2, 4, 6, 8, 10, 12]
const slash = 0x2f
const dot = 0x2e

/** The low 52 bits of the digest, taken as a little-endian number. */
export function nameKey(name: Uint8Array): number {
  const digest = blake3(name)
  return digest.readUIntLE(0, 6) + (digest[6] & 0x0f) * 2 ** 48
}

export function isName(name: Uint8Array): boolean {
  if (name.length === 0 || name.length > nameBytesMax) return false
  if (name.includes(slash) || name.includes(0)) return false
  return name[0] !== dot || name.length > 2 || (name.length === 2 && name[1] !== dot)
}

/** At least one entry, in any order, names distinct. Errors: NO_SPACE (more names of one key than a value holds). */
export function encodeDirents(dirents: readonly Dirent[]): Buffer {
  assert(dirents.length > 0, 'no entries are no value')
  const sorted = [...dirents].sort((a, b) => a.name.compare(b.name))
  const bytes = Buffer.concat(sorted.flatMap((dirent, index) => {
    assert(isDirent(dirent) && isAfter(dirent, sorted[index - 1]), 'a directory entry has a name, once, and a type')
    return encodeDirent(dirent)
  }))
  if (bytes.length > treeValueBytesMax) {
    throw new HoldfastError('NO_SPACE', 'too many names of this directory share a key: choose another name')
  }
  return bytes
}

/** By the bytes of their names, which are copies. Errors: DAMAGED. */
export function decodeDirents(bytes: Uint8Array): Dirent[] {
  const reader = new ByteReader(bytes, 'a list of names')
  const dirents: Dirent[] = []
  do {
    const inode = reader.safe64()
    const type = reader.u8()
    const dirent = { inode, type, name: Buffer.from(reader.bytes(reader.u8())) }
    const isSound = isDirent(dirent) && isAfter(dirent, dirents.at(-1))
    if (!isSound) throw reader.damaged('holds a name or type that cannot be')
    dirents.push(dirent)
  } while (reader.left > 0)
  return dirents
}

function encodeDirent({ inode, type, name }: Dirent): Buffer[] {
  const head = Buffer.alloc(headBytes)
  head.writeBigUInt64LE(BigInt(inode), 0)
  head.writeUInt8(type, 8)
  head.writeUInt8(name.length, 9)
  return [head, name]
}

function isDirent({ inode, type, name }: Dirent): boolean {
  return inode >= 0 && inode <= treeKeyMax && types.includes(type) && isName(name)
}

function isAfter(dirent: Dirent, before: Dirent | undefined): boolean {
  return before === undefined || before.name.compare(dirent.name) < 0
}
