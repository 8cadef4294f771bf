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

export class OverlaidName {
  readonly name: Buffer
  readonly segment: number
  /** Null: removed. */
  readonly entry: NamedInode | null
  #key = -1

  constructor(name: Buffer, segment: number, entry: NamedInode | null) {
    this.name = name
    this.segment = segment
    this.entry = entry
  }

  /** Only listings want it, and a digest costs as much as all the rest of setting a name. */
  get key(): number {
    if (this.#key < 0) this.#key = nameKey(this.name)
    return this.#key
  }
}

/** Files have no names, and there are many of them. Nothing is ever put here. */
const nothing = new Map<string, OverlaidName>()

export class NameOverlay {
  #names = nothing
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
    if (this.#names === nothing) this.#names = new Map()
    this.#names.set(name.toString('latin1'), new OverlaidName(name, segment, entry))
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
