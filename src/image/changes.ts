/**
 * What a run of log records did to an image: for each touched inode its attributes after them, the pieces
 * written over its data, its names set and removed. Committing a segment and recovering a log both collect
 * Changes and apply them (apply.ts): there is one way from log to manifest.
 */
import { Buffer } from 'node:buffer'
import { HoldfastError } from '../errors.ts'
import { decodeEffects } from '../format/effects.ts'
import type { Effect } from '../format/effects.ts'
import type { EpochRecord } from '../format/epoch.ts'
import { decodeInode } from '../format/inode.ts'
import type { InodeRecord } from '../format/inode.ts'
import { recordType } from '../format/log.ts'
import type { Manifest } from '../format/manifest.ts'
import { ExtentMap } from './extents.ts'
import type { LogRecord } from './log-window.ts'
import type { NamedInode } from './names.ts'
import { bytesOf, offsetOf } from './offset.ts'
import { get } from './tree/get.ts'
import type { NodeReader } from './tree/nodes.ts'

export interface ChangedInode {
  readonly number: number
  record: InodeRecord
  removed: boolean
  readonly extents: ExtentMap
  /** By the name as latin1. */
  readonly names: Map<string, { name: Buffer; entry: NamedInode | null }>
  /** New attribute block; empty: none are left; undefined: unchanged. */
  attributes?: Buffer
}

export class Changes {
  readonly #nodes: NodeReader
  readonly #manifest: Manifest
  readonly #inodes = new Map<number, ChangedInode>()
  #writtenBytes = 0
  #nextSequence: number
  #nextInode: number
  #lastRequest: EpochRecord['lastRequest']

  constructor(nodes: NodeReader, manifest: Manifest, start: Pick<EpochRecord, 'sequence' | 'lastRequest'>) {
    this.#nodes = nodes
    this.#manifest = manifest
    this.#nextSequence = start.sequence
    this.#lastRequest = start.lastRequest
    this.#nextInode = manifest.nextInode
  }

  get isEmpty(): boolean {
    return this.#inodes.size === 0
  }

  /** In the order of their numbers. */
  inodes(): ChangedInode[] {
    return [...this.#inodes.values()].sort((a, b) => a.number - b.number)
  }

  get writtenBytes(): number {
    return this.#writtenBytes
  }

  get nextSequence(): number {
    return this.#nextSequence
  }

  /** The last request of the kernel that the records carry out. */
  get lastRequest(): EpochRecord['lastRequest'] {
    return this.#lastRequest
  }

  get nextInode(): number {
    return this.#nextInode
  }

  /** Records come in the order of their sequence. Errors: DAMAGED. */
  add(record: LogRecord): void {
    this.#nextSequence = Math.max(this.#nextSequence, record.sequence + 1)
    const { unique, connection } = record
    if (unique !== 0n) this.#lastRequest = { connection, unique }
    if (record.type === recordType.effects) {
      for (const effect of decodeEffects(record.payload)) this.#effect(effect)
      return
    }
    const changed = this.#inode(record.inode)
    if (changed === null) {
      // A crash can lose the making of a memory file, which is logged in the other lane, and keep writes to it.
      if (record.lane === 'memory') return
      throw new HoldfastError('DAMAGED', `the log writes to inode ${record.inode}, which does not exist`)
    }
    this.#data(changed, record)
    const { timeNs } = record
    changed.record.modifiedNs = timeNs
    changed.record.changedNs = timeNs
  }

  #data(changed: ChangedInode, record: LogRecord): void {
    const start = bytesOf(record)
    const { extents } = changed
    switch (record.type) {
      case recordType.write: {
        const length = record.payloadBytes
        extents.write(record.chunk, record.within, length, record.segment, record.position)
        if (start + BigInt(length) > changed.record.size) changed.record.size = start + BigInt(length)
        this.#writtenBytes += length
        return
      }
      case recordType.zero: {
        if (record.payload.length !== 8) throw new HoldfastError('DAMAGED', 'the log zeroes a range without a length')
        const end = offsetOf(start + record.payload.readBigUInt64LE(0))
        extents.zero(record.chunk, record.within, end.chunk, end.within, record.segment)
        return
      }
      case recordType.truncate:
        if (start < changed.record.size) extents.cut(record.chunk, record.within, record.segment)
        changed.record.size = start
    }
  }

  #effect(effect: Effect): void {
    switch (effect.kind) {
      case 'inode': {
        const record = decodeInode(effect.record)
        const known = this.#inode(effect.inode)
        if (known === null) this.#add(effect.inode, record)
        else known.record = { ...record, dataRoot: known.record.dataRoot, attributesRoot: known.record.attributesRoot }
        return
      }
      case 'inodeRemoved': {
        const known = this.#inode(effect.inode)
        if (known !== null) known.removed = true
        return
      }
      case 'attributes':
        this.#required(effect.inode).attributes = Buffer.from(effect.block)
        return
      case 'name':
        this.#name(effect.parent, effect.name, { inode: effect.inode, type: effect.type })
        return
      case 'nameRemoved':
        this.#name(effect.parent, effect.name, null)
    }
  }

  #name(parent: number, name: Buffer, entry: NamedInode | null): void {
    const own = Buffer.from(name)
    this.#required(parent).names.set(own.toString('latin1'), { name: own, entry })
  }

  #required(number: number): ChangedInode {
    const changed = this.#inode(number)
    if (changed === null) throw new HoldfastError('DAMAGED', `the log changes inode ${number}, which does not exist`)
    return changed
  }

  #inode(number: number): ChangedInode | null {
    const known = this.#inodes.get(number)
    if (known !== undefined) return known
    if (number >= this.#manifest.nextInode) return null
    const bytes = get(this.#nodes, this.#manifest.inodes, number)
    return bytes === null ? null : this.#add(number, decodeInode(bytes))
  }

  #add(number: number, record: InodeRecord): ChangedInode {
    const changed: ChangedInode = { number, record, removed: false, extents: new ExtentMap(), names: new Map() }
    this.#inodes.set(number, changed)
    this.#nextInode = Math.max(this.#nextInode, number + 1)
    return changed
  }
}
