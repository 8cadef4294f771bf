/**
 * A set of chunk ids in a few bytes each: open addressing in one typed array. It keeps the first 6 or 16 bytes of an
 * id. With 6, one in 10^7 that are not in a set of ten million is taken for one of them: enough for what is kept, where
 * that costs a record's space. With 16 none is: needed where it leaves something out.
 *
 * Nobody who chooses contents can make slots crowd, as these depend on a secret of the set.
 */
import type { Buffer } from 'node:buffer'

const fillMax = 0.8
const growth = 1.6
const countMin = 1024
const marks = { wanted: 1, found: 2 } as const
const allMarks = 3
const slotsPerByte = 4
const halfBytes = 2
const halfMask = 0xffff

export type Mark = keyof typeof marks

export class IdSet {
  readonly #width: number
  readonly #secret: number
  /** `#width` of them a slot; the first two are never both 0 but in a free one. */
  #halves: Uint16Array
  #slots: number
  #count = 0
  /** Two marks a slot; none before the first one. */
  #marks = new Uint8Array(0)

  /** `count` ids are expected; more are taken too. */
  constructor(count: number, idBytes: 6 | 16, secret: number) {
    this.#width = idBytes / halfBytes
    this.#secret = secret
    this.#slots = Math.ceil(Math.max(count, countMin) / fillMax)
    this.#halves = new Uint16Array(this.#slots * this.#width)
  }

  get count(): number {
    return this.#count
  }

  get bytes(): number {
    return this.#halves.byteLength + this.#marks.byteLength
  }

  has(id: Buffer, depth = 0): boolean {
    return !this.#isFree(this.#find(firstWord(id), thirdHalf(id, depth), id))
  }

  /** Whether it is new. `depth` makes another id of it. */
  add(id: Buffer, depth = 0): boolean {
    if (this.#count >= this.#slots * fillMax) this.#grow()
    const [first, third] = [firstWord(id), thirdHalf(id, depth)]
    const at = this.#find(first, third, id)
    if (!this.#isFree(at)) return false
    this.#halves[at] = first
    this.#halves[at + 1] = first >>> 16
    this.#halves[at + 2] = third
    for (let half = 3; half < this.#width; half++) this.#halves[at + half] = id.readUInt16LE(halfBytes * half)
    this.#count += 1
    return true
  }

  /** Marks an id that is in the set; else nothing happens. */
  mark(id: Buffer, mark: Mark, depth = 0): void {
    const at = this.#find(firstWord(id), thirdHalf(id, depth), id)
    if (this.#isFree(at)) return
    if (this.#marks.length === 0) this.#marks = new Uint8Array(Math.ceil(this.#slots / slotsPerByte))
    this.#markSlot(at / this.#width, marks[mark])
  }

  /** Of all, or of those that are wanted: how many are not marked as found. */
  missing(of: 'all' | 'wanted'): number {
    let missing = 0
    for (let slot = 0; slot < this.#slots; slot++) {
      if (this.#isFree(slot * this.#width)) continue
      const bits = this.#bitsOf(slot)
      if ((bits & marks.found) === 0 && (of === 'all' || (bits & marks.wanted) !== 0)) missing += 1
    }
    return missing
  }

  #bitsOf(slot: number): number {
    return (this.#marks[Math.floor(slot / slotsPerByte)] ?? 0) >> (slot % slotsPerByte * 2)
  }

  #markSlot(slot: number, bits: number): void {
    this.#marks[Math.floor(slot / slotsPerByte)] |= bits << (slot % slotsPerByte * 2)
  }

  #isFree(at: number): boolean {
    return this.#halves[at] === 0 && this.#halves[at + 1] === 0
  }

  /** Where the id is, or the free place where it belongs. */
  #find(first: number, third: number, id: Buffer): number {
    const halves = this.#halves
    const [low, high] = [first & halfMask, first >>> 16]
    for (let slot = this.#slotOf(first, third); ;) {
      const at = slot * this.#width
      if (halves[at] === low && halves[at + 1] === high && halves[at + 2] === third && this.#isRest(at, id)) return at
      if (halves[at] === 0 && halves[at + 1] === 0) return at
      slot = slot + 1 === this.#slots ? 0 : slot + 1
    }
  }

  #isRest(at: number, id: Buffer): boolean {
    for (let half = 3; half < this.#width; half++) {
      if (this.#halves[at + half] !== id.readUInt16LE(halfBytes * half)) return false
    }
    return true
  }

  #slotOf(first: number, third: number): number {
    const hash = Math.imul(Math.imul(first ^ this.#secret, 0x85ebca6b) ^ third, 0xc2b2ae35)
    return Math.floor(((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32 * this.#slots)
  }

  #grow(): void {
    const before = this.#halves
    const marksBefore = this.#marks
    this.#slots = Math.ceil(this.#slots * growth)
    this.#halves = new Uint16Array(this.#slots * this.#width)
    if (marksBefore.length > 0) this.#marks = new Uint8Array(Math.ceil(this.#slots / slotsPerByte))
    for (let at = 0; at < before.length; at += this.#width) {
      const first = (before[at] | before[at + 1] << 16) >>> 0
      if (first === 0) continue
      let slot = this.#slotOf(first, before[at + 2])
      while (!this.#isFree(slot * this.#width)) slot = slot + 1 === this.#slots ? 0 : slot + 1
      this.#halves.set(before.subarray(at, at + this.#width), slot * this.#width)
      const old = at / this.#width
      const bits = (marksBefore[Math.floor(old / slotsPerByte)] ?? 0) >> (old % slotsPerByte * 2)
      if ((bits & allMarks) !== 0) this.#markSlot(slot, bits & allMarks)
    }
  }
}

/** Never 0, which stands for a free place. */
function firstWord(id: Buffer): number {
  return id.readUInt32LE(0) || 1
}

function thirdHalf(id: Buffer, depth: number): number {
  return (id.readUInt16LE(2 * halfBytes) ^ Math.imul(depth, 0x9e3779b1)) & halfMask
}
