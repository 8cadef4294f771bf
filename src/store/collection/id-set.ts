/**
 * A set of chunk ids in a few bytes each: open addressing in one typed array. It keeps the first 8 or 16 bytes of an
 * id. With 8 it may take one id for another, about once in 10^5 sets of ten million: enough for what is kept, where
 * that costs a record's space. With 16 it never does: needed where it leaves something out.
 *
 * Nobody who chooses contents can make slots crowd, as these depend on a secret of the set.
 */
import type { Buffer } from 'node:buffer'

const fillMax = 0.75
const growth = 1.6
const countMin = 1024
const marks = { wanted: 1, found: 2 } as const
const allMarks = 3
const slotsPerByte = 4

export type Mark = keyof typeof marks

export class IdSet {
  readonly #width: number
  readonly #secret: number
  #words: Uint32Array
  #slots: number
  #count = 0
  /** Two marks a slot; none before the first one. */
  #marks = new Uint8Array(0)

  /** `count` ids are expected; more are taken too. */
  constructor(count: number, idBytes: 8 | 16, secret: number) {
    this.#width = idBytes / 4
    this.#secret = secret
    this.#slots = Math.ceil(Math.max(count, countMin) / fillMax)
    this.#words = new Uint32Array(this.#slots * this.#width)
  }

  get count(): number {
    return this.#count
  }

  get bytes(): number {
    return this.#words.byteLength + this.#marks.byteLength
  }

  has(id: Buffer, depth = 0): boolean {
    return this.#words[this.#find(keyWord(id, 0), keyWord(id, 1) ^ mixed(depth), id)] !== 0
  }

  /** Whether it is new. `depth` makes another id of it. */
  add(id: Buffer, depth = 0): boolean {
    if (this.#count >= this.#slots * fillMax) this.#grow()
    const [first, second] = [keyWord(id, 0), keyWord(id, 1) ^ mixed(depth)]
    const at = this.#find(first, second, id)
    if (this.#words[at] !== 0) return false
    this.#words[at] = first
    this.#words[at + 1] = second
    for (let word = 2; word < this.#width; word++) this.#words[at + word] = id.readUInt32LE(4 * word)
    this.#count += 1
    return true
  }

  /** Marks an id that is in the set; else nothing happens. */
  mark(id: Buffer, mark: Mark, depth = 0): void {
    const at = this.#find(keyWord(id, 0), keyWord(id, 1) ^ mixed(depth), id)
    if (this.#words[at] === 0) return
    if (this.#marks.length === 0) this.#marks = new Uint8Array(Math.ceil(this.#slots / slotsPerByte))
    this.#markSlot(at / this.#width, marks[mark])
  }

  /** Of all, or of those that are wanted: how many are not marked as found. */
  missing(of: 'all' | 'wanted'): number {
    let missing = 0
    for (let slot = 0; slot < this.#slots; slot++) {
      if (this.#words[slot * this.#width] === 0) continue
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

  /** Where the id is, or the free place where it belongs. */
  #find(first: number, second: number, id: Buffer): number {
    let slot = this.#slotOf(first, second)
    for (;;) {
      const at = slot * this.#width
      if (this.#words[at] === 0) return at
      if (this.#words[at] === first && this.#words[at + 1] === second >>> 0 && this.#isRest(at, id)) return at
      slot = slot + 1 === this.#slots ? 0 : slot + 1
    }
  }

  #isRest(at: number, id: Buffer): boolean {
    return this.#width === 2 ||
      (this.#words[at + 2] === id.readUInt32LE(8) && this.#words[at + 3] === id.readUInt32LE(12))
  }

  #slotOf(first: number, second: number): number {
    const hash = Math.imul(Math.imul(first ^ this.#secret, 0x85ebca6b) ^ second, 0xc2b2ae35)
    return Math.floor(((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32 * this.#slots)
  }

  #grow(): void {
    const before = this.#words
    const marksBefore = this.#marks
    this.#slots = Math.ceil(this.#slots * growth)
    this.#words = new Uint32Array(this.#slots * this.#width)
    if (marksBefore.length > 0) this.#marks = new Uint8Array(Math.ceil(this.#slots / slotsPerByte))
    for (let at = 0; at < before.length; at += this.#width) {
      if (before[at] === 0) continue
      let slot = this.#slotOf(before[at], before[at + 1])
      while (this.#words[slot * this.#width] !== 0) slot = slot + 1 === this.#slots ? 0 : slot + 1
      this.#words.set(before.subarray(at, at + this.#width), slot * this.#width)
      const old = at / this.#width
      const bits = (marksBefore[Math.floor(old / slotsPerByte)] ?? 0) >> (old % slotsPerByte * 2)
      if ((bits & allMarks) !== 0) this.#markSlot(slot, bits & allMarks)
    }
  }
}

/** The first word is never 0, which stands for a free place. */
function keyWord(id: Buffer, word: 0 | 1): number {
  const value = id.readUInt32LE(4 * word)
  return word === 0 && value === 0 ? 1 : value
}

function mixed(depth: number): number {
  return Math.imul(depth, 0x9e3779b1)
}
