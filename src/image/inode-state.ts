/**
 * An inode as the serving thread holds it: the attributes as they are now, the committed data beneath and
 * what was written over it since.
 */
import { Buffer } from 'node:buffer'
import type { InodeRecord } from '../format/inode.ts'
import { chunkBytes } from '../limits.ts'
import { ExtentMap } from './extents.ts'
import type { NameOverlay } from './names.ts'
import { fileType, typeOf } from './modes.ts'
import type { Lane } from '../format/log.ts'

export class InodeState {
  readonly number: number
  mode: number
  uid: number
  gid: number
  linkCount: number
  deviceNumber: number
  sizeChunk: number
  sizeWithin: number
  accessedNs: bigint
  modifiedNs: bigint
  changedNs: bigint
  /** A machine's memory: its own lane, its own rules (see DESIGN.md). */
  isMemory: boolean
  /** It was made without a name and may be given its first. */
  isLinkable: boolean
  target: Buffer
  /** Root of the committed data: chunks of a file, names of a directory. */
  dataRoot: Buffer | null
  /** Chunk of the committed extended attributes. */
  attributesRoot: Buffer | null
  /** Attribute block that replaced the committed one; empty: none are left. */
  attributeBlock: Buffer | null = null
  readonly extents = new ExtentMap()
  readonly names: NameOverlay
  /** Newest segment that holds a change of this inode; 0: none that is not committed. */
  dirtySegment = 0
  /** References that the kernel holds. */
  references = 0
  /** Of a directory: the one in which it was last found, 0 while nobody has looked. A hint, for listings. */
  parent = 0

  constructor(number: number, record: InodeRecord, names: NameOverlay) {
    this.number = number
    this.mode = record.mode
    this.uid = record.uid
    this.gid = record.gid
    this.linkCount = record.linkCount
    this.deviceNumber = record.deviceNumber
    this.sizeChunk = chunkOf(record.size)
    this.sizeWithin = withinOf(record.size)
    this.accessedNs = record.accessedNs
    this.modifiedNs = record.modifiedNs
    this.changedNs = record.changedNs
    this.isMemory = record.isMemory
    this.isLinkable = record.isLinkable
    this.target = record.target
    this.dataRoot = record.dataRoot
    this.attributesRoot = record.attributesRoot
    this.names = names
  }

  get isDirectory(): boolean {
    return typeOf(this.mode) === fileType.directory
  }

  get isRegular(): boolean {
    return typeOf(this.mode) === fileType.regular
  }

  get lane(): Lane {
    return this.isMemory ? 'memory' : 'disk'
  }

  get size(): bigint {
    return BigInt(this.sizeChunk) * BigInt(chunkBytes) + BigInt(this.sizeWithin)
  }

  /** The file ends at the offset at least. */
  growTo(chunk: number, within: number): void {
    if (chunk < this.sizeChunk || (chunk === this.sizeChunk && within <= this.sizeWithin)) return
    this.sizeChunk = chunk
    this.sizeWithin = within
  }

  toRecord(): InodeRecord {
    return {
      mode: this.mode, uid: this.uid, gid: this.gid, linkCount: this.linkCount, deviceNumber: this.deviceNumber,
      size: this.size, accessedNs: this.accessedNs, modifiedNs: this.modifiedNs, changedNs: this.changedNs,
      isMemory: this.isMemory, isLinkable: this.isLinkable, target: this.target, dataRoot: this.dataRoot,
      attributesRoot: this.attributesRoot,
    }
  }

  /** What a log record says of it; what is committed stays as it is known. */
  setAttributes(record: InodeRecord): void {
    this.mode = record.mode
    this.uid = record.uid
    this.gid = record.gid
    this.linkCount = record.linkCount
    this.deviceNumber = record.deviceNumber
    this.sizeChunk = chunkOf(record.size)
    this.sizeWithin = withinOf(record.size)
    this.accessedNs = record.accessedNs
    this.modifiedNs = record.modifiedNs
    this.changedNs = record.changedNs
    this.isMemory = record.isMemory
    this.isLinkable = record.isLinkable
    this.target = record.target
  }

  /** The attributes only, to undo a change that could not be logged. */
  attributes(): Partial<InodeState> {
    const { mode, uid, gid, linkCount, isLinkable, sizeChunk, sizeWithin, accessedNs, modifiedNs, changedNs } = this
    return { mode, uid, gid, linkCount, isLinkable, sizeChunk, sizeWithin, accessedNs, modifiedNs, changedNs,
      attributeBlock: this.attributeBlock }
  }
}

const chunkBits = BigInt(Math.log2(chunkBytes))

function chunkOf(size: bigint): number {
  return Number(size >> chunkBits)
}

function withinOf(size: bigint): number {
  return Number(size & BigInt(chunkBytes - 1))
}
