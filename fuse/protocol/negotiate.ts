/**
 * The first exchange of a connection (FUSE_INIT): what the kernel offers, what we take of it.
 *
 * Taken: everything that makes requests larger, fewer or concurrent. Not taken, with reasons:
 * - WRITEBACK_CACHE: a seal covers what was written, so writes may not linger in the page cache.
 * - AUTO_INVAL_DATA: nothing changes behind the kernel's back, and it costs a GETATTR per read.
 * - ATOMIC_O_TRUNC: with it O_TRUNC is lost when OPEN is answered ENOSYS (the kernel then believes
 *   that OPEN truncated); without it a SETATTR comes, and opens stay stateless.
 * - POSIX_ACL, POSIX_LOCKS, FLOCK_LOCKS: the kernel's own checks and local locks are right for one
 *   mount on one machine.
 * - HANDLE_KILLPRIV_V2 is taken unless switched off: without it each write by a file system with
 *   xattrs first asks for `security.capability`.
 */
import { limits } from '../limits.ts'
import { INIT_BIT } from './flags.ts'
import type { InitFlag } from './flags.ts'
import type { Message } from './message.ts'
import type { Reply } from './reply.ts'
import { INIT_IN, INIT_OUT } from './structures.ts'

export const PROTOCOL = {
  major: 7,
  /** What we implement: Linux 6.9, the first with RESEND. */
  minor: 40,
  /** Linux 5.17, the first that sends 64 flags. */
  minorMin: 36,
} as const

export interface InitOptions {
  readonly writeBytesMax: number
  /** Requests in the background that the kernel keeps in flight. */
  readonly backgroundCount: number
  readonly readaheadBytesMax: number
  /** The file system does what `FileOperations` asks of writes, truncations and owner changes. */
  readonly killPrivileges: boolean
  /** `lookup` answers `.` and `..`, so the mount can be exported (NFS, open_by_handle_at). */
  readonly exportSupport: boolean
}

/** What both sides agreed on. Plain data: a supervisor keeps it for the server that comes after. */
export interface Negotiated {
  readonly major: number
  readonly minor: number
  readonly flags: readonly InitFlag[]
  readonly writeBytesMax: number
  readonly readaheadBytesMax: number
  readonly backgroundCount: number
}

const TWO_32 = 2 ** 32

const wanted: readonly InitFlag[] = [
  'ASYNC_READ',
  'BIG_WRITES',
  'DO_READDIRPLUS',
  'READDIRPLUS_AUTO',
  'ASYNC_DIO',
  'NO_OPEN_SUPPORT',
  'PARALLEL_DIROPS',
  'ABORT_ERROR',
  'MAX_PAGES',
  'CACHE_SYMLINKS',
  'NO_OPENDIR_SUPPORT',
  'INIT_EXT',
  'DIRECT_IO_ALLOW_MMAP',
  'HAS_RESEND',
]

/** What the kernel offers in an INIT message whose structure is whole, and our choice from it. */
export function negotiate(message: Message, options: InitOptions): Negotiated {
  const lower = message.u32(INIT_IN.at.flags)
  const upper = message.u32(INIT_IN.at.flags2)
  return {
    major: message.u32(INIT_IN.at.major),
    minor: Math.min(PROTOCOL.minor, message.u32(INIT_IN.at.minor)),
    flags: ours(options).filter((flag) => hasFlag(lower, upper, flag)),
    writeBytesMax: options.writeBytesMax,
    readaheadBytesMax: Math.min(message.u32(INIT_IN.at.max_readahead), options.readaheadBytesMax),
    backgroundCount: options.backgroundCount,
  }
}

/** False when we cannot talk to this kernel at all. */
export function isSpoken(negotiated: Negotiated): boolean {
  return negotiated.major === PROTOCOL.major && negotiated.minor >= PROTOCOL.minorMin
}

/** The body of the answer to INIT; returns its bytes. */
export function putInit(reply: Reply, negotiated: Negotiated): number {
  const { at, bytes } = INIT_OUT
  const congested = Math.floor(negotiated.backgroundCount * limits.congestionShare)
  reply.into.fill(0, 0, bytes)
  reply.putU32(at.major, PROTOCOL.major)
  reply.putU32(at.minor, negotiated.minor)
  reply.putU32(at.max_readahead, negotiated.readaheadBytesMax)
  reply.putU32(at.flags, flagWord(negotiated.flags, 0))
  reply.into.writeUInt16LE(negotiated.backgroundCount, at.max_background)
  reply.into.writeUInt16LE(congested, at.congestion_threshold)
  reply.putU32(at.max_write, negotiated.writeBytesMax)
  reply.putU32(at.time_gran, 1)
  reply.into.writeUInt16LE(limits.requestPagesMax, at.max_pages)
  reply.putU32(at.flags2, flagWord(negotiated.flags, 32))
  return bytes
}

/** The names of the flags in two 32-bit words, for traces. */
export function flagNames(lower: number, upper: number): string[] {
  const names = Object.keys(INIT_BIT) as InitFlag[]
  return names.filter((flag) => hasFlag(lower, upper, flag))
}

function ours(options: InitOptions): InitFlag[] {
  const flags = [...wanted]
  if (options.killPrivileges) flags.push('HANDLE_KILLPRIV_V2')
  if (options.exportSupport) flags.push('EXPORT_SUPPORT')
  return flags
}

function hasFlag(lower: number, upper: number, flag: InitFlag): boolean {
  const bit = INIT_BIT[flag]
  const word = bit < 32 ? lower : upper
  return ((word >>> (bit % 32)) & 1) === 1
}

function flagWord(flags: readonly InitFlag[], firstBit: number): number {
  let word = 0
  for (const flag of flags) {
    const bit = INIT_BIT[flag] - firstBit
    if (bit >= 0 && bit < 32) word += 2 ** bit
  }
  return word % TWO_32
}
