/**
 * The only door to files, clock and randomness. Calls are synchronous: the store's rooms run in threads of
 * their own, where blocking is cheaper than a turn of the event loop. A crash test wraps this interface,
 * records every write, sync, rename and directory sync, and forgets what was not synced.
 *
 * Every call throws a HoldfastError: NOT_FOUND and EXISTS for paths, NO_SPACE, else IO; `cause` is the
 * system's error.
 *
 * Paths and names are text; bytes that are not UTF-8 stand in it as path-text.ts says.
 */
import type { Buffer } from 'node:buffer'

/**
 * read: the file must exist. write: read and write, must exist. create: read and write, made if missing.
 * createNew: made, EXISTS if it was there.
 */
export type OpenMode = 'read' | 'write' | 'create' | 'createNew'

export type PathKind = 'file' | 'directory' | 'link' | 'other'

/** Symbolic links are described, not followed. */
export interface PathStat {
  readonly kind: PathKind
  readonly bytes: number
  readonly mtimeNs: bigint
  readonly ino: bigint
  readonly dev: bigint
  /** Permission bits, 12 of them. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly links: number
  /** Type bits of st_mode. */
  readonly type: number
  /** st_rdev: which device a device node stands for. */
  readonly deviceNumber: number
}

export interface EnvFile extends Disposable {
  readonly path: string
  /** The system's descriptor, for locks and mounts only: bytes go through the calls below. */
  readonly fd: number
  /** Fills `target` from `position`; returns the bytes read, fewer only at the end of the file. */
  read(target: Uint8Array, position: number): number
  /** All or throws; after a throw the range holds any mixture of old and new bytes. */
  write(source: Uint8Array, position: number): void
  /** As `write` of all sources laid end to end. */
  writev(sources: readonly Uint8Array[], position: number): void
  /** Writes at the end of what was appended so far: for pipes and terminals, which have no positions. */
  append(source: Uint8Array): void
  truncate(bytes: number): void
  size(): number
  /** fdatasync. After a throw nothing is known of any earlier write: it must not be tried again. */
  sync(): void
  /** Idempotent. */
  close(): void
}

export interface Env {
  open(path: string, mode: OpenMode): EnvFile
  rename(from: string, to: string): void
  /** A second name for a file; EXISTS when it is taken, unlike a rename. */
  link(from: string, to: string): void
  unlink(path: string): void
  /** One directory, mode 0700. */
  mkdir(path: string): void
  rmdir(path: string): void
  /** Names, without . and .., in no order. */
  readdir(path: string): string[]
  readlink(path: string): Buffer
  stat(path: string): PathStat
  exists(path: string): boolean
  /** Makes earlier creates, renames and unlinks in this directory durable. */
  syncDirectory(path: string): void
  /** What this process may still write on the file system that holds `path`. */
  freeBytes(path: string): number
  /** Milliseconds since 1970; may jump. */
  wallMs(): number
  /** Nanoseconds since 1970, about those of `wallMs`; in one thread it never goes back. */
  wallNs(): bigint
  /** Milliseconds from any origin; never goes back. */
  monotonicMs(): number
  /** From the system's cryptographic source. */
  randomBytes(count: number): Buffer
}
