/**
 * Syncs of an image's disk lane, asked for by the serving worker and done in the thread that owns the mount:
 * an fsync must not hold up other requests. A sync covers all segments that are not retired yet; those that
 * are were made durable by their commit. Askers that come while one sync runs share the next.
 *
 * A failed sync is never tried again (it could falsely succeed): the asker gets EIO and the image fails.
 */
import { ERRNO } from '../../fuse/index.ts'
import type { LateReplies, Ticket } from '../../fuse/index.ts'
import { AsyncFile } from '../env/async-file.ts'
import type { ImageLayout } from '../image/layout.ts'
import type { SyncMark } from '../image/sync-mark.ts'
import type { Lane } from '../format/log.ts'

/** A segment's file, or the directory of them, as this needs it. */
export type Syncable = Pick<AsyncFile, 'sync' | 'close'>

export interface LaneSyncOptions {
  layout: ImageLayout
  replies: Pick<LateReplies, 'done' | 'failed'>
  /** The first one that is not committed. */
  firstSegment: number
  onFailure: (error: unknown) => void
  /** Learns how far the lane is durable. */
  syncMark: SyncMark
  /** Null where there is nothing. */
  open?: (path: string) => Promise<Syncable | null>
}

export class LaneSync {
  readonly #options: Required<LaneSyncOptions>
  readonly #files = new Map<string, Promise<Syncable | null>>()
  #waiting: Ticket[] = []
  #segment: number
  /** Of the last record that is asked for. */
  #sequence = 0
  /** Segments below are whole and synced. */
  #syncedBelow: number
  #isDirectorySynced = false
  #running: Promise<void> | null = null
  #failed = false

  constructor(options: LaneSyncOptions) {
    this.#options = { open: AsyncFile.open, ...options }
    this.#segment = options.firstSegment
    this.#syncedBelow = options.firstSegment
  }

  /** Answers the ticket when everything up to the present end of `segment`, the record `sequence`, is durable. */
  request(ticket: Ticket, segment: number, sequence: number): void {
    this.#segment = Math.max(this.#segment, segment)
    this.#sequence = Math.max(this.#sequence, sequence)
    this.#waiting.push(ticket)
    this.#running ??= this.#run()
  }

  /** Starts writing a lane back, so that its dirty pages do not pile up; nobody waits for it. */
  async writeBehind(segment: number): Promise<void> {
    for (const lane of ['disk', 'memory'] as const) await this.#syncFile(segment, lane).catch(this.#fail)
  }

  async retire(segment: number): Promise<void> {
    this.#syncedBelow = Math.max(this.#syncedBelow, segment + 1)
    for (const [path, file] of this.#files) {
      if (Number(/(\d+)\.\w+$/.exec(path)?.[1]) > segment) continue
      this.#files.delete(path)
      await (await file)?.close()
    }
  }

  async close(): Promise<void> {
    await this.#running
    for (const file of this.#files.values()) await (await file)?.close()
    this.#files.clear()
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      const tickets = this.#waiting
      this.#waiting = []
      const sequence = this.#sequence
      const errno = await this.#syncAll(this.#segment)
      if (errno === 0) this.#options.syncMark.raise(sequence)
      for (const ticket of tickets) this.#reply(ticket, errno)
    }
    this.#running = null
  }

  async #syncAll(segment: number): Promise<number> {
    if (this.#failed) return -ERRNO.EIO
    try {
      for (let each = this.#syncedBelow; each <= segment; each += 1) await this.#syncFile(each, 'disk')
      if (!this.#isDirectorySynced) await this.#syncDirectory()
      this.#syncedBelow = Math.max(this.#syncedBelow, segment)
      return 0
    } catch (error) {
      this.#fail(error)
      return -ERRNO.EIO
    }
  }

  async #syncFile(segment: number, lane: Lane): Promise<void> {
    const path = this.#options.layout.segment(segment, lane)
    let file = this.#files.get(path)
    if (file === undefined) {
      file = this.#options.open(path)
      this.#files.set(path, file)
      this.#isDirectorySynced = false
    }
    const opened = await file
    // Nothing was written to this lane yet, or the segment was retired meanwhile: both need no sync.
    if (opened === null) this.#files.delete(path)
    else await opened.sync()
  }

  async #syncDirectory(): Promise<void> {
    const directory = await this.#options.open(this.#options.layout.log)
    this.#isDirectorySynced = true
    await directory?.sync()
    await directory?.close()
  }

  #fail = (error: unknown): void => {
    this.#failed = true
    this.#options.onFailure(error)
  }

  #reply(ticket: Ticket, errno: number): void {
    if (errno === 0) this.#options.replies.done(ticket)
    else this.#options.replies.failed(ticket, errno)
  }
}
