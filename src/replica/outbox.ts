/**
 * What a store has for its replicas, as the replicator sees it. The store's packs and records stay where they are:
 * nothing is copied before it is sent, so the queue of what is to be sent is what the replica lacks of this.
 *
 * Threads: an outbox is used by one thread, that of the replicator, and reads files only; `cut` asks the thread that
 * writes packs.
 */
import type { Buffer } from 'node:buffer'
import type { DomainKeys } from '../crypto/domain-keys.ts'
import type { KeysFile } from '../crypto/keys-file.ts'
import type { RunEntry } from '../format/index-run.ts'
import type { ImageOrigin } from './owner-record.ts'

export interface LocalPack {
  readonly packId: Buffer
  /** Its name in this store, rising, never used twice. */
  readonly number: number
  readonly path: string
  /** Durable ones; they end where a record ends. Of a closed pack all. */
  readonly bytes: number
  readonly isClosed: boolean
}

export interface LocalImage {
  /** Its name in the store, and the one that others are told: a fenced image may wait for its new name. */
  readonly image: string
  readonly shown: string
  readonly imageId: Buffer
  /** What it is called on a replica: see `imageKey`. */
  readonly key: string
  readonly origin: ImageOrigin
  readonly createdMs: number
  /** Of a history that was left behind: only later epochs belong to it. Else -1. */
  readonly after: number
}

export interface Outbox {
  readonly storeId: Buffer
  readonly domainId: Buffer
  readonly keyId: number
  /** Null where nothing is encrypted. */
  readonly keys: DomainKeys | null

  /** The wrapped keys as they are now; null where nothing is encrypted. Errors: DAMAGED, BAD_FORMAT, NEWER_VERSION. */
  keysFile(): KeysFile | null

  /** Whether some of what is here was read from replicas. */
  isRestored(): boolean

  /** Those that can be read. */
  images(): LocalImage[]

  /** Of sealed epochs above `after`, rising. Some may not be durable yet: a `cut` asked for afterwards sees to it. */
  epochNumbers(image: LocalImage, after: number): number[]

  /** The first part of a record; null when it was removed, or is damaged. */
  record(image: LocalImage, number: number): Buffer | null

  /**
   * The packs numbered from `from` whose records were put here, rising. Their bytes hold the closure of every record
   * that was listed before the call, as far as the store does not have it from a replica; and those are durable.
   */
  cut(from: number): Promise<readonly LocalPack[]>

  /** The records that lie wholly within a part of a pack that begins and ends with a record. Errors: IO, NOT_FOUND. */
  entries(pack: LocalPack, offset: number, end: number): RunEntry[]

  /** What to fetch first of an epoch, if that is known. */
  prefetch(image: LocalImage, number: number): Buffer | null

  /** Another writer has taken the image over; what it sealed after `last` goes on as `.fenced-GENERATION`. */
  fence(image: LocalImage, generation: number, last: number): Promise<void>
}
