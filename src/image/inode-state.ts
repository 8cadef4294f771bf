/**
 * An inode as the serving thread holds it: the attributes as they are now, the committed data beneath and
 * what was written over it since.
 */
import { Buffer } from 'node:buffer'
import type { InodeRecord } from '../format/inode.ts'
import { ExtentMap } from './extents.ts'
import type { NameOverlay } from './names.ts'
import { fileType, typeOf } from './modes.ts'
import { bytesOf, offsetOf } from './offset.ts'
import type { Lane } from '../format/log.ts'

const noTarget = Buffer.alloc(0)

export class InodeState {
  readonly number: number
  mode = 0
  uid = 0
  gid = 0
  linkCount = 0
  deviceNumber = 0
  sizeChunk = 0
  sizeWithin = 0
  accessedNs = 0n
  modifiedNs = 0n
  changedNs = 0n
  /** A machine's memory: its own lane, its own rules (see DESIGN.md). */
  isMemory = false
  /** It was made without a name and may be given its first. */
  isLinkable = false
  target: Buffer = noTarget
  /** Root of the committed data: chunks of a file, names of a directory. */
  dataRoot: Buffer | null
  /** Chunk of the committed extended attributes. */
  attributesRoot: Buffer | null
  /** Attribute block that replaced the committed one; empty: none are left. */
  attributeBlock: Buffer | null = null
  #extents = new ExtentMap()
  #names: NameOverlay
  /** Newest segment that holds a change of this inode; 0: none that is not committed. */
  dirtySegment = 0
  /** References that the kernel holds. */
  references = 0
  /** Of a directory: the one in which it was last found, 0 while nobody has looked. A hint, for listings. */
  parent = 0

  constructor(number: number, record: InodeRecord, names: NameOverlay) {
    this.number = number
    this.setAttributes(record)
    this.dataRoot = record.dataRoot
    this.attributesRoot = record.attributesRoot
    this.#names = names
  }

  /** Over the committed data of a file. */
  get extents(): ExtentMap {
    return this.#extents
  }

  /** Over the committed names of a directory. */
  get names(): NameOverlay {
    return this.#names
  }

  /** Takes over what another has collected, in the place of nothing. */
  lay(extents: ExtentMap, names: NameOverlay): void {
    this.#extents = extents
    this.#names = names
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
    return bytesOf({ chunk: this.sizeChunk, within: this.sizeWithin })
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
    const { chunk, within } = offsetOf(record.size)
    this.sizeChunk = chunk
    this.sizeWithin = within
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
