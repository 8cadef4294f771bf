/**
 * Marks what some manifests reach. What they share is walked once: a node's id is remembered in 16 bytes, so memory
 * grows with the number of different nodes, and not with that of epochs.
 */
import type { Buffer } from 'node:buffer'
import { HoldfastError, isCode } from '../../errors.ts'
import { decodeInode } from '../../format/inode.ts'
import { decodeManifest } from '../../format/manifest.ts'
import { type TreeNode, decodeNode, namedChunk } from '../../format/node.ts'
import { nodeWeightMax } from '../../limits.ts'
import type { ChunkReader } from '../../store/chunks.ts'
import { IdSet } from '../../store/collection/id-set.ts'
import { type LongCall, breathe } from '../../store/progress.ts'
import { fileType, typeOf } from '../modes.ts'

export interface MarkOptions {
  readonly reader: ChunkReader
  /** Called with each id that is reached, also more than once. */
  readonly keep: (id: Buffer) => void
  readonly secret: number
  /** An image's chunks may be on a replica: a node that is not here has nothing here that a replica lacks. */
  readonly mayBeAbsent: boolean
  readonly call: LongCall
}

const nodesBetweenTurns = 32
/** Nodes expected: the set grows. */
const nodeCountFirst = 64 * 1024

type Entry = (value: Buffer) => void

export class Marking {
  readonly #options: MarkOptions
  readonly #seen: IdSet
  #sinceTurn = 0

  constructor(options: MarkOptions) {
    this.#options = options
    this.#seen = new IdSet(nodeCountFirst, 16, options.secret)
  }

  get nodeCount(): number {
    return this.#seen.count
  }

  get bytes(): number {
    return this.#seen.bytes
  }

  /** Errors: DAMAGED (what it reaches cannot be known), ABORTED. */
  async manifest(id: Buffer): Promise<void> {
    if (!this.#isNew(id)) return
    const bytes = this.#found(() => this.#options.reader.read(id))
    if (bytes === null) return
    const trees: Buffer[] = []
    const names: Buffer[] = []
    await this.#tree(decodeManifest(bytes).inodes, (value) => {
      const { mode, dataRoot, attributesRoot } = decodeInode(value)
      if (attributesRoot !== null) this.#options.keep(attributesRoot)
      if (dataRoot !== null) (typeOf(mode) === fileType.directory ? names : trees).push(dataRoot)
    })
    for (const root of trees) await this.data(root)
    for (const root of names) await this.#tree(root, null)
  }

  /** A tree whose values are ids of chunks. Errors: as `manifest`. */
  data(root: Buffer): Promise<void> {
    return this.#tree(root, (value) => this.#options.keep(namedChunk(value)))
  }

  async #tree(root: Buffer | null, entry: Entry | null): Promise<void> {
    const open: Buffer[] = root !== null && this.#isNew(root) ? [root] : []
    for (let id = open.pop(); id !== undefined; id = open.pop()) {
      // Each is visited once, so none is kept decoded.
      const node = this.#found(() => decodeNode(this.#options.reader.read(id!)))
      if (node !== null) this.#visit(node, entry, open)
      this.#sinceTurn += 1
      if (this.#sinceTurn % nodesBetweenTurns === 0) await breathe(this.#options.call)
    }
  }

  /** Without use for entries no leaf is read. */
  #visit(node: TreeNode, entry: Entry | null, open: Buffer[]): void {
    if (node.leaf) {
      for (let index = 0; entry !== null && index < node.count; index++) entry(node.valueAt(index))
      return
    }
    for (let index = 0; index < node.count; index++) {
      const isToOpen = entry !== null || node.weightAt(index) > nodeWeightMax
      if (this.#isNew(node.idAt(index)) && isToOpen) open.push(node.idAt(index))
    }
  }

  #isNew(id: Buffer): boolean {
    if (!this.#seen.add(id)) return false
    this.#options.keep(id)
    return true
  }

  /** Null for what is only elsewhere. */
  #found<T>(read: () => T): T | null {
    try {
      return read()
    } catch (error) {
      if (this.#options.mayBeAbsent && isCode(error, 'NOT_FOUND')) return null
      if (!isCode(error, 'NOT_FOUND', 'DAMAGED')) throw error
      throw new HoldfastError('DAMAGED', 'what is needed cannot be told from garbage, as a part of a manifest cannot ' +
        "be read: 'holdfast check --repair' first", { cause: error })
    }
  }
}
