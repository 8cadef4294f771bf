/**
 * Reads a pack from its records alone, in order, through a window. What is no record is a gap: a scan looks
 * for the next record behind it and goes on, so that one bad byte costs one record.
 */
import { Buffer } from 'node:buffer'
import type { EnvFile } from '../env/env.ts'
import { isCode } from '../errors.ts'
import { type PackFooter, decodeFooter, footerBytesFrom, footerTrailerBytes } from '../format/pack-footer.ts'
import {
  type RecordHeader, kindVoid, readRecordHeader, recordBytesMax, recordBytesOf, recordChecksumHolds, recordMagic,
} from '../format/pack-record.ts'
import { scanWindowBytes } from '../limits.ts'
import { ReusedBuffer } from './reused-buffer.ts'

export interface ScannedRecord {
  readonly type: 'record'
  readonly offset: number
  readonly recordBytes: number
  /** Views that are valid until the next step. */
  readonly header: RecordHeader
  /** The record as a whole. */
  readonly bytes: Buffer
}

export interface ScannedGap {
  readonly type: 'gap'
  readonly offset: number
  readonly gapBytes: number
}

/** Records (not voids) and gaps of the bytes from `start` to `end`. */
export function* scanRecords(file: EnvFile, start: number, end: number): Generator<ScannedRecord | ScannedGap> {
  const window = new ScanWindow(file, end)
  let gapAt = -1
  for (let offset = start; offset < end; ) {
    const found = window.recordAt(offset)
    if (found === undefined) {
      if (gapAt < 0) gapAt = offset
      offset = window.nextMagic(offset + 1)
      continue
    }
    if (gapAt >= 0) yield { type: 'gap', offset: gapAt, gapBytes: offset - gapAt }
    gapAt = -1
    if (found.header.kind !== kindVoid) yield found
    offset += found.recordBytes
  }
  if (gapAt >= 0) yield { type: 'gap', offset: gapAt, gapBytes: end - gapAt }
}

/**
 * The footer of a closed pack; undefined where there is none or it is damaged. It lies in `room`, until something else
 * takes that.
 */
export function readFooter(file: EnvFile, room = new ReusedBuffer()): PackFooter | undefined {
  const fileBytes = file.size()
  const trailer = Buffer.alloc(footerTrailerBytes)
  if (fileBytes < trailer.length || file.read(trailer, fileBytes - trailer.length) < trailer.length) return undefined
  const footerBytes = footerBytesFrom(trailer, fileBytes)
  if (footerBytes === undefined) return undefined
  const bytes = room.take(footerBytes)
  if (file.read(bytes, fileBytes - footerBytes) < footerBytes) return undefined
  try {
    return decodeFooter(bytes, fileBytes)
  } catch (error) {
    if (isCode(error, 'DAMAGED')) return undefined
    throw error
  }
}

class ScanWindow {
  readonly #file: EnvFile
  readonly #end: number
  readonly #buffer: Buffer
  #start = 0
  #length = 0

  constructor(file: EnvFile, end: number) {
    this.#file = file
    this.#end = end
    this.#buffer = Buffer.allocUnsafeSlow(Math.min(scanWindowBytes, end))
  }

  recordAt(offset: number): ScannedRecord | undefined {
    const bytes = this.#at(offset, recordBytesMax)
    const header = readRecordHeader(bytes, 0)
    if (header === undefined || !recordChecksumHolds(bytes, 0, header)) return undefined
    const recordBytes = recordBytesOf(header)
    if (offset + recordBytes > this.#end) return undefined
    return { type: 'record', offset, recordBytes, header, bytes: bytes.subarray(0, recordBytes) }
  }

  /** Where the next record may begin: the magic's next place, or the end. */
  nextMagic(from: number): number {
    for (let offset = from; offset < this.#end; ) {
      const bytes = this.#at(offset, recordBytesMax)
      const found = bytes.indexOf(recordMagic)
      if (found >= 0) return offset + found
      if (bytes.length < recordMagic.length || offset + bytes.length >= this.#end) break
      offset += bytes.length - recordMagic.length + 1
    }
    return this.#end
  }

  /** The bytes from `offset`: at least `bytesMin` of them unless the end comes first. */
  #at(offset: number, bytesMin: number): Buffer {
    const wanted = Math.min(bytesMin, this.#end - offset)
    if (offset < this.#start || offset + wanted > this.#start + this.#length) this.#fill(offset)
    return this.#buffer.subarray(offset - this.#start, this.#length)
  }

  #fill(offset: number): void {
    const bytes = Math.min(scanWindowBytes, this.#end - offset)
    this.#start = offset
    this.#length = this.#file.read(this.#buffer.subarray(0, bytes), offset)
  }
}
