/** Kinds of contents that manifest trees hold, for property tests. */
import { Buffer } from 'node:buffer'
import { treeKeyMax } from '../../src/limits.ts'
import { build } from '../../src/image/tree/index.ts'
import type { NodeStore } from '../../src/image/tree/index.ts'
import type { Random } from '../random.ts'

export interface Shape {
  name: string
  key(random: Random): number
  value(random: Random): Buffer
}

/** Few bytes of randomness, many bytes of value: equal values come up too. */
function filled(random: Random, length: number): Buffer {
  const value = Buffer.alloc(length, 1 + random.below(250))
  value[0] = 1 + random.below(250)
  return value
}

export const shapes: readonly Shape[] = [
  { name: 'a dense file', key: (r) => r.below(2000), value: (r) => filled(r, 32) },
  { name: 'a sparse file', key: (r) => r.pick([0, 5 * 128, 2 ** 20, 2 ** 46]) + r.below(300), value: (r) => filled(r, 32) },
  { name: 'a small file', key: (r) => r.below(200), value: (r) => filled(r, 32) },
  { name: 'inodes', key: (r) => 1 + r.below(600), value: (r) => filled(r, r.below(20) === 0 ? 128 + r.below(4096) : 128) },
  { name: 'names', key: (r) => r.below(treeKeyMax + 1), value: (r) => filled(r, 11 + r.below(60)) },
  { name: 'long values', key: (r) => r.below(500), value: (r) => filled(r, 1 + r.below(4224)) },
  { name: 'short values', key: (r) => r.below(10_000), value: (r) => filled(r, 1) },
  { name: 'the ends of the keys', key: (r) => r.pick([0, treeKeyMax - 400]) + r.below(401), value: (r) => filled(r, 64) },
]

export type Model = Map<number, Buffer>

export function sorted(model: Model): [number, Buffer][] {
  return [...model].sort((a, b) => a[0] - b[0])
}

export function built(store: NodeStore, model: Model): Buffer | null {
  return build(store, sorted(model))
}

export function randomModel(random: Random, shape: Shape, count: number): Model {
  const model: Model = new Map()
  for (let index = 0; index < count; index += 1) model.set(shape.key(random), shape.value(random))
  return model
}

/** Changes as update takes them, keys rising: new values, values as they were, removals of what is and is not there. */
export function randomChanges(random: Random, shape: Shape, model: Model, count: number): [number, Buffer | null][] {
  const present = [...model.keys()]
  const changes = new Map<number, Buffer | null>()
  for (let index = 0; index < count; index += 1) {
    const key = present.length > 0 && random.below(2) === 0 ? random.pick(present) : shape.key(random)
    const kind = random.below(5)
    changes.set(key, kind < 2 ? null : kind === 2 ? (model.get(key) ?? null) : shape.value(random))
  }
  return [...changes].sort((a, b) => a[0] - b[0])
}

export function applyTo(model: Model, changes: readonly [number, Buffer | null][]): void {
  for (const [key, value] of changes) {
    if (value === null) model.delete(key)
    else model.set(key, value)
  }
}
