/** One lane's file of a segment that may still be growing: its records, as far as they are whole. */
import type { Buffer } from 'node:buffer'
import type { DomainKeys } from '../crypto/domain-keys.ts'
import type { Env } from '../env/env.ts'
import { segmentHeaderBytes } from '../format/log.ts'
import type { Lane, SegmentHeader } from '../format/log.ts'
import type { ImageLayout } from './layout.ts'
import { LogWindow } from './log-window.ts'
import type { LogRecord } from './log-window.ts'
import type { WrittenFile } from './log-writer.ts'
import type { SegmentBytes } from './segment-bytes.ts'
import { openSegment, readSegmentHeader, segmentContent, strangeSegment } from './segment-file.ts'

export class FollowedFile implements WrittenFile {
  readonly lane: Lane
  readonly segment: number
  readonly content: SegmentBytes
  readonly header: SegmentHeader
  bytes = segmentHeaderBytes
  records = 0
  lastSequence = 0
  readonly #window: LogWindow
  #next: LogRecord | null = null

  private constructor(content: SegmentBytes, header: SegmentHeader, room: Buffer) {
    const { lane, segment, nonce } = header
    this.lane = lane
    this.segment = segment
    this.header = header
    this.content = content
    this.#window = new LogWindow({ content, lane, segment, nonce, room, isGlance: true })
  }

  /** Null where there is none, or its header is not whole. `room`: of its lane. Errors: DAMAGED, NEWER_VERSION, IO. */
  static open(
    env: Env, layout: ImageLayout, segment: number, lane: Lane, keys: DomainKeys | null, room: Buffer,
  ): FollowedFile | null {
    const file = openSegment(env, layout.segment(segment, lane))
    if (file === null) return null
    try {
      const header = readSegmentHeader(file)
      if (header === null) return file.close(), null
      if (header.segment !== segment || header.lane !== lane) throw strangeSegment(file)
      return new FollowedFile(segmentContent(file, header, keys), header, room)
    } catch (error) {
      file.close()
      throw error
    }
  }

  /** The record with that number where it is there, and whole; else null. It stands until the next call. */
  record(sequence: number): LogRecord | null {
    this.#next ??= this.#window.next()
    if (this.#next?.sequence !== sequence) return null
    const record = this.#next
    this.#next = null
    this.bytes = this.#window.position
    this.records += 1
    this.lastSequence = sequence
    return record
  }

  /** The file may have grown. */
  refresh(): void {
    if (this.#next === null) this.#window.refresh()
  }

  /** Idempotent; for a file that nobody adopts. */
  close(): void {
    this.content.close()
  }
}
