/**
 * A replica: another home of a store's packs and records, as opaque objects under paths. Every replica behaves the
 * same; one suite of tests holds them to this contract (`test/replica/contract.ts`).
 *
 * Paths are relative to the replica's root, `/` between names, '' for the root. A name is 1 to 200 letters, digits
 * and `._@+=,-`, and begins with none but a letter, a digit or `_`: what begins with a dot is the replica's own and
 * never listed. Errors of every call that is given a path: BAD_NAME.
 *
 * Objects appear whole or not at all: they are written under a temporary name, their length and checksum are compared
 * with what was meant, and a rename publishes them. Nothing is ever appended or changed in place. A client that dies
 * leaves at most a temporary object; `removeTemporaries` takes such away.
 *
 * Threads and ownership: a replica belongs to one thread. Calls may overlap; those beyond a limit wait, and beyond
 * a second limit are refused with BUSY. Bytes that a caller hands over must not change until the call returns.
 * The directory replica blocks its thread while it reads, writes and syncs: give it one that serves nobody else.
 *
 * Failures, besides those named at each call:
 *   REPLICA_UNREACHABLE  nobody answered within the time allowed. Nothing was changed. Try again later.
 *   REPLICA_UNCLEAR      a change was asked for and no answer came within the time allowed: it may be done now, later,
 *                        or never. Ask again with a new call, or look; release nothing that depends on it.
 *   REPLICA_DENIED       permission, or who we are. Trying again does not help.
 *   REPLICA_FAULT        the answer was no sound one (malformed, too large, leading elsewhere).
 *   NO_SPACE, IO         as everywhere.
 *   ABORTED              the signal came; changes are as in REPLICA_UNCLEAR.
 * Passing failures of one server of many (it died, it hangs, it starts, it is the standby) are tried again inside a
 * call until its time is over, and elsewhere where there is one. Outcomes that a lost answer leaves open are settled
 * by looking, also inside the call. Every call can be made again after any failure; after REPLICA_UNCLEAR or ABORTED
 * the object that EXISTS then may be one's own: compare.
 */
export interface CallOptions {
  readonly signal?: AbortSignal
  /** For all tries of the call together. */
  readonly timeoutMs?: number
}

export interface OpenOptions extends CallOptions {
  /**
   * Nothing can be seen of it before this comes to true, and nothing ever of one that comes to false; what can be made
   * ready is made ready meanwhile. Its rejection is the call's.
   */
  readonly after?: Promise<boolean>
}

export interface ReplicaEntry {
  readonly name: string
  readonly kind: 'object' | 'directory'
  /** 0 for a directory. */
  readonly bytes: number
  /** By the replica's clock: milliseconds since 1970. For people and for ages, never for order. */
  readonly modifiedMs: number
}

/** What is put: exactly `bytes` bytes, which can be had more than once, as a put may start over elsewhere. */
export interface ObjectSource {
  readonly bytes: number
  /** zlib's CRC-32 of all of it, where it is known beforehand: a put of anything else is DAMAGED. */
  readonly crc32?: number
  /** The same bytes each time, in pieces of at most a few MiB, each of which stays as it is once it was given. */
  open(): AsyncIterable<Uint8Array> | Iterable<Uint8Array>
}

export interface PutOptions extends CallOptions {
  /** An object of that name is replaced; readers see the old one or the new one. Otherwise the put is EXISTS. */
  readonly replace?: boolean
}

export interface PutResult {
  readonly bytes: number
  /** zlib's CRC-32 of what was put. */
  readonly crc32: number
}

export interface ReadRange extends CallOptions {
  /** Default 0. */
  readonly offset?: number
  /** Default: all that follows. */
  readonly bytes?: number
}

/** won: this call closed it. closed: it is, and somebody else did it, or an earlier try whose answer was lost. */
export type CloseOutcome = 'won' | 'closed'

/** Places that hold an object: disks of an HDFS, one of a directory. */
export interface Copies {
  readonly have: number
  readonly wanted: number
}

export interface Usage {
  readonly objectCount: number
  /** Plain bytes of all objects, each counted once. */
  readonly objectBytes: number
  /** What may still be written; null where the replica does not say. */
  readonly freeBytes: number | null
}

export interface Replica extends AsyncDisposable {
  /** For people and logs: holds no secret. */
  readonly url: string

  /**
   * The entries of a directory, by name in the order of their bytes, held in memory a page at a time. What comes or
   * goes meanwhile may be seen or not; what stays is seen once. Errors: NOT_FOUND.
   */
  list(directory: string, options?: CallOptions): AsyncIterable<ReplicaEntry>

  /** Null when there is nothing. */
  stat(path: string, options?: CallOptions): Promise<ReplicaEntry | null>

  /**
   * An object's bytes in order, fewer than asked for only at its end. Read on where it broke off, so of an object
   * that is replaced meanwhile the parts may be of both. The memory used does not grow with the range. Whoever leaves
   * the loop early ends the transfer. Errors: NOT_FOUND.
   */
  read(path: string, range?: ReadRange): AsyncIterable<Uint8Array>

  /**
   * Makes a new object. On return its length and checksum have been compared at the replica and it has its name: a
   * directory replica has synced both; HDFS has them in at least one DataNode's memory (`copies` tells more).
   * Its directory must be there. Errors: NOT_FOUND (the directory), EXISTS, DAMAGED (the source is not what it says).
   */
  put(path: string, source: ObjectSource | Uint8Array, options?: PutOptions): Promise<PutResult>

  /**
   * Makes a new object in an open generation, as `generation.ts` draws it: a put that learns when the generation was
   * closed. Of two who publish one name one succeeds, the other gets EXISTS. If it returns, whoever closes the
   * generation sees the object; if it throws FENCED, the object is not there and never will be.
   * Errors: FENCED (it is not open), EXISTS.
   */
  publish(directory: string, name: string, bytes: Uint8Array, options?: CallOptions): Promise<void>

  /**
   * As `publish`, of an object that is there already under another name, which it loses: so whoever takes it away
   * before keeps it from being published. Errors: NOT_FOUND (it is not there any more), FENCED, EXISTS.
   */
  publishIntent(path: string, directory: string, name: string, options?: CallOptions): Promise<void>

  /**
   * Gives an object another name. It is never without a name, and has both for a moment at most, or until somebody
   * cleans up after a process that died then. Errors: NOT_FOUND (the object, or the directory of `to`), EXISTS.
   */
  move(from: string, to: string, options?: CallOptions): Promise<void>

  /**
   * Makes a generation with one object in it, both at once. Of any number who ever do it one succeeds, also after it
   * was closed: this is the choice of the next owner. Its parent must be there. Errors: EXISTS, NOT_FOUND (the parent),
   * ABORTED (`after` was false).
   */
  openGeneration(directory: string, name: string, bytes: Uint8Array, options?: OpenOptions): Promise<void>

  /**
   * From now on nothing can be published in this generation, and what is listed in its closed part is final. At most
   * one caller is told that it won, exactly one where no answer is lost. Errors: NOT_FOUND (it was never opened).
   */
  closeGeneration(directory: string, options?: CallOptions): Promise<CloseOutcome>

  /** With its parents; nothing happens where it is. Not for generation directories. Errors: EXISTS (an object). */
  makeDirectory(path: string, options?: CallOptions): Promise<void>

  /** An object or an empty directory; nothing happens where there is nothing. Errors: EXISTS (not empty). */
  remove(path: string, options?: CallOptions): Promise<void>

  /** In how many places the least copied part of an object is now, and how many are enough. Errors: NOT_FOUND. */
  copies(path: string, options?: CallOptions): Promise<Copies>

  /** Of everything below the root. */
  usage(options?: CallOptions): Promise<Usage>

  /** Takes away what dead clients left, by the replica's clock. Returns how many. A put of that age fails. */
  removeTemporaries(olderThanMs: number, options?: CallOptions): Promise<number>

  /** Ends what is in progress (ABORTED). Idempotent. */
  close(): Promise<void>
}
