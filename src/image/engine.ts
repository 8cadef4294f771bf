/**
 * The engine: every verb that needs the store but no mount and no machine. One object owns the open store
 * (the lock is held from `open` to `close`); it lives in one thread and its calls are served in order for
 * one image, interleaved between images. `LocalEngine` runs in the caller's thread, `ThreadEngine` (daemon)
 * forwards each call to a LocalEngine in a worker, so that committing never delays the control socket.
 *
 * Every call rejects with a HoldfastError. Addresses of epochs are strings `IMAGE@N`.
 */
import type { CollectedGarbage, GarbageRequest } from './collection/types.ts'
import type { MachineEpoch } from './machine-state.ts'
import type { RestoringEngine } from './restoring.ts'
import type {
  CallOptions, CheckArguments, CheckReport, CommitRequest, CommitResult, DiffEntry, DurablePack, EpochDetail,
  EpochSummary, FenceRequest, HeadStart, ImageSummary, KeyReport, KeyRequest, StoreStats,
} from './types.ts'

export interface Engine extends RestoringEngine {
  readonly directory: string

  /** Takes the bases in (BASE_UNREADABLE, BASE_CHANGED, BASE_CLASH) and seals them as epoch 0. */
  createImage(args: { image: string; base: string[] }, options?: CallOptions): Promise<ImageSummary>
  images(): Promise<ImageSummary[]>
  log(args: { image: string }): Promise<EpochSummary[]>
  show(args: { epoch: string }): Promise<EpochDetail>
  diff(args: { before: string; after: string }, options?: CallOptions): Promise<DiffEntry[]>
  stats(): Promise<StoreStats>
  pin(args: { epoch: string; pinned: boolean }): Promise<EpochSummary>
  /** Removes an image with all its epochs, or one epoch (PINNED, BUSY when its head is open). */
  remove(args: { target: string }): Promise<{ removedEpochs: number }>
  fork(args: { epoch: string; image: string }): Promise<ImageSummary>
  /** Sets the head to an epoch; what the head held is sealed first unless `discard`. */
  rollback(args: { epoch: string; discard: boolean }): Promise<{ sealed: EpochSummary | null; head: EpochSummary }>
  /** Writes a file of an epoch, sparse; `file` '-' is not known here. Format qcow2 needs qemu-img. */
  exportFile(
    args: { epoch: string; path: string; file: string; format: 'raw' | 'qcow2' },
    options?: CallOptions,
  ): Promise<{ bytes: number; dataBytes: number }>
  check(args: CheckArguments, options?: CallOptions): Promise<CheckReport>
  rebuildIndex(options?: CallOptions): Promise<{ packs: number; records: number }>
  /** Removes epochs that the rules let go, and what nobody needs. BUSY beside a check or another one. */
  collectGarbage(args: GarbageRequest, options?: CallOptions): Promise<CollectedGarbage>
  /** Lists or changes the slots of an encrypted store's keys (UNSUPPORTED, NOT_FOUND, USAGE). */
  keys(args: KeyRequest): Promise<KeyReport>
  /** New keys, and all sealed with them; only the secret that the store was opened with opens it then (BUSY, USAGE). */
  rotateKeys(options?: CallOptions): Promise<KeyReport>

  /**
   * Recovers the head (commits what its log holds) and reserves it for one mount (BUSY). With `takeover` for a
   * mount that is there and whose server is gone: the log is left to its new server, orphans are kept.
   */
  openHead(args: { image: string; takeover?: boolean }, options?: CallOptions): Promise<HeadStart>
  /** Commits segments of an open head; on return they are durable in packs and retired. */
  commit(request: CommitRequest, options?: CallOptions): Promise<CommitResult>
  /** The server of an open head reads by the manifest of the commit that covered this segment, or by a later one. */
  retired(args: { image: string; segment: number }): Promise<void>
  /** Gives the head back; the log stays and is recovered by the next `openHead`. */
  closeHead(args: { image: string }): Promise<void>
  /** Seals the head of an image that is not mounted. */
  sealHead(args: { image: string; note?: string }, options?: CallOptions): Promise<EpochSummary>
  /**
   * Device state and facts of `IMAGE@N`, or of the newest epoch of `IMAGE` that has a machine. Errors: NOT_FOUND
   * (no such epoch, or it has no machine), DAMAGED.
   */
  machineState(args: { epoch: string }): Promise<MachineEpoch>
  /** Chunks of memory files that the newest epochs up to this one changed: what to push before load. */
  recentChunks(args: { epoch: string; paths: string[] }): Promise<{ path: string; chunks: number[] }[]>
  saveWorkingSet(args: { epoch: string; set: { path: string; chunks: number[] }[] }): Promise<void>

  /** Packs numbered from `from` with records that were put here, rising: the closure of all records there are. */
  durablePacks(args: { from: number }): Promise<DurablePack[]>
  /**
   * Another writer has the image: its epochs after `last` go on as `IMAGE.fenced-GENERATION`. It gets that name at
   * once, or when it is not served any more. Nothing happens when its key is another one by now. Returns the name
   * that it has or will have.
   */
  fence(args: FenceRequest): Promise<{ image: string }>

  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}
