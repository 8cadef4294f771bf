/**
 * Reads an image's log back: the records of both lanes of each segment, in the order of their sequence
 * numbers. Used to commit segments and, the same code, to recover after a crash.
 *
 * A lane ends at the first bytes that are not a whole record of it: what a power loss left there was never
 * acknowledged by a sync, or it would be whole, unless later records say that it was (log-witness.ts). The lanes are
 * torn independently. Later segments of a lane that lost a record are not read, as their records build on it; the log
 * of a mounted image may lose nothing. Of a file without a header that can be read nothing is taken.
 */
import { Buffer } from 'node:buffer'
import type { DomainKeys } from '../crypto/domain-keys.ts'
import type { Env, EnvFile } from '../env/env.ts'
import { HoldfastError } from '../errors.ts'
import { segmentHeaderBytes } from '../format/log.ts'
import type { Lane, SegmentHeader } from '../format/log.ts'
import { parseSegmentName } from './layout.ts'
import type { ImageLayout } from './layout.ts'
import { LogWindow, windowBytes } from './log-window.ts'
import type { LogRecord } from './log-window.ts'
import { LogWitness } from './log-witness.ts'
import { isWithoutRecords, nonceOfRecords } from './ruined-segment.ts'
import type { SegmentBytes } from './segment-bytes.ts'
import { openSegment, readSegmentHeader, segmentContent, strangeSegment } from './segment-file.ts'

/** Where the reading begins, and what is known of the log. */
export interface LogStart {
  /** The first sequence that no record covers yet. */
  sequence: number
  /** The writer still runs, so every record is there. Else a crash may have torn the lanes. */
  isWhole: boolean
}

/** How far a lane was read. */
interface LaneProgress {
  readonly lane: Lane
  lastSequence: number
  isTorn: boolean
  /** Null where nothing may be missing. */
  readonly witness: LogWitness | null
  /** Room for a part of a file, used again for the next. */
  room: Buffer
}

/** Numbers of the segments that have a file, in order. */
export function listSegments(env: Env, layout: ImageLayout): number[] {
  const numbers = new Set<number>()
  for (const name of env.readdir(layout.log)) {
    const parsed = parseSegmentName(name)
    if (parsed !== null) numbers.add(parsed.segment)
  }
  return [...numbers].sort((a, b) => a - b)
}

/** Open files of the segments in a range, and their records in order. */
export class LogReader {
  readonly #env: Env
  readonly #layout: ImageLayout
  readonly #imageId: Buffer
  readonly #keys: DomainKeys | null
  readonly #files = { disk: new Map<number, EnvFile | null>(), memory: new Map<number, EnvFile | null>() }
  /** Of the files whose records were asked for. */
  readonly #contents = { disk: new Map<number, SegmentBytes>(), memory: new Map<number, SegmentBytes>() }
  readonly #ruined: string[] = []

  /** `keys` are null where nothing is encrypted. */
  constructor(env: Env, layout: ImageLayout, imageId: Buffer, keys: DomainKeys | null) {
    this.#keys = keys
    this.#env = env
    this.#layout = layout
    this.#imageId = imageId
  }

  /** Paths of files that were not read, as they have no header, and that are not empty. */
  get ruined(): readonly string[] {
    return this.#ruined
  }

  /** Errors: DAMAGED (records are missing that no crash can have torn off), NEWER_VERSION, IO. */
  *records(segments: readonly number[], start: LogStart): Generator<LogRecord> {
    const witness = start.isWhole ? null : new LogWitness()
    const [disk, memory] = (['disk', 'memory'] as const).map((lane): LaneProgress => ({
      lane, lastSequence: start.sequence - 1, isTorn: false, witness, room: Buffer.alloc(0),
    }))
    let expected = start.sequence
    for (const segment of segments) {
      const lanes = [this.#laneRecords(segment, disk), this.#laneRecords(segment, memory)] as const
      for (let lane = earlier(...lanes); lane.record !== null; lane = earlier(...lanes)) {
        const { sequence } = lane.record
        if (start.isWhole && sequence !== expected) throw damaged(segment)
        expected = sequence + 1
        witness?.note(lane.record)
        yield lane.record
        lane.advance()
      }
    }
    if (witness !== null && witness.syncedSequence > disk.lastSequence) throw damaged(segments.at(-1)!, this.#ruined)
  }

  /** First sequence that a segment may hold, as either of its files says; null without a readable file. */
  firstSequence(segment: number): number | null {
    for (const lane of ['disk', 'memory'] as const) {
      const file = this.#open(segment, lane)
      const header = file === null ? null : readSegmentHeader(file)
      if (header !== null) return header.firstSequence
    }
    return null
  }

  /** Fills `target` from a record's payload. The range was checked when the record was read. */
  read(lane: Lane, segment: number, target: Uint8Array, position: number): void {
    this.#contents[lane].get(segment)?.read(target, position)
  }

  close(): void {
    for (const files of Object.values(this.#files)) {
      for (const file of files.values()) file?.close()
      files.clear()
    }
    for (const contents of Object.values(this.#contents)) contents.clear()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #open(segment: number, lane: Lane): EnvFile | null {
    let file = this.#files[lane].get(segment)
    if (file === undefined) {
      file = openSegment(this.#env, this.#layout.segment(segment, lane))
      this.#files[lane].set(segment, file)
    }
    return file
  }

  #laneRecords(segment: number, progress: LaneProgress): LaneRecords {
    const { lane } = progress
    const file = this.#open(segment, lane)
    const header = file === null ? null : this.#header(file, segment, progress)
    const { witness } = progress
    if (file === null || header === null) {
      if (file !== null && !isWithoutRecords(file)) this.#noteRuined(file, segment, progress)
      return new LaneRecords(null, progress, () => undefined)
    }
    const { nonce } = header
    const room = roomFor(progress, file)
    const search = (from: number): void => witness?.search(file, from, nonce, room)
    if (progress.isTorn) {
      search(segmentHeaderBytes)
      return new LaneRecords(null, progress, search)
    }
    const content = segmentContent(file, header, this.#keys)
    this.#contents[lane].set(segment, content)
    return new LaneRecords(new LogWindow({ content, lane, segment, nonce, room, isGlance: false }), progress, search)
  }

  #noteRuined(file: EnvFile, segment: number, progress: LaneProgress): void {
    this.#ruined.push(file.path)
    const { witness } = progress
    if (witness === null) throw damaged(segment, this.#ruined)
    const nonce = nonceOfRecords(file)
    if (nonce !== null) witness.search(file, segmentHeaderBytes, nonce, roomFor(progress, file))
  }

  /** Null where a crash left none. A record that is missing before this file tears the lane. */
  #header(file: EnvFile, segment: number, progress: LaneProgress): SegmentHeader | null {
    const header = readSegmentHeader(file)
    if (header === null) return null
    if (header.segment !== segment || header.lane !== progress.lane || !this.#imageId.equals(header.imageId)) {
      throw strangeSegment(file)
    }
    progress.isTorn ||= header.previousSequence > progress.lastSequence
    return header
  }
}

function damaged(segment: number, ruined: readonly string[] = []): HoldfastError {
  const why = ruined.length === 0 ? '' : ` (${ruined.join(', ')} begins with no header: check --repair may mend that)`
  return new HoldfastError('DAMAGED', `the log lacks records up to segment ${segment} that were synced${why}: roll ` +
    'back to an epoch with --discard, or restore the image from a replica')
}

function roomFor(progress: LaneProgress, file: EnvFile): Buffer {
  const bytes = Math.min(windowBytes, file.size())
  if (progress.room.length < bytes) progress.room = Buffer.allocUnsafe(bytes)
  return progress.room
}

/** A lane's records in one segment. No generator: one inside another costs as much as all the rest of a replay. */
class LaneRecords {
  /** The one that comes next; null at the end. */
  record: LogRecord | null = null
  readonly #window: LogWindow | null
  readonly #progress: LaneProgress
  readonly #onEnd: (position: number) => void

  /** `onEnd` gets the place of what is no record. */
  constructor(window: LogWindow | null, progress: LaneProgress, onEnd: (position: number) => void) {
    this.#window = window
    this.#progress = progress
    this.#onEnd = onEnd
    this.advance()
  }

  advance(): void {
    const window = this.#window
    if (window === null) return
    this.record = window.next()
    if (this.record === null) return this.#onEnd(window.position)
    const { sequence } = this.record
    if (sequence <= this.#progress.lastSequence) this.record = null
    else this.#progress.lastSequence = sequence
  }
}

/** The lane whose next record comes first. */
function earlier(first: LaneRecords, second: LaneRecords): LaneRecords {
  if (second.record === null) return first
  return first.record === null || second.record.sequence < first.record.sequence ? second : first
}
