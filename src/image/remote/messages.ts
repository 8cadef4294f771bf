/** What the fetching thread, its owner and its clients tell each other. */
import { Buffer } from 'node:buffer'
import type { MessagePort } from 'node:worker_threads'
import type { Secret } from '../../crypto/secret.ts'
import { HoldfastError } from '../../errors.ts'
import type { ErrorCode } from '../../errors.ts'
import { kindNode, readRecordHeader } from '../../format/pack-record.ts'

/** The first message to the thread. */
export interface FetcherStart {
  /** To its owner. */
  readonly port: MessagePort
  /** The store's directory. */
  readonly directory: string
  readonly urls: readonly string[]
  /** Opens an encrypted store. */
  readonly secret: Secret | undefined
}

/** One end of a connection to the fetching thread; it can be handed to another thread. */
export interface FetcherPort {
  readonly port: MessagePort
  /** One Int32, raised with each answer: a thread that runs no event loop waits for it. */
  readonly signal: SharedArrayBuffer
}

export type ToFetcher =
  /** `keeps`: what this client is given it puts into the store itself. */
  | { readonly type: 'connect'; port: MessagePort; readonly signal: SharedArrayBuffer; readonly keeps: boolean }
  /** Replicas that are read from now on; those that are open already stay so. */
  | { readonly type: 'use'; readonly urls: readonly string[] }
  | { readonly type: 'close' }

/** Records, one behind the other in one buffer of their own, which threads share: megabytes are not copied to each. */
export interface RecordParcel {
  readonly bytes: Uint8Array
  readonly lengths: readonly number[]
}

export type FromFetcher =
  | { readonly type: 'ready' }
  /** Somebody was given these, who does not keep them. */
  | { readonly type: 'gathered'; readonly parcel: RecordParcel }
  | { readonly type: 'event'; readonly message: string }

export interface FetchRequest {
  readonly id: number
  /** 32 bytes each. */
  readonly ids: Uint8Array
  /** Places that are worth trying before the index: entries as `packHints` writes them. */
  readonly hints?: Uint8Array
  /** The records at those places, unproved: whoever uses one proves it. */
  readonly isAhead?: boolean
}

export type FetchAnswer =
  | { readonly id: number; readonly parcel: RecordParcel; readonly readBytes: number }
  | { readonly id: number; readonly code: ErrorCode; readonly message: string }

export function parcelOf(records: readonly Buffer[]): RecordParcel {
  const bytes = Buffer.from(new SharedArrayBuffer(records.reduce((sum, { length }) => sum + length, 0)))
  let at = 0
  for (const record of records) at += record.copy(bytes, at)
  return { bytes, lengths: records.map(({ length }) => length) }
}

/** Those of manifest nodes: few, and wanted by all who read. */
export function nodesOf(parcel: RecordParcel): RecordParcel {
  return parcelOf(recordsOf(parcel).filter((record) => readRecordHeader(record, 0)?.kind === kindNode))
}

export function recordsOf({ bytes, lengths }: RecordParcel): Buffer[] {
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let at = 0
  return lengths.map((length) => all.subarray(at, (at += length)))
}

export function errorOf({ code, message }: { code: ErrorCode; message: string }): HoldfastError {
  return new HoldfastError(code, message)
}
