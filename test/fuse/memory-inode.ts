import type { Attributes, Timestamp } from '../../fuse/index.ts'
import { MemoryContents } from './memory-contents.ts'

export const TYPE_MASK = 0o170000
export const DIRECTORY = 0o040000
export const REGULAR = 0o100000
export const LINK = 0o120000

const CHUNK_BYTES = 65_536

export interface Slot {
  readonly name: Buffer
  readonly cookie: number
  readonly node: number
}

/** Names are keys as Latin-1, one character a byte. */
export class MemoryInode {
  readonly node: number
  mode: number
  uid: number
  gid: number
  deviceNumber = 0
  linkCount: number
  parent: number
  references = 0
  target = Buffer.alloc(0)
  accessed: Timestamp = now()
  modified: Timestamp = now()
  changed: Timestamp = now()
  readonly contents = new MemoryContents()
  readonly slots = new Map<string, Slot>()
  readonly xattrs = new Map<string, Buffer>()
  #cookie = 2

  constructor(node: number, parent: number, mode: number, uid: number, gid: number) {
    this.node = node
    this.parent = parent
    this.mode = mode
    this.uid = uid
    this.gid = gid
    this.linkCount = this.isDirectory ? 2 : 1
  }

  get isDirectory(): boolean {
    return (this.mode & TYPE_MASK) === DIRECTORY
  }

  get isRegular(): boolean {
    return (this.mode & TYPE_MASK) === REGULAR
  }

  /** A name gets a new cookie each time, so that listings under way neither repeat nor miss others. */
  put(name: Buffer, node: number): void {
    this.slots.delete(name.toString('latin1'))
    this.slots.set(name.toString('latin1'), { name, node, cookie: ++this.#cookie })
  }

  touch(): void {
    this.modified = now()
    this.changed = this.modified
  }

  get attributes(): Attributes {
    const size = (this.mode & TYPE_MASK) === LINK ? this.target.length : this.contents.size
    return {
      inode: this.node,
      sizeChunk: Math.floor(size / CHUNK_BYTES),
      sizeWithin: size % CHUNK_BYTES,
      blockCount: this.contents.blockCount,
      accessed: this.accessed,
      modified: this.modified,
      changed: this.changed,
      mode: this.mode,
      linkCount: this.linkCount,
      uid: this.uid,
      gid: this.gid,
      deviceNumber: this.deviceNumber,
      ioBytes: 4096,
    }
  }
}

export function now(): Timestamp {
  const milliseconds = Date.now()
  return { seconds: Math.floor(milliseconds / 1000), nanoseconds: (milliseconds % 1000) * 1e6 }
}
