/**
 * The extent map against plain bytes. Every byte that a write brings is unlike all others, so what is read
 * through the map tells where it came from. Committed bytes change only when segments are retired.
 */
import { Buffer } from 'node:buffer'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { ExtentMap } from '../../src/image/extents.ts'
import { chunkBytes } from '../../src/limits.ts'
import { Random } from '../random.ts'

type Step =
  | { do: 'write'; at: number; length: number }
  | { do: 'zero'; at: number; length: number }
  | { do: 'cut'; at: number }
  | { do: 'rotate' }
  | { do: 'retire'; back: number }

/** Positions are the unit: each stands for `scale` bytes, so that few steps reach across chunks. */
class Both {
  readonly map = new ExtentMap()
  readonly #scale: number
  readonly #units: number
  /** What the file holds now, and held at the end of each segment: a write's number, 0 for zeros. */
  #now: Uint32Array
  #ended = new Map<number, Uint32Array>()
  #committed: Uint32Array
  #log: { at: number; length: number; number: number }[] = []
  #segment = 1
  #number = 0

  constructor(units: number, scale: number) {
    this.#scale = scale
    this.#units = units
    this.#now = Uint32Array.from({ length: units }, (_, index) => 1_000_000 + index)
    this.#committed = this.#now.slice()
  }

  do(step: Step): void {
    const { map } = this
    switch (step.do) {
      case 'write': {
        const length = Math.min(step.length, this.#units - step.at)
        this.#number += 1
        this.#log.push({ at: step.at, length, number: this.#number })
        const [chunk, within] = this.#place(step.at)
        // A write's position in the log tells which write it was: writes lie 2^32 apart.
        map.write(chunk, within, length * this.#scale, this.#segment, this.#number * 2 ** 32)
        this.#now.fill(this.#number, step.at, step.at + length)
        return
      }
      case 'zero': {
        const end = Math.min(step.at + step.length, this.#units)
        map.zero(...this.#place(step.at), ...this.#place(end), this.#segment)
        this.#now.fill(0, step.at, end)
        return
      }
      case 'cut':
        map.cut(...this.#place(step.at), this.#segment)
        this.#now.fill(0, step.at)
        return
      case 'rotate':
        this.#ended.set(this.#segment, this.#now.slice())
        this.#segment += 1
        return
      case 'retire': {
        const segment = this.#segment - 1 - step.back
        const ended = this.#ended.get(segment)
        if (ended === undefined) return
        for (const each of [...this.#ended.keys()]) if (each <= segment) this.#ended.delete(each)
        this.#committed = ended
        map.retire(segment)
      }
    }
  }

  /** Null, or the first unit that is read wrong through the map. */
  difference(): string | null {
    for (let unit = 0; unit < this.#units; unit += 1) {
      const [chunk, within] = this.#place(unit)
      const found = this.#read(unit, chunk, within)
      if (found !== this.#now[unit]) return `unit ${unit} is ${found}, not ${this.#now[unit]}`
    }
    return this.#hiddenDifference()
  }

  #read(unit: number, chunk: number, within: number): number {
    const pieces = this.map.pieces(chunk) ?? []
    const end = within + this.#scale
    const piece = pieces.find((each) => each.from <= within && each.to >= end)
    if (piece === undefined) {
      if (pieces.some((each) => each.from < end && each.to > within)) return -1
      return within < this.map.committedBytes(chunk) ? this.#committed[unit] : 0
    }
    if (piece.position < 0) return 0
    const position = piece.position + within - piece.from
    const number = Math.floor(position / 2 ** 32)
    const write = this.#log[number - 1]
    return write !== undefined && position % 2 ** 32 === (unit - write.at) * this.#scale ? number : -2
  }

  /** The first hidden chunk must be the first that has no pieces and shows no committed bytes. */
  #hiddenDifference(): string | null {
    const chunks = Math.ceil(this.#units * this.#scale / chunkBytes)
    for (let from = 0; from < chunks; from += 1) {
      const hidden = this.map.nextHidden(from)
      for (let chunk = from; chunk < Math.min(hidden, chunks); chunk += 1) {
        if (this.map.pieces(chunk) === undefined && this.map.committedBytes(chunk) === 0) return `chunk ${chunk} is hidden`
      }
      if (hidden < chunks && this.map.pieces(hidden) === undefined && this.map.committedBytes(hidden) > 0) {
        return `chunk ${hidden} is not hidden`
      }
    }
    return null
  }

  #place(unit: number): [chunk: number, within: number] {
    const at = unit * this.#scale
    return [Math.floor(at / chunkBytes), at % chunkBytes]
  }
}

function run(steps: readonly Step[], units: number, scale: number): string | null {
  const both = new Both(units, scale)
  for (const [index, step] of steps.entries()) {
    both.do(step)
    const difference = both.difference()
    if (difference !== null) return `${difference} after ${JSON.stringify(steps.slice(0, index + 1))}`
  }
  return null
}

/** Six units in two chunks and a half: every edge that there is. */
const small: Step[] = [
  ...[[0, 1], [0, 6], [1, 2], [1, 4], [2, 2], [3, 1], [5, 1]].flatMap(([at, length]): Step[] =>
    [{ do: 'write', at, length }, { do: 'zero', at, length }]),
  ...[0, 1, 2, 3, 5].map((at): Step => ({ do: 'cut', at })),
  { do: 'rotate' }, { do: 'retire', back: 0 }, { do: 'retire', back: 1 },
]

test('every sequence of three steps, and then retirement', (t) => {
  const wrong: string[] = []
  const ends: Step[][] = [
    [{ do: 'rotate' }, { do: 'retire', back: 0 }],
    [{ do: 'rotate' }, { do: 'write', at: 2, length: 2 }, { do: 'rotate' }, { do: 'retire', back: 1 }, { do: 'retire', back: 0 }],
  ]
  for (const first of small) {
    for (const second of small) {
      for (const third of small) {
        for (const end of ends) {
          const difference = run([first, second, third, ...end], 6, chunkBytes / 2)
          if (difference !== null) wrong.push(difference)
        }
      }
    }
  }
  t.deepEqual(wrong.slice(0, 5), [])
})

test('long random sequences over a few chunks', (t) => {
  const random = Random.announced(t)
  checkRandom(t, random, 40, 60, 24, chunkBytes / 4)
})

test('long random sequences with zeroed ranges of many chunks', (t) => {
  const random = Random.announced(t)
  checkRandom(t, random, 12, 60, 300, chunkBytes)
})

function checkRandom(t: ExecutionContext, random: Random, rounds: number, count: number, units: number, scale: number): void {
  for (let round = 0; round < rounds; round += 1) {
    const steps = Array.from({ length: count }, (): Step => {
      const at = random.below(units)
      const length = 1 + random.below(random.below(2) === 0 ? 4 : units)
      return random.pick<Step>([
        { do: 'write', at, length }, { do: 'write', at, length: Math.min(length, 5) }, { do: 'zero', at, length },
        { do: 'cut', at }, { do: 'rotate' }, { do: 'retire', back: random.below(3) },
      ])
    })
    t.is(run(steps, units, scale), null)
  }
}

test('when all segments are retired nothing is left', (t) => {
  const map = new ExtentMap()
  map.write(0, 10, 200_000, 1, 0)
  map.zero(5, 0, 500, 0, 1)
  map.cut(700, 3, 2)
  t.false(map.isEmpty)
  map.retire(1)
  t.false(map.isEmpty)
  map.retire(2)
  t.true(map.isEmpty)
  t.is(map.nextTouched(0, () => true), null)
  t.is(map.nextHidden(0), Infinity)
})

test('touched chunks are found in order, whatever the order of writing', (t) => {
  const map = new ExtentMap()
  for (const chunk of [9, 3, 700, 5]) map.write(chunk, 0, 1, 1, 0)
  t.is(map.nextTouched(0, () => true), 3)
  t.is(map.nextTouched(4, () => true), 5)
  map.write(4, 0, 1, 1, 0)
  t.is(map.nextTouched(4, (chunk) => chunk !== 5 && chunk !== 4), 9)
  map.cut(9, 0, 1)
  t.is(map.nextTouched(6, () => true), null)
})

test('a byte written over a cut or zeroed chunk shows no committed byte beside it', (t) => {
  const map = new ExtentMap()
  map.zero(0, 0, 200, 0, 1)
  map.write(100, 7, 1, 1, Buffer.poolSize)
  t.is(map.committedBytes(100), 0)
  map.retire(1)
  t.is(map.committedBytes(100), chunkBytes)
})
