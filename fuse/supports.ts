/**
 * What a transport can carry. Programs ask here before they rely on it; the same tests run on both
 * transports and assert each field, so a field that says true was seen to work and one that says
 * false was seen to be refused, or to fall short in the way that is written beside it.
 */
export interface TransportSupports {
  /** The memory of a running machine: never a wait on an event loop, no page lost at a second open. */
  readonly machineMemory: boolean
  /** Shared, writable mappings of ordinary files. */
  readonly sharedMap: boolean
  /** O_DIRECT. */
  readonly directIo: boolean
  /** A write of a MiB comes as one request; otherwise in pieces of 128 KiB, not atomically. */
  readonly largeWrite: boolean
  /** renameat2 with RENAME_EXCHANGE and RENAME_NOREPLACE; otherwise EINVAL. */
  readonly exchange: boolean
  /** fallocate of any kind; otherwise EOPNOTSUPP. */
  readonly fallocate: boolean
  /** SEEK_DATA and SEEK_HOLE find holes; otherwise a file looks as if it had none. */
  readonly lseek: boolean
  readonly xattr: boolean
  /** Names and targets of links that are not UTF-8; otherwise EILSEQ, and such names are not listed. */
  readonly byteNames: boolean
  /** Times to the nanosecond, before 1970 too, one without the other; otherwise milliseconds, both at once. */
  readonly exactTimes: boolean
  /** O_TMPFILE, where the kernel has it for FUSE (6.2); otherwise EOPNOTSUPP. */
  readonly unnamedFiles: boolean
  /** Other users than the one that mounted, and what they make belongs to them. */
  readonly otherUsers: boolean
  /** The names of one file share one cache; otherwise one name may show another's bytes late. */
  readonly linkedCache: boolean
  /** Sizes and offsets above 2^53. */
  readonly hugeFiles: boolean
  /** Mounting without root, with the set-uid program fusermount. */
  readonly rootless: boolean
}

export const kernelSupports: TransportSupports = Object.freeze({
  machineMemory: true,
  sharedMap: true,
  directIo: true,
  largeWrite: true,
  exchange: true,
  fallocate: true,
  lseek: true,
  xattr: true,
  byteNames: true,
  exactTimes: true,
  unnamedFiles: true,
  otherUsers: true,
  linkedCache: true,
  hugeFiles: true,
  rootless: false,
})

/** As measured with fuse-native 2.2.6 (libfuse 2.9.9). */
export const nativeSupports: TransportSupports = Object.freeze({
  machineMemory: false,
  sharedMap: true,
  directIo: true,
  largeWrite: false,
  exchange: false,
  fallocate: false,
  lseek: false,
  xattr: true,
  byteNames: false,
  exactTimes: false,
  unnamedFiles: false,
  otherUsers: false,
  linkedCache: false,
  hugeFiles: true,
  rootless: true,
})
