/**
 * Reads the log of an image while another process serves it and writes it, or after that was killed, so that who
 * takes over has little left to read. Nothing is waited for and nothing locked; what makes it right:
 *
 * - Sequences have no gaps over both lanes, so one record comes next, and nothing is taken out of turn.
 * - A record counts when the file has grown over all of it, and a write makes it grow after its bytes are there.
 * - A segment is over when a later one begins with the sequence that is expected, and that one was there before the
 *   earlier one was found to have nothing more.
 * - Segments whose files are gone were committed, so what they did is dropped.
 * - A number of a connection that changes is another mount, which may have gone back behind what was read here: all
 *   before it is dropped.
 *
 * Whether all of that led to what is to be taken over is looked at in the end (`finish`), against the segments that no
 * record covers; where it did not, the log is read anew. Payloads of writes are not read, nor their checksums compared:
 * a process that dies leaves every byte that it wrote in the kernel's memory.
 */
import { Buffer } from 'node:buffer'
import type { DomainKeys } from '../crypto/domain-keys.ts'
import type { Env } from '../env/env.ts'
import type { Lane } from '../format/log.ts'
import { logRecordBytesMax } from '../limits.ts'
import { FollowedFile } from './followed-file.ts'
import type { ImageLayout } from './layout.ts'
import { listSegments } from './log-reader.ts'
import type { LogRecord } from './log-window.ts'
import { LoggedChanges } from './logged-changes.ts'

const lanes = ['disk', 'memory'] as const

export class LogFollower implements Disposable {
  readonly #env: Env
  readonly #layout: ImageLayout
  readonly #keys: DomainKeys | null
  readonly #rooms = { disk: Buffer.alloc(0), memory: Buffer.alloc(0) }
  #connection: number | null
  /** The log is read ahead: another mount may follow. */
  readonly #isAhead: boolean
  #changes: LoggedChanges
  /** Of segments that are not known to be committed, in order. */
  #files: FollowedFile[] = []
  /** The segment that is read; 0 before the first. */
  #segment = 0
  #current: Record<Lane, FollowedFile | null> = { disk: null, memory: null }
  /** From here on everything was read. */
  #firstSegment = 0
  #expected = 0
  /** Files of segments below are left over: a record covers them. */
  #leastSegment = 0
  #imageId: Buffer | null = null

  /** `connection`: whose requests are to be known; null: of whoever writes the log. */
  constructor(env: Env, layout: ImageLayout, keys: DomainKeys | null, connection: number | null = null) {
    this.#env = env
    this.#layout = layout
    this.#keys = keys
    this.#connection = connection
    this.#isAhead = connection === null
    this.#changes = new LoggedChanges(connection)
  }

  /** What was read since `#firstSegment`. */
  get changes(): LoggedChanges {
    return this.#changes
  }

  /** The one that comes next. */
  get sequence(): number {
    return this.#expected
  }

  /** Not closed by `close` once they were adopted. */
  takeFiles(): readonly FollowedFile[] {
    const files = this.#files
    this.#files = []
    this.#current = { disk: null, memory: null }
    return files
  }

  /** Reads what there is, up to so many records; true: there may be more. Errors: DAMAGED, NEWER_VERSION, IO. */
  catchUp(recordsMax = Infinity): boolean {
    for (let left = recordsMax; left > 0; ) {
      const listed = listSegments(this.#env, this.#layout).filter((segment) => segment >= this.#leastSegment)
      if (this.#segment !== 0 && listed.length > 0) this.#forgetBelow(listed[0])
      const count = this.#readOn(left)
      left -= count
      if (count === 0 && !this.#turn(listed)) return false
    }
    return true
  }

  /**
   * The writer is gone: reads to the end. False where what was read is not all that these segments hold, of which the
   * first record must have that number. Errors: as catchUp.
   */
  finish(imageId: Buffer, segments: readonly number[], sequence: number, connection: number): boolean {
    this.#leastSegment = segments[0] ?? Infinity
    this.catchUp()
    const first = this.#firstBegun(segments)
    this.#leaveBelow(first?.segment ?? Infinity)
    if (first === null) {
      this.#changes = new LoggedChanges(null)
      return true
    }
    this.#changes.retire(first.segment - 1)
    const isOurs = this.#imageId?.equals(imageId) === true && [null, connection].includes(this.#connection)
    const isWhole = this.#firstSegment <= first.segment && first.firstSequence === sequence
    return isOurs && isWhole && this.#firstBegun(segments.filter((segment) => segment > this.#segment)) === null
  }

  /** Idempotent. */
  close(): void {
    for (const file of this.#files) file.close()
    this.#files = []
  }

  [Symbol.dispose](): void {
    this.close()
  }

  /** Records of the current segment; how many there were. */
  #readOn(recordsMax: number): number {
    if (this.#segment === 0) return 0
    for (const lane of lanes) this.#current[lane]?.refresh()
    for (const lane of lanes) this.#current[lane] ??= this.#open(this.#segment, lane)
    const { disk, memory } = this.#current
    for (let count = 0; ; count += 1) {
      if (count === recordsMax) return count
      const record = disk?.record(this.#expected) ?? memory?.record(this.#expected) ?? null
      if (record === null) return count
      this.#take(record)
    }
  }

  #take(record: LogRecord): void {
    if (this.#isAhead && record.connection !== this.#connection) {
      if (this.#connection !== null) this.#dropBelow(this.#segment)
      this.#connection = record.connection
    }
    this.#changes.add(record)
    this.#expected += 1
  }

  /** Goes on to the next segment that has begun. False where there is none. */
  #turn(listed: readonly number[]): boolean {
    const next = this.#firstBegun(listed.filter((segment) => segment > this.#segment))
    if (next === null) return false
    const isNext = this.#segment !== 0 && next.firstSequence === this.#expected
    // What is missing was committed; else it is missing for good, or not there yet.
    if (!isNext && this.#segment !== 0 && listed[0] <= this.#segment) return false
    this.#segment = next.segment
    this.#current = { disk: null, memory: null }
    if (isNext) this.#leaveBelow(this.#firstSegment)
    else this.#dropBelow(next.segment)
    this.#expected = next.firstSequence
    return true
  }

  #firstBegun(segments: readonly number[]): { segment: number; firstSequence: number } | null {
    for (const segment of segments) {
      const begun = this.#begun(segment)
      if (begun !== null) return begun
    }
    return null
  }

  /** Null where neither of its files has a whole header. */
  #begun(segment: number): { segment: number; firstSequence: number } | null {
    for (const lane of lanes) {
      const file = FollowedFile.open(this.#env, this.#layout, segment, lane, this.#keys, this.#rooms[lane])
      file?.close()
      if (file !== null) return { segment, firstSequence: file.header.firstSequence }
    }
    return null
  }

  #open(segment: number, lane: Lane): FollowedFile | null {
    if (this.#rooms[lane].length === 0) this.#rooms[lane] = Buffer.allocUnsafeSlow(logRecordBytesMax)
    const file = FollowedFile.open(this.#env, this.#layout, segment, lane, this.#keys, this.#rooms[lane])
    if (file === null) return null
    const imageId = Buffer.from(file.header.imageId)
    // Another image of that name: nothing before it counts.
    if (this.#imageId?.equals(imageId) === false) this.#dropBelow(segment)
    this.#imageId = imageId
    this.#files.push(file)
    return file
  }

  /** What lies below was committed; the current segment is read to its end all the same. */
  #forgetBelow(segment: number): void {
    if (segment <= this.#firstSegment) return
    this.#firstSegment = segment
    this.#changes.retire(segment - 1)
    this.#leaveBelow(Math.min(segment, this.#segment))
  }

  /** As if the log began with this segment. */
  #dropBelow(segment: number): void {
    this.#firstSegment = segment
    this.#changes = new LoggedChanges(this.#isAhead ? null : this.#connection)
    this.#leaveBelow(segment)
  }

  #leaveBelow(segment: number): void {
    for (const file of this.#files) if (file.segment < segment) file.close()
    this.#files = this.#files.filter((file) => file.segment >= segment)
  }
}
