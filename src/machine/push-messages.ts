/** What is asked of the pushing thread, and its answer. */
import type { FileChunks } from '../image/machine-state.ts'

export interface PushStart {
  /** The store's. */
  directory: string
}

export interface PushRequest {
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

export type PushAnswer = { id: number; pushedBytes: number } | { id: number; error: string } | { id: 0 }
