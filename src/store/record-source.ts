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
import type { ChunkId } from './chunks.ts'

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
