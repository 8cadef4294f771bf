/**
 * The names of a directory that were set or removed since its committed tree, over that tree. Names are
 * bytes; as keys of a Map they are latin1 strings, which is one to one.
 */
import { Buffer } from 'node:buffer'
import { nameKey } from '../format/dirent.ts'

export interface NamedInode {
  inode: number
  /** `d_type` of the entry. */
  type: number
}

export interface OverlaidName {
  readonly key: number
  readonly name: Buffer
  readonly segment: number
  /** Null: removed. */
  readonly entry: NamedInode | null
}

export class NameOverlay {
  readonly #names = new Map<string, OverlaidName>()
  #sorted: OverlaidName[] | null = null

  get size(): number {
    return this.#names.size
  }

  /** The entry, null when removed, undefined when the committed tree decides. */
  get(name: Buffer): NamedInode | null | undefined {
    return this.#names.get(name.toString('latin1'))?.entry
  }

  has(name: Buffer): boolean {
    return this.#names.has(name.toString('latin1'))
  }

  set(name: Buffer, entry: NamedInode | null, segment: number): void {
    this.#names.set(name.toString('latin1'), { key: nameKey(name), name, segment, entry })
    this.#sorted = null
  }

  /** By key, for listing. */
  sorted(): readonly OverlaidName[] {
    this.#sorted ??= [...this.#names.values()].sort((a, b) => a.key - b.key)
    return this.#sorted
  }

  retire(segment: number): void {
    for (const [text, name] of this.#names) if (name.segment <= segment) this.#names.delete(text)
    this.#sorted = null
  }
}
