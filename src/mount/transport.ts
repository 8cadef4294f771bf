/**
 * How the head of an image is mounted and served. The kernel transport speaks the kernel's protocol in a
 * thread of its own; the native one lets libfuse do so and serves in the main thread of the process, without
 * root. The rest of this room knows only what stands here.
 */
import type { LateReplies, TransportSupports, UnmountOptions } from '../../fuse/index.ts'
import type { HeadLimits } from '../image/head-limits.ts'
import type { FetcherPort } from '../image/remote/messages.ts'
import type { HeadStart } from '../image/types.ts'
import type { ConnectionKeeper, OrphanedMount } from './keeper.ts'
import type { FromServer, ToServer } from './messages.ts'
import type { Answer, Question } from './questions.ts'

export const transportNames = ['kernel', 'native'] as const
export type TransportName = (typeof transportNames)[number]

/** What a mount needs before there is a head to serve. */
export type MountingOptions = Pick<
  TransportOptions, 'image' | 'directory' | 'connection' | 'keeper' | 'readBytesMax' | 'grantsPrivileges'
>

export interface TransportOptions {
  image: string
  /** An empty directory. */
  directory: string
  head: HeadStart
  /** Other limits of the head than the usual ones. */
  limits?: Partial<HeadLimits>
  /** Of a SyncMark: how far the owner of the mount has synced the log. */
  syncMark: SharedArrayBuffer
  /** Number of a new mount, for the log's records; another than of all earlier mounts of the image. */
  connection: number
  /** Who keeps the kernel's connection where the transport can give it away; this process unless another is named. */
  keeper?: ConnectionKeeper
  readBytesMax?: number
  grantsPrivileges?: boolean
  /** A mount of this transport that is to be served, instead of a new one. */
  mounted?: Mounted
  /** Where the server gets records that the store lacks. */
  source?: FetcherPort
  /** Called in the owning thread, one message at a time, in the order in which they were said. */
  onMessage: (message: FromServer) => void
}

export interface Transport {
  readonly name: TransportName
  readonly supports: TransportSupports
  /**
   * Mounts what is to be served later: until then its users wait, and can be killed. Absent where that cannot be
   * done. Errors: as `open`.
   */
  mount?(options: MountingOptions): Promise<Mounted>
  /**
   * Mounts, and serves from then on. Nothing is left mounted when it fails.
   * Errors: BUSY, NOT_FOUND and USAGE for the directory, UNSUPPORTED with what is missing, IO, DAMAGED.
   */
  open(options: TransportOptions): Promise<Serving>
  /**
   * Goes on serving a mount whose server was killed and reaped; absent where that cannot be done. The head was
   * opened for a takeover. Errors: IO, DAMAGED.
   */
  takeOver?(options: TakeoverOptions, orphan: OrphanedMount): Promise<Serving>
}

export type TakeoverOptions = Pick<TransportOptions, 'head' | 'limits' | 'source' | 'syncMark' | 'onMessage'>

/** A mount that nobody serves yet. */
export interface Mounted {
  /** Absolute and without symbolic links. */
  readonly directory: string
  /** Of the connection. */
  readonly descriptor: number
  /** Takes it away; its users get errors. Not once it is served. Idempotent. */
  close(): Promise<void>
}

/** A mounted head. `unmount`, then `close`. */
export interface Serving {
  /** Absolute and without symbolic links. */
  readonly directory: string
  /** "MAJOR:MINOR". */
  readonly device: string
  /** Makes the kernel know files, by their paths in the mount. Errors: IO, UNSUPPORTED. */
  lookUpFiles(paths: readonly string[]): Promise<void>
  /** The serving thread ended by a fault. False: nobody can go on serving. */
  crashed(): boolean
  /** Of the connection, for notifications to the kernel; null where the transport keeps it to itself. */
  readonly descriptor: number | null
  /** For requests whose tickets came as messages; usable in the owning thread until `close`. */
  readonly replies: LateReplies
  /** Heeded between two requests. */
  send(message: ToServer): void
  /** Errors: FAILED_STATE when nothing is served any more. */
  ask<T extends FromServer['type']>(question: Question): Promise<Answer<T>>
  /**
   * Resolves when the last request was served, with `lazy` after the last file was closed; also when someone
   * else has unmounted it. Errors: BUSY, and then the head is served as before.
   */
  unmount(options: UnmountOptions): Promise<void>
  close(): Promise<void>
}
