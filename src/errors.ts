/**
 * The one error type of Holdfast. `code` is API and never changes its meaning; `message` is a sentence
 * for people that says what to do and may change at any time; `cause` carries the reason from below.
 */
export type ErrorCode =
  | 'USAGE' // an argument is missing, unknown or malformed
  | 'BAD_NAME' // an image, fork or replica name that cannot be a name
  | 'NOT_FOUND' // no such store, image, epoch, path or mount
  | 'EXISTS' // the name or target is taken
  | 'LOCKED' // another process owns the store
  | 'BUSY' // in use: a mounted head, a running machine, a mount point
  | 'FENCED' // another writer took the image over
  | 'ABSENT' // a chunk is on replicas only and has to be fetched first
  | 'KEY_NEEDED' // encrypted: a passphrase or a key file is needed, or one of its domain's older keys
  | 'KEY_WRONG' // the passphrase or key file opens nothing here
  | 'WRONG_DOMAIN' // a replica, a pack or a key belongs to other stores
  | 'DAMAGED' // stored bytes are not what they must be
  | 'NEWER_VERSION' // written by a newer Holdfast
  | 'BAD_FORMAT' // bytes that are not in one of our formats at all
  | 'NO_SPACE' // the store's file system is full, or its reserve is reached
  | 'BASE_UNREADABLE' // a base is missing or cannot be read
  | 'BASE_CHANGED' // a base changed while it was taken in
  | 'BASE_CLASH' // two bases want the same name
  | 'PINNED' // a pinned epoch cannot be removed
  | 'IO' // the operating system refused a read or a write
  | 'FAILED_STATE' // an earlier write failed: only close and recovery work
  | 'MACHINE' // the hypervisor refused or failed a step
  | 'MACHINE_TIMEOUT' // a step of the hypervisor passed its deadline
  | 'MACHINE_GONE' // the hypervisor died
  | 'MISMATCH' // what resume needs is not what this host has
  | 'UNSUPPORTED' // cannot be had here, and why
  | 'DAEMON' // the daemon cannot be reached or answered nonsense
  | 'REPLICA_UNREACHABLE' // nobody of a replica answers in time: nothing was done
  | 'REPLICA_UNCLEAR' // a replica was asked for a change and its answer was lost: it may or may not be done
  | 'REPLICA_DENIED' // a replica knows us and does not allow it, or does not know us
  | 'REPLICA_FAULT' // a replica answered with something that no sound one says
  | 'FEW_COPIES' // what is on a replica lies in fewer places there than is safe, so far
  | 'ABORTED' // stopped on request

export interface ErrorDetail {
  cause?: unknown
  /** Facts for programs (paths, numbers), printed by `--json`. */
  info?: Record<string, unknown>
}

export class HoldfastError extends Error {
  readonly code: ErrorCode
  readonly info: Record<string, unknown>

  constructor(code: ErrorCode, message: string, detail: ErrorDetail = {}) {
    super(message, detail.cause === undefined ? undefined : { cause: detail.cause })
    this.name = 'HoldfastError'
    this.code = code
    this.info = detail.info ?? {}
  }
}

/** A broken promise of our own code: never handled, the process is to stop. */
export class AssertionFailure extends Error {
  constructor(message: string) {
    super(`assertion failed: ${message}`)
    this.name = 'AssertionFailure'
  }
}

export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionFailure(message)
}

/** The `code` of any thrown value that has one (ours or the system's), else undefined. */
export function codeOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}

export function isCode(error: unknown, ...codes: string[]): boolean {
  const code = codeOf(error)
  return code !== undefined && codes.includes(code)
}

/** Turns a failure of the operating system into ours, keeping ours as they are. */
export function wrapIo(error: unknown, doing: string): HoldfastError {
  if (error instanceof HoldfastError) return error
  if (isCode(error, 'ENOSPC', 'EDQUOT')) {
    return new HoldfastError('NO_SPACE', `no space left while ${doing}: free some, or run gc`, { cause: error })
  }
  const why = isCode(error, 'EROFS')
    ? 'its file system is read-only: make it writable, or use a copy elsewhere' : messageOf(error)
  return new HoldfastError('IO', `${doing} failed: ${why}`, { cause: error })
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
