/**
 * From a message to the request of an operation: one function per opcode, each written with the
 * layout of its row. The caller has checked that the fixed structure lies inside the message, and
 * asks `message.malformed` afterwards; nothing here throws on any bytes.
 */
import { ERRNO } from '../errno.ts'
import type { Errno } from '../errno.ts'
import type * as Requests from '../requests.ts'
import type { Timestamp } from '../results.ts'
import { FALLOCATE, FATTR, FSYNC, RENAME, SEEK, WRITE, XATTR } from './flags.ts'
import type { Message } from './message.ts'
import type { OpcodeName } from './opcodes.ts'
import type { Reply } from './reply.ts'
import * as structures from './structures.ts'

/** A request, or the errno that answers it at once. Answers are lent room in `reply`. */
export type Decoder = (message: Message, reply: Reply) => object | Errno

const O_EXCL = 0o200

/** No decoder: the session answers without looking inside. */
export const decoders: Readonly<Record<OpcodeName, Decoder | null>> = {
  LOOKUP: nameIn,
  FORGET: (message) => ({ node: message.node, count: message.u64(structures.FORGET_IN.at.nlookup) }),
  GETATTR: node,
  SETATTR: setattr,
  READLINK: node,
  SYMLINK: (message) => ({ ...nameIn(message), target: message.name() }),
  MKNOD: mknod,
  MKDIR: mkdir,
  UNLINK: nameIn,
  RMDIR: nameIn,
  RENAME: (message) => rename(message, message.u64(structures.RENAME_IN.at.newdir), 0),
  LINK: link,
  OPEN: open,
  READ: read,
  WRITE: write,
  STATFS: node,
  RELEASE: node,
  FSYNC: fsync,
  SETXATTR: setxattr,
  GETXATTR: xattr,
  LISTXATTR: node,
  REMOVEXATTR: xattr,
  FLUSH: node,
  INIT: null,
  OPENDIR: open,
  READDIR: readdir,
  RELEASEDIR: node,
  FSYNCDIR: fsync,
  ACCESS: (message) => ({ node: message.node, mask: message.u32(structures.ACCESS_IN.at.mask) }),
  CREATE: create,
  INTERRUPT: (message) => ({ target: message.u64(structures.INTERRUPT_IN.at.unique) }),
  BMAP: null,
  DESTROY: node,
  IOCTL: null,
  POLL: null,
  NOTIFY_REPLY: null,
  BATCH_FORGET: batchForget,
  FALLOCATE: fallocate,
  READDIRPLUS: readdirplus,
  RENAME2: rename2,
  LSEEK: lseek,
  COPY_FILE_RANGE: copyFileRange,
  GETLK: null,
  SETLK: null,
  SETLKW: null,
  SYNCFS: null,
  TMPFILE: tmpfile,
  STATX: null,
}

function node(message: Message): Requests.NodeRequest {
  return { node: message.node }
}

function nameIn(message: Message): Requests.NameRequest {
  return { parent: message.node, name: message.name() }
}

function read(message: Message, reply: Reply): Requests.ReadRequest | Errno {
  const { at } = structures.READ_IN
  const bytesMax = message.u32(at.size)
  if (bytesMax > reply.into.length) return -ERRNO.EINVAL
  return {
    node: message.node,
    chunk: message.chunk(at.offset),
    within: message.within(at.offset),
    bytesMax,
    into: reply.into,
  }
}

function write(message: Message): Requests.WriteRequest {
  const { at } = structures.WRITE_IN
  const payloadBytes = message.u32(at.size)
  const flags = message.u32(at.write_flags)
  return {
    node: message.node,
    chunk: message.chunk(at.offset),
    within: message.within(at.offset),
    payloadBytes,
    payloadAt: message.payload(payloadBytes),
    message: message.buffer,
    fromCache: (flags & WRITE.CACHE) !== 0,
    killsPrivileges: (flags & WRITE.KILL_SUIDGID) !== 0,
  }
}

function setattr(message: Message): Requests.SetattrRequest {
  const { at } = structures.SETATTR_IN
  const valid = message.u32(at.valid)
  const has = (flag: number): boolean => (valid & flag) !== 0
  const time = (now: number, given: number, seconds: number, nanoseconds: number) => {
    if (has(now)) return 'now'
    return has(given) ? timestamp(message, seconds, nanoseconds) : undefined
  }
  return {
    node: message.node,
    mode: has(FATTR.MODE) ? message.u32(at.mode) : undefined,
    uid: has(FATTR.UID) ? message.u32(at.uid) : undefined,
    gid: has(FATTR.GID) ? message.u32(at.gid) : undefined,
    size: has(FATTR.SIZE) ? message.big(at.size) : undefined,
    accessed: time(FATTR.ATIME_NOW, FATTR.ATIME, at.atime, at.atimensec),
    modified: time(FATTR.MTIME_NOW, FATTR.MTIME, at.mtime, at.mtimensec),
    changed: has(FATTR.CTIME) ? timestamp(message, at.ctime, at.ctimensec) : undefined,
    killsPrivileges: has(FATTR.KILL_SUIDGID),
  }
}

function timestamp(message: Message, seconds: number, nanoseconds: number): Timestamp {
  return { seconds: message.i64(seconds), nanoseconds: message.u32(nanoseconds) }
}

function mknod(message: Message): Requests.MknodRequest {
  const { at } = structures.MKNOD_IN
  return { ...nameIn(message), mode: message.u32(at.mode), deviceNumber: message.u32(at.rdev) }
}

function mkdir(message: Message): Requests.MakeRequest {
  return { ...nameIn(message), mode: message.u32(structures.MKDIR_IN.at.mode) }
}

function create(message: Message): Requests.CreateRequest {
  const { at } = structures.CREATE_IN
  const openFlags = message.u32(at.flags)
  return { ...nameIn(message), mode: message.u32(at.mode), exclusive: isExclusive(openFlags), openFlags }
}

/** Its name is the kernel's own for what has none. */
function tmpfile(message: Message): Requests.TmpfileRequest {
  const { at } = structures.CREATE_IN
  const openFlags = message.u32(at.flags)
  return { parent: message.node, mode: message.u32(at.mode), exclusive: isExclusive(openFlags), openFlags }
}

function isExclusive(openFlags: number): boolean {
  return (openFlags & O_EXCL) !== 0
}

function rename2(message: Message): Requests.RenameRequest | Errno {
  const { at } = structures.RENAME2_IN
  const flags = message.u32(at.flags)
  if ((flags & ~(RENAME.NOREPLACE | RENAME.EXCHANGE)) !== 0) return -ERRNO.EINVAL
  return rename(message, message.u64(at.newdir), flags)
}

function rename(message: Message, newParent: number, flags: number): Requests.RenameRequest {
  return {
    parent: message.node,
    name: message.name(),
    newParent,
    newName: message.name(),
    noReplace: (flags & RENAME.NOREPLACE) !== 0,
    exchange: (flags & RENAME.EXCHANGE) !== 0,
  }
}

function link(message: Message): Requests.LinkRequest {
  return { ...nameIn(message), node: message.u64(structures.LINK_IN.at.oldnodeid) }
}

function open(message: Message): Requests.OpenRequest {
  return { node: message.node, openFlags: message.u32(structures.OPEN_IN.at.flags) }
}

function fsync(message: Message): Requests.FsyncRequest {
  const flags = message.u32(structures.FSYNC_IN.at.fsync_flags)
  return { node: message.node, dataOnly: (flags & FSYNC.FDATASYNC) !== 0 }
}

function readdir(message: Message, reply: Reply): Requests.ReaddirRequest | Errno {
  const { at } = structures.READ_IN
  const bytesMax = message.u32(at.size)
  if (bytesMax > reply.into.length) return -ERRNO.EINVAL
  return { node: message.node, cookie: message.u64(at.offset), into: reply.directory(bytesMax) }
}

function readdirplus(message: Message, reply: Reply): Requests.ReaddirplusRequest | Errno {
  const { at } = structures.READ_IN
  const bytesMax = message.u32(at.size)
  if (bytesMax > reply.into.length) return -ERRNO.EINVAL
  return { node: message.node, cookie: message.u64(at.offset), into: reply.entries(bytesMax) }
}

function setxattr(message: Message): Requests.SetxattrRequest | Errno {
  const { at } = structures.SETXATTR_IN
  const flags = message.u32(at.flags)
  if ((flags & ~(XATTR.CREATE | XATTR.REPLACE)) !== 0) return -ERRNO.EINVAL
  const name = message.name()
  const bytes = message.u32(at.size)
  const start = message.payload(bytes)
  return {
    node: message.node,
    name,
    value: Buffer.from(message.buffer.subarray(start, Math.min(start + bytes, message.length))),
    createOnly: (flags & XATTR.CREATE) !== 0,
    replaceOnly: (flags & XATTR.REPLACE) !== 0,
  }
}

function xattr(message: Message): Requests.XattrRequest {
  return { node: message.node, name: message.name() }
}

function fallocate(message: Message): Requests.FallocateRequest | Errno {
  const { at } = structures.FALLOCATE_IN
  const mode = message.u32(at.mode)
  const kind = fallocateKind(mode & ~FALLOCATE.KEEP_SIZE)
  if (kind === undefined) return -ERRNO.EOPNOTSUPP
  return {
    node: message.node,
    kind,
    keepSize: (mode & FALLOCATE.KEEP_SIZE) !== 0,
    offset: message.big(at.offset),
    bytes: message.big(at.length),
  }
}

function fallocateKind(mode: number): Requests.FallocateRequest['kind'] | undefined {
  if (mode === 0) return 'allocate'
  if (mode === FALLOCATE.PUNCH_HOLE) return 'punch'
  return mode === FALLOCATE.ZERO_RANGE ? 'zero' : undefined
}

function lseek(message: Message): Requests.LseekRequest | Errno {
  const { at } = structures.LSEEK_IN
  const whence = message.u32(at.whence)
  if (whence !== SEEK.DATA && whence !== SEEK.HOLE) return -ERRNO.EINVAL
  return {
    node: message.node,
    whence: whence === SEEK.DATA ? 'data' : 'hole',
    offset: message.big(at.offset),
  }
}

function copyFileRange(message: Message): Requests.CopyFileRangeRequest | Errno {
  const { at } = structures.COPY_FILE_RANGE_IN
  if (message.big(at.flags) !== 0n) return -ERRNO.EINVAL
  return {
    node: message.node,
    offset: message.big(at.off_in),
    newNode: message.u64(at.nodeid_out),
    newOffset: message.big(at.off_out),
    bytes: message.big(at.len),
  }
}

function batchForget(message: Message): Requests.BatchForgetRequest {
  const { bytes, at } = structures.FORGET_ONE
  const count = message.u32(structures.BATCH_FORGET_IN.at.count)
  message.payload(count * bytes)
  const forgets: Requests.ForgetRequest[] = []
  if (message.malformed) return { forgets }
  for (let index = 0; index < count; index++) {
    const start = structures.BATCH_FORGET_IN.bytes + index * bytes
    forgets.push({ node: message.u64(start + at.nodeid), count: message.u64(start + at.nlookup) })
  }
  return { forgets }
}
