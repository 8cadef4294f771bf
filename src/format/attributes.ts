/**
 * The extended attributes of one inode, one chunk. Little-endian:
 *
 *      0   2  magic "mX"
 *      2   1  version (1)
 *      3   1  zero
 *      4   4  count of attributes, at least 1
 *      8      for each, by the bytes of their names, none twice:
 *             1  length of the name, 1 to 255
 *             4  length of the value
 *                name, value
 */
import { Buffer } from 'node:buffer'
import { assert, HoldfastError } from '../errors.ts'
import { nameBytesMax, xattrTotalBytesMax } from '../limits.ts'
import { ByteReader } from './bytes.ts'

export interface Attribute {
  name: Buffer
  value: Buffer
}

export const attributesVersion = 1
const magic = 0x586d // "mX"
const headBytes = 8
const itemHeadBytes = 5

/**
 * Any order, names distinct. The block can come out longer than a chunk (xattrTotalBytesMax), which is the
 * caller's to refuse.
 */
export function encodeAttributes(attributes: readonly Attribute[]): Buffer {
  assert(attributes.length > 0, 'no attributes are no block')
  const head = Buffer.alloc(headBytes)
  head.writeUInt16LE(magic, 0)
  head.writeUInt8(attributesVersion, 2)
  head.writeUInt32LE(attributes.length, 4)
  const sorted = [...attributes].sort((a, b) => a.name.compare(b.name))
  sorted.forEach(({ name }, index) => {
    assert(name.length > 0 && name.length <= nameBytesMax, 'an attribute has a name of 1 to 255 bytes')
    assert(index === 0 || !name.equals(sorted[index - 1].name), 'no attribute stands twice')
  })
  return Buffer.concat([head, ...sorted.flatMap(encodeItem)])
}

/** Sorted by name; names and values are copies. Errors: BAD_FORMAT, NEWER_VERSION, DAMAGED. */
export function decodeAttributes(bytes: Uint8Array): Attribute[] {
  const reader = new ByteReader(bytes, 'a block of extended attributes')
  if (reader.left < headBytes || reader.u16() !== magic) {
    throw new HoldfastError('BAD_FORMAT', 'these bytes are not a block of extended attributes')
  }
  const version = reader.u8()
  if (version > attributesVersion) {
    throw new HoldfastError('NEWER_VERSION', `extended attributes of version ${version}: use a newer Holdfast`)
  }
  if (version !== attributesVersion || reader.u8() !== 0) throw reader.damaged('has no version')
  const attributes: Attribute[] = []
  const count = reader.count32(xattrTotalBytesMax, itemHeadBytes + 1)
  for (let index = 0; index < count; index += 1) attributes.push(decodeItem(reader, attributes.at(-1)))
  if (count === 0) throw reader.damaged('holds no attribute')
  reader.end()
  return attributes
}

function encodeItem({ name, value }: Attribute): Buffer[] {
  const head = Buffer.alloc(itemHeadBytes)
  head.writeUInt8(name.length, 0)
  head.writeUInt32LE(value.length, 1)
  return [head, name, value]
}

function decodeItem(reader: ByteReader, before: Attribute | undefined): Attribute {
  const nameBytes = reader.u8()
  const valueBytes = reader.u32()
  const name = Buffer.from(reader.bytes(nameBytes))
  if (nameBytes === 0 || (before !== undefined && before.name.compare(name) >= 0)) {
    throw reader.damaged('names its attributes out of order')
  }
  return { name, value: Buffer.from(reader.bytes(valueBytes)) }
}
