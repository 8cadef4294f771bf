/** Random operations that a kernel could ask for, on what a model holds. */
import { Buffer } from 'node:buffer'
import { chunkBytes } from '../../src/limits.ts'
import type { Random } from '../random.ts'
import { modelRoot } from './model.ts'
import type { Model, Node, Operation } from './model.ts'

type Maker = (random: Random, model: Model) => Operation | null

/** Few names, so that they meet. */
const names = ['a', 'b', 'c', 'd', 'e', 'longer name', '\xff\xfe odd', 'z'.repeat(255)]

const makers: [weight: number, maker: Maker][] = [
  [14, (random, model) => ({
    do: 'make', parent: anyDirectory(random, model).number, name: random.pick(names), inode: 0,
    ...random.pick(kinds), permissions: random.pick([0o644, 0o600, 0o755]), uid: random.below(3),
  })],
  [2, (random) => ({
    do: 'makeUnnamed', permissions: random.pick([0o644, 0o600]), uid: random.below(3), isLinkable: random.below(3) > 0, inode: 0,
  })],
  [2, (random, model) => {
    const unnamed = [...model.nodes.values()].filter((node) => node.links === 0 && node.kind !== 'directory')
    if (unnamed.length === 0) return null
    return { do: 'link', inode: random.pick(unnamed).number, parent: anyDirectory(random, model).number, name: random.pick(names) }
  }],
  [3, (random, model) => ({
    do: 'link', inode: random.pick([...model.nodes.values()]).number, parent: anyDirectory(random, model).number,
    name: random.pick(names),
  })],
  [7, (random, model) => {
    const directory = liveDirectory(random, model)
    return { do: 'remove', parent: directory.number, name: nameIn(random, directory), wants: random.pick(['other', 'other', 'directory']) }
  }],
  [8, renaming],
  [40, writing],
  [6, (random, model) => onFile(random, model, (file) => ({ do: 'truncate', inode: file.number, size: sizeFor(random, file) }))],
  [6, (random, model) => onFile(random, model, (file) => {
    const at = offsetIn(random, file)
    const length = random.pick([1, 512, chunkBytes, 3 * chunkBytes + 7, 70 * chunkBytes, 200 * chunkBytes])
    return at >= file.size ? null : { do: 'zero', inode: file.number, at, length }
  })],
  [4, (random, model) => ({
    do: 'setAttribute', inode: random.pick([...model.nodes.keys()]), name: random.pick(['user.a', 'user.b']),
    value: 'v'.repeat(random.below(40)), createOnly: random.below(4) === 0, replaceOnly: random.below(4) === 0,
  })],
  [2, (random, model) => ({ do: 'removeAttribute', inode: random.pick([...model.nodes.keys()]), name: random.pick(['user.a', 'user.b']) })],
  [3, (random, model) => ({
    do: 'change', inode: random.pick([...model.nodes.keys()]),
    ...random.pick([{ permissions: 0o711 }, { uid: 7 }, { accessedNs: -5n, modifiedNs: 10n ** 18n }]),
  })],
  [6, (random, model) => ({ do: 'reference', inode: random.pick([...model.nodes.keys()]) })],
  [4, (random, model) => {
    const held = [...model.nodes.values()].filter((node) => node.references > 0)
    return held.length === 0 ? null : { do: 'forget', inode: random.pick(held).number }
  }],
]

const kinds: { kind: Node['kind']; isMemory: boolean; target: string }[] = [
  { kind: 'file', isMemory: false, target: '' }, { kind: 'file', isMemory: false, target: '' },
  { kind: 'file', isMemory: true, target: '' }, { kind: 'directory', isMemory: false, target: '' },
  { kind: 'directory', isMemory: false, target: '' }, { kind: 'link', isMemory: false, target: 'some/where' },
  { kind: 'fifo', isMemory: false, target: '' },
]

const totalWeight = makers.reduce((sum, [weight]) => sum + weight, 0)

export function randomOperation(random: Random, model: Model): Operation {
  for (;;) {
    let at = random.below(totalWeight)
    const [, maker] = makers.find(([weight]) => (at -= weight) < 0)!
    const operation = maker(random, model)
    if (operation !== null) return operation
  }
}

function renaming(random: Random, model: Model): Operation | null {
  const [from, to] = [liveDirectory(random, model), liveDirectory(random, model)]
  const [name, newName] = [nameIn(random, from), random.below(2) === 0 ? nameIn(random, to) : random.pick(names)]
  // The kernel itself refuses to move a directory into its own tree, either way round.
  const moved = [from.names.get(name), to.names.get(newName)]
  if (moved.some((number) => number !== undefined && (isWithin(model, from.number, number) || isWithin(model, to.number, number)))) {
    return null
  }
  const flag = random.below(6)
  return { do: 'rename', parent: from.number, name, newParent: to.number, newName, noReplace: flag === 0, exchange: flag === 1 }
}

function writing(random: Random, model: Model): Operation | null {
  return onFile(random, model, (file) => {
    const length = 1 + random.pick([random.below(200), random.below(5000), chunkBytes - 1, random.below(3 * chunkBytes)])
    const at = random.below(3) === 0 ? Math.floor(offsetIn(random, file) / chunkBytes) * chunkBytes : offsetIn(random, file)
    const bytes = random.below(12) === 0 ? Buffer.alloc(length) : Buffer.alloc(length, random.bytes(251))
    return { do: 'write', inode: file.number, at, bytes }
  })
}

function onFile(random: Random, model: Model, make: (file: Node) => Operation | null): Operation | null {
  const files = [...model.nodes.values()].filter((node) => node.kind === 'file')
  return files.length === 0 ? null : make(random.pick(files))
}

/** Most of it within a few chunks, so that writes meet; some far out. */
function offsetIn(random: Random, file: Node): number {
  if (random.below(10) === 0) return random.below(260 * chunkBytes)
  return random.below(Math.min(file.size, 4 * chunkBytes) + 1000)
}

function sizeFor(random: Random, file: Node): number {
  return random.pick([0, random.below(file.size + 1), random.below(file.size + 1), file.size + random.below(2 * chunkBytes),
    Math.floor(file.size / chunkBytes) * chunkBytes])
}

/** Also one that was removed and is still open. */
function anyDirectory(random: Random, model: Model): Node {
  return random.pick([...model.nodes.values()].filter((node) => node.kind === 'directory'))
}

function liveDirectory(random: Random, model: Model): Node {
  return random.pick([...model.nodes.values()].filter((node) => node.kind === 'directory' && node.links > 0))
}

function nameIn(random: Random, directory: Node): string {
  const present = [...directory.names.keys()]
  return present.length === 0 || random.below(6) === 0 ? random.pick(names) : random.pick(present)
}

function isWithin(model: Model, number: number, tree: number): boolean {
  if (number === tree) return true
  if (number === modelRoot) return false
  const parent = [...model.nodes.values()].find((node) => [...node.names.values()].includes(number) && node.kind === 'directory')
  return parent !== undefined && isWithin(model, parent.number, tree)
}
