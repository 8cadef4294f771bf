/**
 * A node of the manifest tree: a canonical radix tree from integer keys to small values. The node of a set
 * of entries is
 *
 *   a leaf of all of them, where they weigh no more than 4,096 together (an entry weighs the bytes of its
 *   value, but never more than 4,096: a leaf of one entry is always allowed);
 *   else an inner node of the lowest level n whose 128 slots of 128^n keys each hold them all, its slots
 *   shared out among children as node-partition.ts says.
 *
 * A file's dense chunks so come in leaves of exactly 128 ids. A leaf's table holds keys and values; an inner
 * node's holds the first slot of each child's share and a reference:
 *
 *      0  32  the child's chunk id
 *     32   2  weight of a leaf child, 0xFFFF for an inner child
 *
 * Nothing but the entries decides the shape, so equal contents have equal roots. The weight lets a writer see
 * what is to be merged without reading the neighbours.
 */
import { Buffer } from 'node:buffer'
import { HoldfastError } from '../errors.ts'
import { digestBytes, nodeFanOut, nodeWeightMax, treeKeyMax } from '../limits.ts'
import {
  check, decodeTable, encodeTable, indexOf, lowerBound, tableShape, uniformBytes, valueEnd, valueStart,
} from './node-table.ts'
import { heavyWeight, partition } from './node-partition.ts'
import type { NodeTable, TableShape } from './node-table.ts'

export interface ChildReference {
  /** The first slot of the child's share. */
  slot: number
  id: Uint8Array
  /** 1 to nodeWeightMax for a leaf, heavyWeight for an inner node. */
  weight: number
}

export type TreeNode = Leaf | Inner

const weightAt = digestBytes
const referenceBytes = weightAt + 2
const innerMark = 0xffff
const innerLevelMax = 7
const slotBits = 7

export function entryWeight(value: Uint8Array): number {
  return Math.min(value.length, nodeWeightMax)
}

/** Keys that one slot of an inner node of this level spans. */
export function slotKeys(level: number): number {
  return nodeFanOut ** level
}

/** Errors: BAD_FORMAT (not a node), NEWER_VERSION, DAMAGED (also where the same contents encode otherwise). */
export function decodeNode(bytes: Buffer): TreeNode {
  const table = decodeTable(bytes)
  return table.levelCode === 0 ? new Leaf(table, table.shape) : new Inner(table, table.shape)
}

/** The chunk that an entry of a file's tree names. Errors: DAMAGED: a tree from elsewhere may hold anything. */
export function namedChunk(value: Buffer): Buffer {
  if (value.length === digestBytes) return value
  throw new HoldfastError('DAMAGED', `a file names a chunk by ${value.length} bytes instead of ${digestBytes}`)
}

/** `keys` rise; `values` belong to them, none empty; together they weigh no more than a leaf may. */
export function encodeLeaf(keys: readonly number[], values: readonly Uint8Array[]): Buffer {
  const { shape, base } = leafShape(keys[0], keys[keys.length - 1], keys.length, uniformBytes(values) !== 0)
  return encodeTable({ levelCode: 0, base, offsets: keys.map((key) => key - base), values, shape })
}

/** `base` is a multiple of 128^(level + 1); the references' slots rise. */
export function encodeInner(level: number, base: number, children: readonly ChildReference[]): Buffer {
  const offsets = children.map((child) => child.slot)
  const values = children.map(encodeReference)
  return encodeTable({ levelCode: level + 1, base, offsets, values, shape: innerShape(children.length) })
}

export class Leaf {
  readonly leaf = true
  readonly bytes: Buffer
  readonly count: number
  /** Of all entries together. */
  readonly weight: number
  readonly keyFirst: number
  readonly keyLast: number
  readonly #table: NodeTable

  constructor(table: NodeTable, shape: TableShape) {
    this.#table = table
    this.bytes = table.bytes
    this.count = table.count
    this.keyFirst = table.base + table.offsets[0]
    this.keyLast = table.base + table.offsets[table.count - 1]
    const valuesBytes = table.valueBytes === 0 ? table.bytes.length - table.valuesAt : table.count * table.valueBytes
    this.weight = this.count === 1 ? Math.min(valuesBytes, nodeWeightMax) : valuesBytes
    const right = leafShape(this.keyFirst, this.keyLast, this.count, table.valueBytes !== 0)
    check(right.base === table.base && sameShape(right.shape, shape), 'the layout of a leaf')
    check(this.keyLast <= treeKeyMax, 'a key')
    check(this.weight <= nodeWeightMax, 'the weight of a leaf')
  }

  keyAt(index: number): number {
    return this.#table.base + this.#table.offsets[index]
  }

  /** A view of the node's bytes: not to be changed. */
  valueAt(index: number): Buffer {
    return this.bytes.subarray(valueStart(this.#table, index), valueEnd(this.#table, index))
  }

  /** A view of the node's bytes, or null where the key is absent. */
  valueOf(key: number): Buffer | null {
    const index = indexOf(this.#table, key - this.#table.base)
    return index < 0 ? null : this.valueAt(index)
  }

  /** The first index whose key is at or above `key`; `count` where there is none. */
  indexFrom(key: number): number {
    return lowerBound(this.#table, key - this.#table.base)
  }
}

export class Inner {
  readonly leaf = false
  readonly bytes: Buffer
  readonly level: number
  readonly count: number
  /** Keys below `base` and from `end` on are not in this node. */
  readonly base: number
  readonly end: number
  readonly #table: NodeTable
  readonly #slotKeys: number
  readonly #spans: readonly number[]
  readonly #ids: (Buffer | undefined)[]

  constructor(table: NodeTable, shape: TableShape) {
    this.#table = table
    this.bytes = table.bytes
    this.level = table.levelCode - 1
    this.count = table.count
    this.base = table.base
    this.#slotKeys = slotKeys(this.level)
    this.end = this.base + this.#slotKeys * nodeFanOut
    this.#ids = new Array<Buffer | undefined>(this.count)
    check(this.level <= innerLevelMax && this.base % (this.#slotKeys * nodeFanOut) === 0, 'the base of an inner node')
    check(table.valueBytes === referenceBytes, 'the length of a reference')
    check(sameShape(innerShape(this.count), shape), 'the layout of an inner node')
    check(table.offsets[this.count - 1] < nodeFanOut && this.keyStart(this.count - 1) <= treeKeyMax, 'a slot')
    this.#spans = this.#checkedSpans()
  }

  /** The child that may hold the key, -1 where none does. */
  indexOf(key: number): number {
    const slot = Math.floor((key - this.base) / this.#slotKeys)
    if (slot < 0 || slot >= nodeFanOut) return -1
    const index = lowerBound(this.#table, slot + 1) - 1
    return index >= 0 && slot < this.#table.offsets[index] + this.#spans[index] ? index : -1
  }

  /** The first child that may hold a key at or above `key`; `count` where there is none. */
  indexFrom(key: number): number {
    const slot = Math.floor((key - this.base) / this.#slotKeys)
    const index = lowerBound(this.#table, slot + 1) - 1
    return index >= 0 && slot < this.#table.offsets[index] + this.#spans[index] ? index : index + 1
  }

  /** The child's share of keys is keyStart to keyEnd (exclusive). */
  keyStart(index: number): number {
    return this.base + this.#table.offsets[index] * this.#slotKeys
  }

  keyEnd(index: number): number {
    return this.keyStart(index) + this.#spans[index] * this.#slotKeys
  }

  idAt(index: number): Buffer {
    const start = valueStart(this.#table, index)
    return (this.#ids[index] ??= this.bytes.subarray(start, start + digestBytes))
  }

  /** 1 to nodeWeightMax for a leaf, heavyWeight for an inner child. */
  weightAt(index: number): number {
    const weight = this.#storedWeight(index)
    return weight === innerMark ? heavyWeight : weight
  }

  #storedWeight(index: number): number {
    return this.bytes.readUInt16LE(valueStart(this.#table, index) + weightAt)
  }

  /** The slots of each child's share; the shares must be those that the weights call for. */
  #checkedSpans(): number[] {
    const weights: number[] = []
    for (let index = 0; index < this.count; index += 1) {
      const stored = this.#storedWeight(index)
      check(stored === innerMark || (stored >= 1 && stored <= nodeWeightMax), 'the weight of a child')
      weights.push(this.weightAt(index))
    }
        const shares = partition(this.#table.offsets, weights)
    check(this.count >= 2 && shares.length === this.count, 'the number of its children')
    shares.forEach((share, index) => {
      check(share.start === this.#table.offsets[index], 'the first slot of a child')
      check(weights[index] < heavyWeight || this.level > 0, 'the level of a child')
    })
    return shares.map((share) => share.span)
  }
}

function leafShape(
  keyFirst: number, keyLast: number, count: number, uniform: boolean,
): { shape: TableShape; base: number } {
  const shape = tableShape(count, commonWidth(keyFirst, keyLast, 2), commonWidth(keyFirst, keyLast, 256), uniform)
  const span = (shape.layout === 1 ? 2 : 256) ** shape.width
  return { shape, base: keyFirst - (keyFirst % span) }
}

function innerShape(count: number): TableShape {
  return tableShape(count, slotBits, 1, true)
}

/** The least n for which both keys have the same multiple of radix^n below them. */
function commonWidth(keyFirst: number, keyLast: number, radix: number): number {
  let width = 0
  for (let span = 1; Math.floor(keyFirst / span) !== Math.floor(keyLast / span); span *= radix) width += 1
  return width
}

function encodeReference(child: ChildReference): Buffer {
  const bytes = Buffer.allocUnsafe(referenceBytes)
  bytes.set(child.id, 0)
  bytes.writeUInt16LE(child.weight === heavyWeight ? innerMark : child.weight, weightAt)
  return bytes
}

function sameShape(a: TableShape, b: TableShape): boolean {
  return a.layout === b.layout && a.width === b.width
}
