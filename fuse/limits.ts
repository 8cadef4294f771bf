import { strict as assert } from 'node:assert'

/** Every size, count and time of this room, with its reason. Bytes unless the name says else. */
export const limits = Object.freeze({
  /**
   * Offsets travel as (chunk, offset within it): a file may have 8 EiB, which a JavaScript number
   * cannot count, and a BigInt in each READ and WRITE is garbage for each of them.
   */
  chunkBytes: 65_536,
  /** Nodeids, handles, cookies and inode numbers are JavaScript numbers. */
  identityMax: Number.MAX_SAFE_INTEGER,
  /** The largest payload of a WRITE; the kernel's own limit with 256 pages. */
  writeBytesMax: 1_048_576,
  /** The largest answer to a READ; a mount may ask for less (`max_read`). */
  readBytesMax: 1_048_576,
  /** Pages of one request; more needs the sysctl fs.fuse.max_pages_limit. */
  requestPagesMax: 256,
  pageBytes: 4_096,
  /**
   * Room before the payload of the largest message. The kernel wants 80 (in-header and write_in),
   * a page keeps everything else that it may send far from the end.
   */
  messageHeadBytes: 4_096,
  /** The kernel refuses a reader with a smaller buffer (FUSE_MIN_READ_BUFFER). */
  messageBytesMin: 8_192,
  /**
   * Requests in the background (readahead, writeback, asynchronous direct I/O) that the kernel
   * keeps in flight. With its default of 12 the writeback of a guest's memory starves.
   */
  backgroundCount: 512,
  backgroundCountMin: 256,
  backgroundCountMax: 65_535,
  /** Congestion is told to the kernel's writeback when three quarters are in flight. */
  congestionShare: 0.75,
  /** The kernel's readahead window can only be lowered by us, so ask for all it offers. */
  readaheadBytesMax: 4_194_304,
  /**
   * How long the kernel may believe an answer about a name or attributes. Nothing changes them but
   * requests of the same mount, so a day is forever; one day stays far below what jiffies hold.
   */
  cacheValidSeconds: 86_400,
  /**
   * An answer up to this size is copied behind its header and leaves with write(2); a larger one
   * leaves from where it lies with writev(2). Measured per call: 4 KiB 1.0 against 0.8 us, 64 KiB
   * 2.2 against 0.8, 1 MiB 27 against 0.9; the kernel pins a page more for each further piece.
   */
  replyCopyBytesMax: 4_096,
  /** One NOTIFY_STORE; the kernel takes page after page under its own locks meanwhile. */
  storeBytesMax: 1_048_576,
  /** The kernel takes at most this many pieces in one writev (UIO_MAXIOV). */
  piecesMax: 1_024,
  /** One answer of the control file: a single READ, also on a mount with the smallest max_read. */
  controlBytesMax: 65_536,
  /** Longest target of a symbolic link (PATH_MAX without its NUL). */
  linkBytesMax: 4_095,
  /** Longest extended attribute value and list that Linux knows (XATTR_SIZE_MAX). */
  xattrBytesMax: 65_536,
  /** Longest name that a reply may carry (FUSE_NAME_MAX of kernels before 6.16). */
  nameBytesMax: 1_024,
  /** A trace that was left on: some five million lines, then it begins anew. */
  traceFileBytesMax: 268_435_456,
  /** Wait before reading a descriptor again that says EAGAIN: we opened it blocking. */
  retryMs: 1,
})

assert(limits.writeBytesMax <= limits.requestPagesMax * limits.pageBytes)
assert(limits.readBytesMax <= limits.requestPagesMax * limits.pageBytes)
assert(limits.messageHeadBytes + limits.writeBytesMax >= limits.messageBytesMin)
assert(limits.writeBytesMax >= limits.xattrBytesMax)
assert(limits.controlBytesMax % limits.chunkBytes === 0)
assert(limits.backgroundCountMin <= limits.backgroundCount)
