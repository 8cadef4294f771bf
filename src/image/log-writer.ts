/**
 * The writing end of an image's log, owned by the thread that serves the mount. Records go to the file at
 * once (no buffer of ours), so that whoever syncs the file, in any thread, covers all records so far.
 *
 * Files are made at their first record, so a lane that had nothing written costs nothing. A write that
 * failed leaves nothing behind: the next record goes to the same position.
 */
import { Buffer } from 'node:buffer'
import { tagBytes } from '../crypto/aead.ts'
import type { DomainKeys } from '../crypto/domain-keys.ts'
import { SegmentSeal } from '../crypto/segment-seal.ts'
import type { Env } from '../env/env.ts'
import { openStored } from '../env/stored.ts'
import { assert, HoldfastError } from '../errors.ts'
import {
  boundHeaderOf, encodeSegmentHeader, logCounterMax, logRecordHeaderBytes, recordType, segmentHeaderBytes,
  segmentSaltBytes, writeRecordChecksum, writeRecordFields, writeRecordHeader,
} from '../format/log.ts'
import type { Lane, RecordType } from '../format/log.ts'
import type { ImageLayout } from './layout.ts'
import { SegmentBytes } from './segment-bytes.ts'
import type { SyncMark } from './sync-mark.ts'

export interface LogIdentity {
  domainId: Buffer
  imageId: Buffer
  /** Seals the payloads; null where nothing is encrypted. */
  keys?: DomainKeys | null
}

export interface AppendRequest {
  type: RecordType
  unique: bigint
  inode: number
  chunk: number
  within: number
  timeNs: bigint
}

/** A lane's file of a segment, and what is known of its records. */
export interface WrittenFile {
  readonly lane: Lane
  readonly segment: number
  /** The taker closes it. */
  readonly content: SegmentBytes
  /** Up to the end of its last record. */
  readonly bytes: number
  readonly records: number
  /** Of that record. */
  readonly lastSequence: number
}

interface SegmentFile {
  content: SegmentBytes
  bytes: number
  records: number
  nonce: number
  /** Of all that was sealed in it, also for writes that failed. */
  counter: number
}

export class LogWriter {
  readonly #env: Env
  readonly #layout: ImageLayout
  readonly #identity: LogIdentity
  readonly #connection: number
  readonly #syncMark: SyncMark | undefined
  /** By `lane/segment`, until retired: what was written is read back through them. */
  readonly #files = new Map<string, SegmentFile>()
  /** Those of the current segment. */
  #current: Record<Lane, SegmentFile | null> = { disk: null, memory: null }
  #segment: number
  #sequence: number
  #lastUnique = 0n
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
    start: { segment: number; sequence: number; connection: number; syncMark?: SyncMark },
  ) {
    this.#env = env
    this.#layout = layout
    this.#identity = identity
    this.#segment = start.segment
    this.#sequence = start.sequence
    this.#firstSequence = start.sequence
    this.#connection = start.connection
    this.#syncMark = start.syncMark
  }

  /** Null where nothing is encrypted. */
  get keys(): DomainKeys | null {
    return this.#identity.keys ?? null
  }

  /** Number of the segment that the next record goes to. */
  get segment(): number {
    return this.#segment
  }

  /** The sequence that the next record gets. */
  get sequence(): number {
    return this.#sequence
  }

  /** Number of the request that the newest record of ours is the last one of; 0 where more of it follow. */
  get lastUnique(): bigint {
    return this.#lastUnique
  }

  /** The sequence of a lane's last record; 0: none yet. */
  lastSequence(lane: Lane): number {
    return this.#lastSequence[lane]
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
    const lengthBytes = this.#write(segment, request, message, at, payloadBytes)
    const position = segment.bytes + logRecordHeaderBytes
    segment.bytes += lengthBytes
    this.#lastSequence[lane] = this.#sequence
    this.#lastUnique = request.unique
    this.#sequence += 1
    segment.records += 1
    this.#unretiredRecords += 1
    this.#unretiredBytes += lengthBytes
    if (request.type === recordType.write) segment.content.note(position, segment.counter)
    return position
  }

  /**
   * Takes over a file that another writer of the same log made: it is read back like our own, and what we append comes
   * behind it. Segments come in their order, before the first record of ours.
   */
  adopt({ lane, segment, content, bytes, records, lastSequence }: WrittenFile): void {
    this.#files.set(key(lane, segment), { content, bytes, records, nonce: 0, counter: 0 })
    this.#lastSequence[lane] = lastSequence
    this.#sequence = Math.max(this.#sequence, lastSequence + 1)
    this.#firstSequence = this.#sequence
    this.#unretiredRecords += records
    this.#unretiredBytes += bytes - segmentHeaderBytes
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
    const content = this.#files.get(key(lane, segment))?.content
    if (content === undefined || content.read(target, position) !== target.length) {
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
      entry.content.close()
      this.#files.delete(name)
    }
  }

  close(): void {
    for (const entry of this.#files.values()) entry.content.close()
    this.#files.clear()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  /** Returns the record's length in the file. */
  #write(segment: SegmentFile, request: AppendRequest, message: Buffer, at: number, payloadBytes: number): number {
    const { file, seal } = segment.content
    const payloadAt = at + logRecordHeaderBytes
    const header = {
      ...request, counter: 0, lengthBytes: logRecordHeaderBytes + payloadBytes, nonce: segment.nonce,
      connection: this.#connection, sequence: this.#sequence,
      syncedSequence: this.#syncMark?.sequence,
    }
    if (seal === null) {
      writeRecordHeader(message, at, header)
      file.write(message.subarray(at, payloadAt + payloadBytes), segment.bytes)
      return header.lengthBytes
    }
    segment.counter += 1
    assert(segment.counter <= logCounterMax, 'a segment is rotated before its counter ends')
    const lengthBytes = header.lengthBytes + tagBytes
    writeRecordFields(message, at, { ...header, counter: segment.counter, lengthBytes })
    const payload = message.subarray(payloadAt, payloadAt + payloadBytes)
    const { body, tag } = seal.seal(boundHeaderOf(message, at), payload, segment.counter)
    writeRecordChecksum(message, at, [body, tag])
    file.writev([message.subarray(at, payloadAt), body, tag], segment.bytes)
    return lengthBytes
  }

  #open(lane: Lane): SegmentFile {
    const nonce = this.#env.randomBytes(4).readUInt32LE(0)
    const file = openStored(this.#env, this.#layout.segment(this.#segment, lane), 'create')
    const { keys = null, ...identity } = this.#identity
    const keyId = keys?.keyId ?? 0
    const salt = keys === null ? Buffer.alloc(segmentSaltBytes) : this.#env.randomBytes(segmentSaltBytes)
    const header = encodeSegmentHeader({
      ...identity, keyId, lane, nonce, segment: this.#segment, firstSequence: this.#firstSequence,
      previousSequence: this.#lastSequence[lane], salt,
    })
    try {
      file.truncate(0)
      file.write(header, 0)
    } catch (error) {
      file.close()
      throw error
    }
    const seal = keys === null ? null : new SegmentSeal(keys, keyId, salt, header)
    const entry = { content: new SegmentBytes(file, seal), bytes: segmentHeaderBytes, records: 0, nonce, counter: 0 }
    this.#files.set(key(lane, this.#segment), entry)
    this.#current[lane] = entry
    return entry
  }
}

function key(lane: Lane, segment: number): string {
  return `${lane}/${segment}`
}
