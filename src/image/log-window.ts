/**
 * The records of one segment's file, through a part of it in memory that moves along. For who is in a hurry
 * only the headers of writes are looked at: their payloads stay where they are.
 */
import { Buffer } from 'node:buffer'
import { tagBytes } from '../crypto/aead.ts'
import { HoldfastError } from '../errors.ts'
import {
  announcedBytes, boundHeaderOf, isRecordWhole, logRecordHeaderBytes, LogRecordView, recordType, segmentHeaderBytes,
} from '../format/log.ts'
import type { Lane } from '../format/log.ts'
import { KIB, logRecordBytesMax } from '../limits.ts'
import type { SegmentBytes } from './segment-bytes.ts'

/** Room for the part in memory, for one window after the other. */
export const windowBytes = 4 * logRecordBytesMax

/** What is read at once by who skips payloads: small writes come with it, large ones are passed over. */
const glanceBytes = 64 * KIB

/** A record of a segment. It stands for another as soon as the next one of its lane is asked for. */
export class LogRecord extends LogRecordView {
  readonly lane: Lane
  readonly segment: number
  /** Where the payload lies in the segment's file. */
  position = 0
  /** The file that it lies in. */
  readonly content: SegmentBytes
  #opened: Buffer | null = null

  constructor(lane: Lane, segment: number, content: SegmentBytes) {
    super()
    this.lane = lane
    this.segment = segment
    this.content = content
  }

  override get payloadBytes(): number {
    return super.payloadBytes - (this.content.seal === null ? 0 : tagBytes)
  }

  /** As much of it as is there; of a sealed one that was not opened, what is stored. */
  override get payload(): Buffer {
    return this.#opened ?? super.payload
  }

  /** Errors: DAMAGED: its checksum was made to fit, as no crash does it. */
  open(bytes: Buffer, at: number): void {
    const { seal, file } = this.content
    this.#opened = null
    if (seal === null) return
    const stored = super.payload
    const opened = stored.length < tagBytes ? undefined : seal.open(boundHeaderOf(bytes, at), stored, this.counter)
    if (opened === undefined) {
      throw new HoldfastError('DAMAGED', `${file.path} holds a record that was changed since it was sealed: roll ` +
        'back to an epoch with --discard, or restore the image from a replica')
    }
    this.#opened = opened
  }

  close(): void {
    this.#opened = null
  }
}

export interface WindowOptions {
  content: SegmentBytes
  lane: Lane
  segment: number
  nonce: number
  /** `windowBytes` of them, or the whole file's; more than one record's where payloads are not read. */
  room: Buffer
  /** Only lengths are checked, and payloads of writes are not read. */
  isGlance: boolean
}

export class LogWindow {
  readonly #options: WindowOptions
  #fileBytes: number
  readonly #record: LogRecord
  #bytes: Buffer = Buffer.alloc(0)
  /** Where those bytes begin in the file. */
  #start = segmentHeaderBytes
  /** Of the next record, in those bytes or behind them. */
  #at = 0

  constructor(options: WindowOptions) {
    this.#options = options
    this.#fileBytes = options.content.file.size()
    this.#record = new LogRecord(options.lane, options.segment, options.content)
  }

  /** The next record; null where the log ends. */
  next(): LogRecord | null {
    const { nonce, isGlance, content } = this.#options
    this.#have(logRecordHeaderBytes)
    const lengthBytes = announcedBytes(this.#bytes, this.#at, nonce)
    if (lengthBytes === 0 || this.#start + this.#at + lengthBytes > this.#fileBytes) return null
    const isWrite = this.#bytes[this.#at + 4] === recordType.write
    const isPassedOver = isGlance && isWrite
    if (!isPassedOver) this.#have(lengthBytes)
    if (!isGlance && !isRecordWhole(this.#bytes, this.#at, lengthBytes)) return null
    this.#record.moveTo(this.#bytes, this.#at)
    this.#record.position = this.#start + this.#at + logRecordHeaderBytes
    if (isWrite) content.note(this.#record.position, this.#record.counter)
    if (isPassedOver) this.#record.close()
    else this.#record.open(this.#bytes, this.#at)
    this.#at += lengthBytes
    return this.#record
  }

  /** The file may have grown since: what was no whole record may be one now. Not while a record is in use. */
  refresh(): void {
    this.#fileBytes = this.#options.content.file.size()
    this.#start += this.#at
    this.#at = 0
    this.#bytes = this.#options.room.subarray(0, 0)
  }

  /** Where in the file the next record begins, or what is no record. */
  get position(): number {
    return this.#start + this.#at
  }

  #have(count: number): void {
    if (this.#at + count <= this.#bytes.length) return
    this.#start += this.#at
    this.#at = 0
    const { content: { file }, room, isGlance } = this.#options
    const bytes = isGlance ? Math.max(glanceBytes, count) : room.length
    this.#bytes = room.subarray(0, file.read(room.subarray(0, bytes), this.#start))
  }
}
