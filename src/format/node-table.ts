/**
 * The bytes of a manifest node: a table of rising key offsets, each with a value. Leaves and inner nodes
 * (node.ts) are two readings of it. Integers are little-endian.
 *
 *      0   2  magic "mN"
 *      2   1  version (1)
 *      3   1  level: 0 leaf, n+1 inner node of level n
 *      4   1  layout: 0 sorted, 1 slots
 *      5   1  width
 *      6   2  count of entries, 1 to 4096
 *      8   2  bytes of each value, 0 = values have lengths of their own
 *     10   8  base: the key of offset 0, in a multiple of what the offsets span
 *     18      keys and values:
 *
 *   layout slots, 2^width offsets, at least 8 entries and half of the slots taken, values of one length:
 *     18  16  bitmap, bit b of byte a = offset 8a+b
 *     34      one value for each slot; the bytes of free slots are zero
 *   layout sorted, offsets of `width` bytes each (0 to 7, the fewest that hold the part in which keys differ):
 *     18      offsets, rising
 *             where values have lengths of their own: the end of each value, 2 bytes each
 *             values
 *
 * There is exactly one encoding of a set of entries, and the decoder accepts no other. Slots keep each value
 * where it is when others come and go, so that the XOR of two versions is zero but for what changed.
 */
import { Buffer } from 'node:buffer'
import { HoldfastError } from '../errors.ts'
import { nodeWeightMax, treeKeyMax } from '../limits.ts'

export interface NodeTable {
  /** 0 for a leaf, n+1 for an inner node of level n. */
  readonly levelCode: number
  readonly base: number
  readonly count: number
  /** Rising, in keys for a leaf, in slots for an inner node. */
  readonly offsets: readonly number[]
  /** Length of each value, 0 where they differ. */
  readonly valueBytes: number
  /** True where the value of offset o stands at valuesAt + o * valueBytes. */
  readonly slotted: boolean
  readonly bytes: Buffer
  /** Where the values begin; where they have lengths of their own, their ends stand in the 2 * count bytes before. */
  readonly valuesAt: number
}

/** What a table is encoded from; keys (or slots, with `unit` 128^level) rise, no value is empty. */
export interface TableContent {
  levelCode: number
  base: number
  offsets: readonly number[]
  values: readonly Uint8Array[]
  shape: TableShape
}

/** The one permitted layout of a set of keys. */
export interface TableShape {
  layout: 0 | 1
  width: number
}

/** A tree's longest value: an inode with the longest symbolic link. */
export const treeValueBytesMax = nodeWeightMax + 128
const magic = 0x4e6d // "mN"
export const nodeVersion = 1
const versionAt = 2
const levelAt = versionAt + 1
const layoutAt = levelAt + 1
const widthAt = layoutAt + 1
const countAt = widthAt + 1
const valueBytesAt = countAt + 2
const baseAt = valueBytesAt + 2
const headerBytes = baseAt + 8
const bitmapBytes = 16
const slotWidthMax = 7
const slotCountMin = 8
const levelCodeMax = 8
/** The most common node by far is full: it shares the list of its slots with all others. */
const allSlots: readonly number[] = Array.from({ length: 8 * bitmapBytes }, (_, slot) => slot)
const fullBitmap = Buffer.alloc(bitmapBytes, 0xff)
const emptyBytes = Buffer.alloc(treeValueBytesMax)

/** The layout of entries that span 2^slotWidth offsets, or `sortedWidth` bytes. */
export function tableShape(count: number, slotWidth: number, sortedWidth: number, uniform: boolean): TableShape {
  const slotted = uniform && slotWidth <= slotWidthMax && count >= slotCountMin && count * 2 >= 2 ** slotWidth
  return slotted ? { layout: 1, width: slotWidth } : { layout: 0, width: sortedWidth }
}

export function uniformBytes(values: readonly Uint8Array[]): number {
  const bytes = values[0].length
  for (let index = 1; index < values.length; index += 1) if (values[index].length !== bytes) return 0
  return bytes
}

export function encodeTable(content: TableContent): Buffer {
  const valueBytes = uniformBytes(content.values)
  return content.shape.layout === 1 ? encodeSlots(content, valueBytes) : encodeSorted(content, valueBytes)
}

function encodeSlots(content: TableContent, valueBytes: number): Buffer {
  const valuesAt = headerBytes + bitmapBytes
  const bytes = Buffer.alloc(valuesAt + valueBytes * 2 ** content.shape.width)
  encodeHeader(bytes, content, valueBytes)
  content.offsets.forEach((offset, index) => {
    bytes[headerBytes + (offset >> 3)] |= 1 << (offset & 7)
    bytes.set(content.values[index], valuesAt + offset * valueBytes)
  })
  return bytes
}

function encodeSorted(content: TableContent, valueBytes: number): Buffer {
  const { offsets, values, shape } = content
  const endsAt = headerBytes + shape.width * offsets.length
  const valuesAt = sortedValuesAt(shape.width, offsets.length, valueBytes)
  const weight = values.reduce((sum, value) => sum + value.length, 0)
  const bytes = Buffer.alloc(valuesAt + weight)
  encodeHeader(bytes, content, valueBytes)
  let end = 0
  for (let index = 0; index < offsets.length; index += 1) {
    writeOffset(bytes, headerBytes + index * shape.width, shape.width, offsets[index])
    bytes.set(values[index], valuesAt + end)
    end += values[index].length
    if (valueBytes === 0) bytes.writeUInt16LE(end, endsAt + 2 * index)
  }
  return bytes
}

function encodeHeader(bytes: Buffer, content: TableContent, valueBytes: number): void {
  bytes.writeUInt16LE(magic, 0)
  bytes[versionAt] = nodeVersion
  bytes[levelAt] = content.levelCode
  bytes[layoutAt] = content.shape.layout
  bytes[widthAt] = content.shape.width
  bytes.writeUInt16LE(content.offsets.length, countAt)
  bytes.writeUInt16LE(valueBytes, valueBytesAt)
  bytes.writeBigUInt64LE(BigInt(content.base), baseAt)
}

/**
 * Reads a table in place; only the offsets are copied out. That the layout is the permitted one is left to
 * node.ts, which knows what the keys mean.
 * Errors: BAD_FORMAT (not a node), NEWER_VERSION, DAMAGED.
 */
export function decodeTable(bytes: Buffer): NodeTable & { shape: TableShape } {
  if (bytes.length < headerBytes || bytes.readUInt16LE(0) !== magic) {
    throw new HoldfastError('BAD_FORMAT', 'these bytes are not a manifest node')
  }
  if (bytes[versionAt] > nodeVersion) {
    throw new HoldfastError('NEWER_VERSION', `a manifest node of version ${bytes[versionAt]}: use a newer Holdfast`)
  }
  const count = bytes.readUInt16LE(countAt)
  const valueBytes = bytes.readUInt16LE(valueBytesAt)
  const levelCode = bytes[levelAt]
  check(bytes[versionAt] === nodeVersion, 'its version')
  check(levelCode <= levelCodeMax, 'its level')
  check(count >= 1 && count <= nodeWeightMax, 'its count')
  check(valueBytes <= treeValueBytesMax, 'the length of its values')
  const base = decodeBase(bytes)
  const shape = decodeShape(bytes)
  const slotted = shape.layout === 1
  const decode = slotted ? decodeSlots : decodeSorted
  const offsets = decode(bytes, shape.width, count, valueBytes)
  const valuesAt = slotted ? headerBytes + bitmapBytes : sortedValuesAt(shape.width, count, valueBytes)
  return { levelCode, base, count, offsets, valueBytes, slotted, bytes, valuesAt, shape }
}

/** The index of an offset, -1 where it has no value. */
export function indexOf(table: NodeTable, offset: number): number {
  if (table.offsets[offset] === offset) return offset
  const index = lowerBound(table, offset)
  return index < table.count && table.offsets[index] === offset ? index : -1
}

/** Where the value begins in the table's bytes. */
export function valueStart(table: NodeTable, index: number): number {
  if (table.slotted) return table.valuesAt + table.offsets[index] * table.valueBytes
  if (table.valueBytes !== 0) return table.valuesAt + index * table.valueBytes
  return table.valuesAt + (index === 0 ? 0 : endOf(table, index - 1))
}

export function valueEnd(table: NodeTable, index: number): number {
  if (table.valueBytes !== 0) return valueStart(table, index) + table.valueBytes
  return table.valuesAt + endOf(table, index)
}

/** The first index whose offset is at or above `offset`; `count` where there is none. */
export function lowerBound(table: NodeTable, offset: number): number {
  let low = 0
  let high = table.count
  while (low < high) {
    const middle = (low + high) >>> 1
    if (table.offsets[middle] < offset) low = middle + 1
    else high = middle
  }
  return low
}

export function check(condition: boolean, what: string): asserts condition {
  if (!condition) throw new HoldfastError('DAMAGED', `a manifest node is damaged: ${what} cannot be`)
}

function endOf(table: NodeTable, index: number): number {
  return table.bytes.readUInt16LE(table.valuesAt - 2 * (table.count - index))
}

function decodeBase(bytes: Buffer): number {
  const base = bytes.readUInt32LE(baseAt) + bytes.readUInt32LE(baseAt + 4) * 2 ** 32
  check(base <= treeKeyMax, 'its base')
  return base
}

function decodeShape(bytes: Buffer): TableShape {
  const layout = bytes[layoutAt]
  const width = bytes[widthAt]
  check(layout === 0 || layout === 1, 'its layout')
  check(width <= slotWidthMax, 'its width')
  return { layout, width }
}

function decodeSlots(bytes: Buffer, width: number, count: number, valueBytes: number): readonly number[] {
  const slotCount = 2 ** width
  const valuesAt = headerBytes + bitmapBytes
  check(valueBytes > 0 && count <= slotCount, 'its count')
  check(bytes.length === valuesAt + slotCount * valueBytes, 'its length')
  const isFull = count === allSlots.length && bytes.compare(fullBitmap, 0, bitmapBytes, headerBytes, valuesAt) === 0
  if (isFull) return allSlots
  const offsets: number[] = []
  for (let slot = 0; slot < allSlots.length; slot += 1) {
    if ((bytes[headerBytes + (slot >> 3)] & (1 << (slot & 7))) !== 0) offsets.push(slot)
    else if (slot < slotCount) {
      const at = valuesAt + slot * valueBytes
      check(bytes.compare(emptyBytes, 0, valueBytes, at, at + valueBytes) === 0, 'a free slot')
    }
  }
  check(offsets.length === count && offsets[count - 1] < slotCount, 'its bitmap')
  return offsets
}

function decodeSorted(bytes: Buffer, width: number, count: number, valueBytes: number): readonly number[] {
  const endsAt = headerBytes + width * count
  const valuesAt = sortedValuesAt(width, count, valueBytes)
  check(bytes.length >= valuesAt, 'its length')
  if (valueBytes === 0) checkEnds(bytes, endsAt, count)
  const valuesBytes = valueBytes === 0 ? bytes.readUInt16LE(valuesAt - 2) : count * valueBytes
  check(bytes.length === valuesAt + valuesBytes, 'its length')
  const offsets: number[] = []
  let before = -1
  for (let index = 0; index < count; index += 1) {
    const offset = readOffset(bytes, headerBytes + index * width, width)
    check(offset > before, 'the order of its keys')
    offsets.push(offset)
    before = offset
  }
  return offsets
}

function sortedValuesAt(width: number, count: number, valueBytes: number): number {
  return headerBytes + width * count + (valueBytes === 0 ? 2 * count : 0)
}

/** Values with lengths of their own: none empty, and not all alike. */
function checkEnds(bytes: Buffer, endsAt: number, count: number): void {
  let before = 0
  let alike = true
  const first = bytes.readUInt16LE(endsAt)
  for (let index = 0; index < count; index += 1) {
    const end = bytes.readUInt16LE(endsAt + 2 * index)
    check(end > before, 'the end of a value')
    alike &&= end - before === first
    before = end
  }
  check(!alike, 'the lengths of its values')
}

function readOffset(bytes: Buffer, at: number, width: number): number {
  let offset = 0
  for (let index = width - 1; index >= 0; index -= 1) offset = offset * 256 + bytes[at + index]
  return offset
}

function writeOffset(bytes: Buffer, at: number, width: number, offset: number): void {
  let rest = offset
  for (let index = 0; index < width; index += 1) {
    bytes[at + index] = rest % 256
    rest = Math.floor(rest / 256)
  }
}
