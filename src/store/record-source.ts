/**
 * Where records may be had that are not here. This room knows no replicas: whoever opens a store binds one.
 *
 * A record comes as its bytes in a pack, header and payload, without the seal that bound it to its place there
 * (`unsealedRecord` in crypto/pack-seal.ts). What comes for a chunk is one record of it and all
 * records that this one builds on, bases first.
 */
import { Buffer } from 'node:buffer'
import { HoldfastError } from '../errors.ts'
import {
  type RecordContent, type RecordHeader, readRecordHeader, recordBytesOf, recordChecksumHolds,
} from '../format/pack-record.ts'
import { fetchedAtOnceMax } from '../limits.ts'
import type { ChunkId } from './chunks.ts'
import type { RecordReader } from './record-reader.ts'

export interface RecordSource {
  /**
   * Blocks the thread. Errors: NOT_FOUND (every replica answered, and none has it), REPLICA_UNREACHABLE (one that
   * may have it does not answer: try again), DAMAGED (all copies are).
   */
  fetch(ids: readonly ChunkId[]): Buffer[]
}

/** Thrown by readers that may not wait: the chunk is not here, or not sound, and has to be asked for. */
export class AbsentChunk extends HoldfastError {
  readonly id: ChunkId

  constructor(id: ChunkId, cause: unknown) {
    super('ABSENT', `chunk ${id.toString('hex')} is not here yet`, { cause })
    this.id = id
  }
}

/** Fetches many, so many at once. Errors: as `RecordSource.fetch`. */
export function fetchEach(source: RecordSource, ids: readonly ChunkId[], take: (records: Buffer[]) => void): void {
  for (let at = 0; at < ids.length; at += fetchedAtOnceMax) take(source.fetch(ids.slice(at, at + fetchedAtOnceMax)))
}

/** The header of a record that lies in `bytes` whole, alone and undamaged, else undefined. */
export function soundHeader(bytes: Buffer): RecordHeader | undefined {
  const header = readRecordHeader(bytes, 0)
  if (header === undefined || header.isSealed || header.id.length === 0) return undefined
  if (recordBytesOf(header) !== bytes.length) return undefined
  return recordChecksumHolds(bytes, 0, header) ? header : undefined
}

/** Errors: DAMAGED. */
export function partsOf(record: Buffer): { content: RecordContent; payload: Buffer } {
  const header = soundHeader(record)
  if (header === undefined) throw new HoldfastError('DAMAGED', 'a replica gave a record that is not sound')
  const content = { ...header, id: Buffer.from(header.id), baseId: header.baseId && Buffer.from(header.baseId) }
  return { content, payload: record.subarray(header.headerBytes) }
}

/** Has a record added that is decoded and found right, unless its chunk is here already. Returns the bytes added. */
export function adoptRecord(
  reader: RecordReader, record: Buffer, isHit: (id: ChunkId) => boolean,
  add: (content: RecordContent, payload: Buffer) => number,
): number {
  const { content, payload } = partsOf(record)
  if (isHit(content.id)) return 0
  reader.forget(content.id)
  if (reader.admit(content, payload)) return add(content, payload)
  throw new HoldfastError('DAMAGED', `what a replica has for chunk ${content.id.toString('hex')} is something else`)
}
