/** What is asked of the pushing thread, and its answer. */
import type { MessagePort } from 'node:worker_threads'
import type { Secret } from '../crypto/secret.ts'
import type { FileChunks } from '../image/machine-state.ts'
import type { FetcherPort, RecordParcel } from '../image/remote/messages.ts'

/** The first message to the thread. */
export interface PushStart {
  /** To the daemon's thread. */
  port: MessagePort
  /** The store's. */
  directory: string
  /** Opens an encrypted store. */
  secret: Secret | undefined
}

/** Asks where copies of files are held, in the order of the paths. */
export interface FindRequest {
  type: 'find'
  id: number
  /** Of the epoch, hex. */
  manifest: string
  paths: string[]
  /** held: those that are there. reserved: room for the others, too. made: the others are made. */
  want: 'held' | 'reserved' | 'made'
}

export interface PushRequest {
  type: 'push'
  id: number
  /** The mount's FUSE connection. Nothing may use its files yet. */
  descriptor: number
  /** Of the epoch that the mount's head is, hex. */
  manifest: string
  /** Paths of files that are pushed from end to end, before all else. */
  whole: string[]
  /** Likeliest first. */
  files: FileChunks[]
  /** One Int32: pushing ends early once it is not 0. */
  stop: SharedArrayBuffer
}

export type ToPusher =
  | FindRequest
  | PushRequest
  /** Where records come from that the store lacks. */
  | { type: 'source'; source: FetcherPort }
  /** Records that will be wanted, and are not in the store yet. */
  | { type: 'admit'; parcel: RecordParcel }
  | 'close'

/** `held`: null for a file of which no copy is held. */
export type PushAnswer =
  | { id: number; pushedBytes: number }
  | { id: number; held: (string | null)[] }
  | { id: number; error: string }
  | { id: 0 }
