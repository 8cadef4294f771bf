/**
 * What the server of a head and the thread that owns its mount tell each other.
 *
 * On the kernel transport the server is a worker that sleeps in the kernel's queue, not in its event loop: messages
 * to it lie in a MessagePort until it is woken through that queue, messages from it are posted at once. On the native
 * transport both are in one thread, and messages are calls.
 */
import type { Negotiated, Ticket } from '../../fuse/index.ts'
import type { FetcherPort, RecordParcel } from '../image/remote/messages.ts'
import type { HeadLimits } from '../image/head-limits.ts'
import type { HeadStart } from '../image/types.ts'
import type { MessagePort } from 'node:worker_threads'

export interface WorkerStart {
  descriptor: number
  controlName: string
  head: HeadStart
  limits?: Partial<HeadLimits>
  /** Of a SyncMark: how far the owner of the mount has synced the log. */
  syncMark: SharedArrayBuffer
  /** Number of this mount, for the log's records; another than of all earlier mounts of the image. */
  connection: number
  /** What the kernel agreed on with the server before; undefined for a mount that begins. */
  negotiated?: Negotiated
  /** Why the server before accepted nothing more; null when it did. */
  failure: string | null
  /** Where records come from that the store lacks, while nobody waits for the kernel. */
  source?: FetcherPort
  port: MessagePort
}

export type ToServer =
  /** The barrier: answered with `rotated`. */
  | { type: 'rotate'; id: number }
  | { type: 'retire'; segment: number; manifest: string }
  /** A sync failed: nothing more is accepted. */
  | { type: 'fail'; reason: string }
  /** Makes the memory file of a machine in the root; answered with `made`. */
  | { type: 'makeMemory'; id: number; name: string; bytes: number }
  /** Starts (or with false ends, answered with `touched`) noting which chunks are read. */
  | { type: 'record'; id: number; on: boolean }
  | { type: 'statistics'; id: number }
  /** Records that were asked for. */
  | { type: 'arrived'; chunks: string[]; parcel: RecordParcel }
  /** These chunks cannot be had, or not within the time that a request may wait. */
  | { type: 'missing'; chunks: string[]; reason: string }
  /** Nobody needs the memory files any more: what waits for them fails. */
  | { type: 'releaseMemory' }
  /** Space may have come free: parked writes are tried again. */
  | { type: 'retry' }

export interface TouchedChunks {
  inode: number
  chunks: number[]
}

export interface ServingStatistics {
  unretiredBytes: number
  writtenBytes: number
  inodes: number
  parked: number
  /** Writes that waited or were held up since the mount is served. */
  waited: number
  /** Requests that wait for chunks. */
  postponed: number
  requests: number
  /** Requests that the kernel sent again to this server, and those of them that only had to be answered. */
  resent: number
  repeated: number
}

export type FromServer =
  | { type: 'ready' }
  | { type: 'negotiated'; negotiated: Negotiated }
  | { type: 'rotated'; id: number; segment: number }
  /** Up to the record `sequence` of the disk lane, which lies in `segment` or before. */
  | { type: 'sync'; ticket: Ticket; segment: number; sequence: number }
  | { type: 'syncDue'; segment: number }
  /** The server has let go of the files of segments up to this one. */
  | { type: 'retired'; segment: number }
  | { type: 'made'; id: number; errno: number; inode: number }
  | { type: 'touched'; id: number; touched: TouchedChunks[] }
  | { type: 'statistics'; id: number; statistics: ServingStatistics }
  | { type: 'failed'; message: string }
  | { type: 'fault'; message: string }
  /** Requests wait for these chunks, by their ids in hex: answered with `arrived` or `missing`. */
  | { type: 'wanted'; chunks: string[] }
  /** Writes wait for commits or for space. */
  | { type: 'parked'; memory: boolean }
  /** Writes wait for a 'retry' that is to come so soon. */
  | { type: 'heldUp'; ms: number }
  /** No write waits any more. */
  | { type: 'resumed' }
  /** `unmounted`, `aborted`, or, said for a thread that cannot, `crashed`. */
  | { type: 'ended'; how: string }

/** Rotations by size carry no one's id. */
export const unasked = 0
