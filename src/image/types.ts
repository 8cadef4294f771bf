/**
 * What the verbs of the image room take and give: plain data, fit for JSON and for postMessage between
 * threads. Digests and ids are lower-case hex here, sizes are bytes, times are milliseconds since 1970.
 */

import type { Secret } from '../crypto/secret.ts'
import type { GivenSecret } from '../store/keys.ts'
import type { RecordCopy } from './check/record-copy.ts'

/** How far an epoch has got. `taken`: the cut is done; `durable`: its closure is synced locally. */
export type EpochLevel = 'taken' | 'durable' | 'replicated'

export interface ImageSummary {
  image: string
  id: string
  /** Where its first epoch came from: a base, nothing, or an epoch of another image. */
  origin: { kind: 'base' | 'empty' | 'fork'; epoch?: string }
  epochs: number
  newest: number
  createdMs: number
  /** Another writer has taken it over: its later epochs are a history of their own. Absent when not so. */
  fenced?: { generation: number; last: number }
  /** Why nothing is known of it but its name and its epochs' numbers; absent when all is well. */
  damaged?: string
}

export interface EpochSummary {
  image: string
  number: number
  /** The digest of its record. */
  id: string
  parent: { id: string; image: string; number: number } | null
  wallMs: number
  note: string
  pinned: boolean
  level: EpochLevel
  /** On how many of the store's replicas it is known to be. */
  replicas: { have: number; of: number }
  /** Bytes written into the image since the epoch before. */
  writtenBytes: number
  /** Bytes that it added to the packs; null when the catalog was rebuilt and no longer knows. */
  storedBytes: number | null
  /** Milliseconds between stop and cont of the guest; null without a machine. */
  pauseMs: number | null
  machine: boolean
  /** Why its record cannot be read: the other fields are empty then. Absent when all is well. */
  damaged?: string
}

export interface EpochDetail extends EpochSummary {
  root: string
  files: number
  logicalBytes: number
  state: { bytes: number } | null
  /** The machine's description as the driver gave it: fingerprint, devices, memory files. */
  machineFacts: unknown
  recordBytes: number
}

export interface DiffEntry {
  path: string
  change: 'added' | 'removed' | 'modified' | 'metadata'
  kind: 'file' | 'directory' | 'symlink' | 'other'
  bytesBefore: number
  bytesAfter: number
  /** Chunks that differ; 0 for what has no data. */
  changedChunks: number
}

export interface StoreStats {
  store: string
  directory: string
  formatVersion: number
  encrypted: boolean
  images: number
  epochs: number
  packs: number
  records: number
  plainBytes: number
  storedBytes: number
  dataStoredBytes: number
  nodeStoredBytes: number
  freeBytes: number
}

/** The device state and facts that bind a machine to an epoch. */
export interface MachineState {
  /** The hypervisor's device state stream; guest memory is not in it. */
  state: Uint8Array
  /** JSON: the driver's plan, fingerprint, memory files, network, wall clock, generation id. */
  facts: unknown
  pauseMs: number
}

export type KeyRequest =
  | { action: 'list' }
  | { action: 'add'; secret: GivenSecret }
  | { action: 'remove'; slot: number }
  /** Without a slot: the one that this store was opened with, or the only one. */
  | { action: 'change'; slot?: number; secret: GivenSecret }

/** The keys of an encrypted store. */
export interface KeyReport {
  slots: { slot: number; kind: 'passphrase' | 'key file'; createdMs: number }[]
  /** Of the data key that what is new is sealed with. */
  keyId: number
  /** The slot that was made or changed. */
  changed: number | null
}

/** What a mount needs to begin serving an image's head. */
export interface HeadStart {
  image: string
  directory: string
  /** Root of the head's manifest, hex; the state that all earlier segments led to. */
  manifest: string
  /** Number of the first segment that the mount may create. */
  segment: number
  /** First sequence number for the log's records. */
  sequence: number
  nextInode: number
  /** Ids for the headers of the log's segments, hex. */
  imageId: string
  domainId: string
  /** Opens the keys of an encrypted store. */
  secret?: Secret
  /** For a server that takes a mount over from one that was killed; null for a mount that begins. */
  takeover: Takeover | null
  /** Sentences for the user: what was found when the head was recovered. */
  notices: string[]
}

/** What a killed server left: its log, not committed, and what its last commit covers. */
export interface Takeover {
  /** Segments of the log behind the manifest, in order. */
  segments: number[]
  lastRequest: { connection: number; unique: number }
}

export interface CommitRequest {
  image: string
  /** Segments up to this number are covered. */
  segment: number
  kind: 'head' | 'epoch'
  note?: string
  wallMs?: number
  machine?: MachineState
}

export interface CommitResult {
  image: string
  segment: number
  manifest: string
  writtenBytes: number
  storedBytes: number
  /** Only of kind `epoch`. */
  epoch?: EpochSummary
}

export interface FileRange {
  offset: number
  bytes: number
}

export interface AffectedFile {
  path: string
  /** Bytes that cannot be read; empty where it is something else, such as a directory's names. */
  ranges: FileRange[]
}

export interface CheckFault {
  /** What kind of thing is bad: record, pack, epoch, head, files, machine state, identity, log. */
  what: string
  where: string
  message: string
  /** Those that cannot be read whole because of it, `IMAGE@N`. */
  epochs: string[]
  files: AffectedFile[]
}

export interface CheckArguments {
  readData: boolean
  /** Share of the records that is read, 0 to 1. */
  sample?: number
  /** How long records are read; what was left out is said. */
  timeMs?: number
  repair?: boolean
  /** Files and directories of this machine in which lost chunks may be found. */
  from?: string[]
  /** What replicas have of the records that cannot be read here. */
  copies?: readonly RecordCopy[]
}

/** An image that another writer has taken over in the generation after this one. */
export interface FenceRequest {
  image: string
  /** What it is called on the replicas. */
  key: string
  generation: number
  /** The last epoch that the history that was taken over has. */
  last: number
}

/** A pack with records that were put here, as far as it is durable. */
export interface DurablePack {
  packId: string
  number: number
  path: string
  /** They end where a record ends. */
  bytes: number
  isClosed: boolean
}

export interface CheckReport {
  packs: number
  records: number
  epochs: number
  /** What is bad; after a repair, what still is. */
  damaged: CheckFault[]
  /** What was bad and is good again. */
  healed: CheckFault[]
  /** What a repair did, one sentence each. */
  repairs: string[]
  /** What is no damage and worth knowing. */
  notes: string[]
  /** Packs, and their bytes, for which there was no time. */
  unread: { packs: number; bytes: number }
}

/** Progress of a long call: `done` of `total` (0 when not known) in `unit`. */
export interface Progress {
  step: string
  done: number
  total: number
  unit: 'bytes' | 'packs' | 'chunks' | 'files' | 'epochs' | 'records' | 'steps'
}

export interface CallOptions {
  signal?: AbortSignal
  progress?: (progress: Progress) => void
}
