/**
 * The writing end of an image's log, owned by the thread that serves the mount. Records go to the file at
 * once (no buffer of ours), so that whoever syncs the file, in any thread, covers all records so far.
 *
 * Files are made at their first record, so a lane that had nothing written costs nothing. A write that
 * failed leaves nothing behind: the next record goes to the same position.
 */
import { Buffer } from 'node:buffer'
import type { Env, EnvFile } from '../env/env.ts'
import { assert, HoldfastError } from '../errors.ts'
import { encodeSegmentHeader, logRecordHeaderBytes, segmentHeaderBytes, writeRecordHeader } from '../format/log.ts'
import type { Lane, RecordType } from '../format/log.ts'
import type { ImageLayout } from './layout.ts'

export interface LogIdentity {
  domainId: Buffer
  keyId: number
  imageId: Buffer
}

export interface AppendRequest {
  type: RecordType
  unique: bigint
  inode: number
  chunk: number
  within: number
  timeNs: bigint
}

interface SegmentFile {
  file: EnvFile
  bytes: number
  records: number
  nonce: number
}

export class LogWriter {
  readonly #env: Env
  readonly #layout: ImageLayout
  readonly #identity: LogIdentity
  readonly #connection: number
  /** By `lane/segment`, until retired: what was written is read back through them. */
  readonly #files = new Map<string, SegmentFile>()
  /** Those of the current segment. */
  #current: Record<Lane, SegmentFile | null> = { disk: null, memory: null }
  #segment: number
  #sequence: number
  /** The sequence when the current segment's number began. */
  #firstSequence: number
  /** The sequence of each lane's last record; 0: none yet. */
  readonly #lastSequence = { disk: 0, memory: 0 }
  #unretiredBytes = 0
  #unretiredRecords = 0

  constructor(
    env: Env,
    layout: ImageLayout,
    identity: LogIdentity,
    start: { segment: number; sequence: number; connection: number },
  ) {
    this.#env = env
    this.#layout = layout
    this.#identity = identity
    this.#segment = start.segment
    this.#sequence = start.sequence
    this.#firstSequence = start.sequence
    this.#connection = start.connection
  }

  /** Number of the segment that the next record goes to. */
  get segment(): number {
    return this.#segment
  }

  /** The sequence that the next record gets. */
  get sequence(): number {
    return this.#sequence
  }

  get unretiredBytes(): number {
    return this.#unretiredBytes
  }

  get unretiredRecords(): number {
    return this.#unretiredRecords
  }

  /** Bytes in the current segment's file of a lane. */
  laneBytes(lane: Lane): number {
    return this.#current[lane]?.bytes ?? 0
  }

  /** Records in the current segment, both lanes. */
  get segmentRecords(): number {
    return (this.#current.disk?.records ?? 0) + (this.#current.memory?.records ?? 0)
  }

  /**
   * Appends a record whose payload stands at `payloadAt` of `message`; the header is written into the bytes
   * before it. Returns the payload's position in the segment. Errors: NO_SPACE, IO.
   */
  append(lane: Lane, request: AppendRequest, message: Buffer, payloadAt: number, payloadBytes: number): number {
    assert(payloadAt >= logRecordHeaderBytes, 'a record header fits before the payload')
    const segment = this.#current[lane] ?? this.#open(lane)
    const at = payloadAt - logRecordHeaderBytes
    const lengthBytes = logRecordHeaderBytes + payloadBytes
    writeRecordHeader(message, at, {
      ...request, lengthBytes, nonce: segment.nonce, connection: this.#connection, sequence: this.#sequence,
    })
    segment.file.write(message.subarray(at, at + lengthBytes), segment.bytes)
    const position = segment.bytes + logRecordHeaderBytes
    segment.bytes += lengthBytes
    this.#lastSequence[lane] = this.#sequence
    this.#sequence += 1
    segment.records += 1
    this.#unretiredRecords += 1
    this.#unretiredBytes += lengthBytes
    return position
  }

  /**
   * Takes over a record that another writer of the same log appended: it is read back like our own, what we
   * append comes behind it. Records come in their order, before the first of ours. Errors: NOT_FOUND, IO.
   */
  adopt(record: { lane: Lane; segment: number; sequence: number; position: number; lengthBytes: number }): void {
    const { lane, segment, sequence, position, lengthBytes } = record
    const name = key(lane, segment)
    let entry = this.#files.get(name)
    if (entry === undefined) {
      entry = { file: this.#env.open(this.#layout.segment(segment, lane), 'read'), bytes: 0, records: 0, nonce: 0 }
      this.#files.set(name, entry)
    }
    entry.bytes = position + lengthBytes - logRecordHeaderBytes
    this.#lastSequence[lane] = sequence
    this.#sequence = sequence + 1
    this.#firstSequence = this.#sequence
    entry.records += 1
    this.#unretiredRecords += 1
    this.#unretiredBytes += lengthBytes
  }

  /** Ends the current segment of both lanes; returns its number. */
  rotate(): number {
    this.#segment += 1
    this.#current = { disk: null, memory: null }
    this.#firstSequence = this.#sequence
    return this.#segment - 1
  }

  /** Fills `target` with bytes that an append put at `position` of `segment`. Errors: DAMAGED, IO. */
  read(lane: Lane, segment: number, target: Uint8Array, position: number): void {
    const file = this.#files.get(key(lane, segment))?.file
    if (file === undefined || file.read(target, position) !== target.length) {
      throw new HoldfastError('DAMAGED', `segment ${segment} of the log is shorter than what was written to it: ` +
        'unmount and mount again to recover what was synced')
    }
  }

  /** Forgets the files of segments up to `segment`; the committer removes them from the disk. */
  retire(segment: number): void {
    for (const [name, entry] of this.#files) {
      if (Number(name.slice(name.indexOf('/') + 1)) > segment) continue
      this.#unretiredBytes -= entry.bytes - segmentHeaderBytes
      this.#unretiredRecords -= entry.records
      entry.file.close()
      this.#files.delete(name)
    }
  }

  close(): void {
    for (const entry of this.#files.values()) entry.file.close()
    this.#files.clear()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #open(lane: Lane): SegmentFile {
    const nonce = this.#env.randomBytes(4).readUInt32LE(0)
    const file = this.#env.open(this.#layout.segment(this.#segment, lane), 'create')
    try {
      file.truncate(0)
      file.write(encodeSegmentHeader({
        ...this.#identity, lane, nonce, segment: this.#segment, firstSequence: this.#firstSequence,
        previousSequence: this.#lastSequence[lane],
      }), 0)
    } catch (error) {
      file.close()
      throw error
    }
    const entry = { file, bytes: segmentHeaderBytes, records: 0, nonce }
    this.#files.set(key(lane, this.#segment), entry)
    this.#current[lane] = entry
    return entry
  }
}

function key(lane: Lane, segment: number): string {
  return `${lane}/${segment}`
}
