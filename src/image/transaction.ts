/**
 * One change of the namespace: what happens to inodes and names, collected first, logged as one record, and
 * only then shown. If the record cannot be written the inodes get their attributes back.
 */
import type { Buffer } from 'node:buffer'
import { encodeInode } from '../format/inode.ts'
import type { Effect } from '../format/effects.ts'
import type { InodeState } from './inode-state.ts'
import type { NamedInode } from './names.ts'

export class Transaction {
  readonly #saved = new Map<InodeState, Partial<InodeState>>()
  readonly #names: { parent: InodeState; name: Buffer; entry: NamedInode | null }[] = []
  readonly #removed: InodeState[] = []
  readonly #attributed: InodeState[] = []
  /** It takes something away: it is admitted also when space is short. */
  readonly isRelease: boolean

  constructor(options: { isRelease?: boolean } = {}) {
    this.isRelease = options.isRelease ?? false
  }

  /** To be called before an inode's attributes are changed. */
  touch(state: InodeState): InodeState {
    if (!this.#saved.has(state)) this.#saved.set(state, state.attributes())
    return state
  }

  setName(parent: InodeState, name: Buffer, entry: NamedInode | null): void {
    this.#names.push({ parent, name, entry })
  }

  setAttributes(state: InodeState, block: Buffer): void {
    this.touch(state).attributeBlock = block
    this.#attributed.push(state)
  }

  /** The inode is gone: no name and no reference is left. */
  remove(state: InodeState): void {
    this.#removed.push(state)
  }

  effects(): Effect[] {
    return [
      ...[...this.#saved.keys()].filter((state) => !this.#removed.includes(state)).map((state): Effect =>
        ({ kind: 'inode', inode: state.number, record: encodeInode({ ...state.toRecord(), dataRoot: null }) })),
      ...this.#attributed.map((state): Effect =>
        ({ kind: 'attributes', inode: state.number, block: state.attributeBlock! })),
      ...this.#names.map(({ parent, name, entry }): Effect => entry === null
        ? { kind: 'nameRemoved', parent: parent.number, name }
        : { kind: 'name', parent: parent.number, name, ...entry }),
      ...this.#removed.map((state): Effect => ({ kind: 'inodeRemoved', inode: state.number })),
    ]
  }

  /** Inodes that were changed, and those that are gone. */
  get touched(): Iterable<InodeState> {
    return this.#saved.keys()
  }

  get removed(): readonly InodeState[] {
    return this.#removed
  }

  show(segment: number): void {
    for (const { parent, name, entry } of this.#names) parent.names.set(name, entry, segment)
  }

  undo(): void {
    for (const [state, attributes] of this.#saved) Object.assign(state, attributes)
  }
}
