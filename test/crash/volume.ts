/**
 * A file system that forgets: it is told the recorded operations one by one and knows what of them is durable.
 * As little is durable as POSIX allows: an fsync of a file makes its bytes durable and not its name, an fsync
 * of a directory the names in it and not its own. What was not synced may be there after a power loss in any
 * part and in any order.
 */
import { Buffer } from 'node:buffer'
import type { Random } from '../random.ts'
import type { RecordedOperation } from './recording-env.ts'
import { applyEdits, emptyTree, namesOf, overlaid, resized } from './tree.ts'
import type { Edit, NodeNumber, Tree } from './tree.ts'

/** zeros: the file grew and its blocks were never written. bytes, sectors: a part of the write arrived. */
export type Fate = 'kept' | 'lost' | 'zeros' | 'bytes' | 'sectors'

/** What becomes of an operation that was not synced. */
export interface PowerLoss {
  readonly name: string
  data(at: number): Fate
  names(at: number): boolean
}

interface Change {
  readonly at: number
  readonly operation: RecordedOperation & { do: 'write' | 'truncate' }
}

interface NameChange {
  readonly at: number
  readonly edits: readonly Edit[]
}

const sectorBytes = 512

export class Volume {
  readonly #durable: Tree
  readonly #changes = new Map<NodeNumber, Change[]>()
  #names: NameChange[] = []
  #at = 0

  constructor(start: Tree = emptyTree()) {
    this.#durable = { ...namesOf(start), files: new Map(start.files) }
  }

  /** Operations applied so far. */
  get at(): number {
    return this.#at
  }

  /** Numbers of the operations that are not durable, rising. */
  pending(): number[] {
    const data = [...this.#changes.values()].flatMap((changes) => changes.map(({ at }) => at))
    return [...data, ...this.#names.map(({ at }) => at)].sort((a, b) => a - b)
  }

  apply(operation: RecordedOperation): void {
    const at = this.#at
    this.#at += 1
    switch (operation.do) {
      case 'names':
        for (const { node } of operation.edits) if (node !== null) this.#know(node, operation.isDirectory)
        this.#names.push({ at, edits: operation.edits })
        return
      case 'write':
      case 'truncate':
        this.#changesOf(operation.node).push({ at, operation })
        return
      case 'sync': {
        this.#durable.files.set(operation.node, this.#content(operation.node, () => 'kept'))
        this.#changes.delete(operation.node)
        return
      }
      case 'syncDirectory': {
        const isCovered = ({ edits }: NameChange): boolean => edits.some(({ directory }) => directory === operation.node)
        for (const change of this.#names) if (isCovered(change)) applyEdits(this.#durable.directories, change.edits)
        this.#names = this.#names.filter((change) => !isCovered(change))
      }
    }
  }

  /** What is there when the power comes back; the bytes are not to be changed in place. */
  after(loss: PowerLoss, random: Random): Tree {
    const tree: Tree = {
      directories: new Map([...this.#durable.directories].map(([node, names]) => [node, new Map(names)])),
      files: new Map(),
      nextNode: this.#durable.nextNode + 1_000_000,
    }
    for (const { at, edits } of this.#names) if (loss.names(at)) applyEdits(tree.directories, edits)
    for (const node of this.#durable.files.keys()) tree.files.set(node, this.#content(node, (at) => loss.data(at), random))
    return tree
  }

  /** A file's bytes as its users see them, synced or not. */
  written(node: NodeNumber): Buffer {
    return this.#content(node, () => 'kept')
  }

  #know(node: NodeNumber, isDirectory: boolean): void {
    const { directories, files } = this.#durable
    if (directories.has(node) || files.has(node)) return
    if (isDirectory) directories.set(node, new Map())
    else files.set(node, Buffer.alloc(0))
  }

  #changesOf(node: NodeNumber): Change[] {
    const changes = this.#changes.get(node) ?? []
    this.#changes.set(node, changes)
    return changes
  }

  #content(node: NodeNumber, fate: (at: number) => Fate, random?: Random): Buffer {
    const durable = this.#durable.files.get(node) ?? Buffer.alloc(0)
    const changes = this.#changes.get(node) ?? []
    if (changes.length === 0) return durable
    let content: Buffer = Buffer.from(durable)
    for (const { at, operation } of changes) {
      const becomes = fate(at)
      if (becomes === 'lost') continue
      if (operation.do === 'truncate') content = resized(content, operation.bytes)
      else for (const part of partsOf(content, operation.bytes, operation.at, becomes, random)) content = overlaid(content, part.bytes, part.at)
    }
    return content
  }
}

interface Part {
  at: number
  bytes: Uint8Array
}

function partsOf(content: Buffer, bytes: Buffer, at: number, fate: Fate, random?: Random): Part[] {
  if (random === undefined || fate === 'kept') return [{ at, bytes }]
  if (fate === 'zeros') {
    // Blocks that were there keep what they held.
    const grownAt = Math.max(at, content.length)
    return at + bytes.length <= grownAt ? [] : [{ at: grownAt, bytes: Buffer.alloc(at + bytes.length - grownAt) }]
  }
  if (fate === 'bytes') return [{ at, bytes: bytes.subarray(0, random.below(bytes.length)) }]
  const parts: Part[] = []
  for (let start = 0; start < bytes.length;) {
    const end = Math.min(bytes.length, (Math.floor((at + start) / sectorBytes) + 1) * sectorBytes - at)
    if (random.below(2) === 0) parts.push({ at: at + start, bytes: bytes.subarray(start, end) })
    start = end
  }
  return parts
}
