/**
 * What a file system does for a transport. The transport (the kernel session of this room, or
 * another) knows no file system, the file system knows no transport.
 *
 * Threads. All methods are called from one thread, one at a time, and are synchronous: when a
 * method returns, the operation has taken its place in the order of all operations.
 *
 * Outcome. A method returns its value, a negative errno, or DEFERRED. DEFERRED means that the
 * method has kept the ticket (the context is one) and that some thread of the process will answer
 * with one of the functions of `late-reply.ts`, exactly once. The kernel waits without limit, and
 * the asker cannot even be killed meanwhile. A throw of `Postponed` has the kernel's session present the request again
 * later (`postponed.ts`); any other throw is a defect: the session reports it and answers EIO.
 *
 * Ownership. Requests, contexts and names belong to the method and may be kept. The buffers
 * `ReadRequest.into`, `WriteRequest.message` and the two directory writers are lent and may not be
 * used once the method has returned. Bytes given as an answer are read before the next call.
 *
 * References. Each Entry answered by lookup, mknod, mkdir, symlink, link and create, and each one
 * that an EntryWriter has taken (`.` and `..` excepted), is one reference of the kernel to the
 * node, until `forget` gives it back. A node with references must go on answering although its
 * last name is gone. Forgets are not sent when the file system is unmounted, nor sent again to a
 * server that replaced another.
 *
 * Repetition. With `resent` an operation may have been carried out by the server before: it must
 * be answered as it was then. Reads are safe to repeat; the `mutates` column of the opcode table
 * says which are not.
 *
 * Nodes. Node 1 is the root. A nodeid is never used for another file.
 *
 * Caches. The session tells the kernel to keep names, attributes and pages: nothing may change
 * behind its back, except as `notify.ts` allows.
 */
import type * as Requests from './requests.ts'
import type { RequestContext } from './requests.ts'
import type {
  AbsentEntry,
  Attributes,
  Bytes,
  Completion,
  Deferred,
  Entry,
  FileSystemStatistics,
  Opened,
  Outcome,
} from './results.ts'

export interface FileOperations {
  /** An AbsentEntry lets the kernel remember the absence, -ENOENT does not. */
  lookup(context: RequestContext, request: Requests.NameRequest): Outcome<Entry | AbsentEntry>
  /** Never answered. */
  forget(context: RequestContext, request: Requests.ForgetRequest): void
  batchForget(context: RequestContext, request: Requests.BatchForgetRequest): void
  getattr(context: RequestContext, request: Requests.NodeRequest): Outcome<Attributes>
  /**
   * Truncate, mode, owner, times. Opening with O_TRUNC comes as a setattr of size 0.
   *
   * With the session option `killPrivileges` (the default) the kernel leaves to us what follows:
   * a change of owner or group, and a change of size with `killsPrivileges`, of a regular file
   * also set its mode to `modeWithoutPrivileges(mode)`; both drop its `security.capability`.
   */
  setattr(context: RequestContext, request: Requests.SetattrRequest): Outcome<Attributes>
  /** The target of a symbolic link; the kernel keeps it. */
  readlink(context: RequestContext, request: Requests.NodeRequest): Outcome<Bytes>
  symlink(context: RequestContext, request: Requests.SymlinkRequest): Outcome<Entry>
  mknod(context: RequestContext, request: Requests.MknodRequest): Outcome<Entry>
  mkdir(context: RequestContext, request: Requests.MakeRequest): Outcome<Entry>
  unlink(context: RequestContext, request: Requests.NameRequest): Completion
  rmdir(context: RequestContext, request: Requests.NameRequest): Completion
  /** `noReplace` answers -EEXIST when the new name exists; `exchange` swaps two that exist. */
  rename(context: RequestContext, request: Requests.RenameRequest): Completion
  link(context: RequestContext, request: Requests.LinkRequest): Outcome<Entry>
  /** Makes a regular file and opens it; a name that exists is -EEXIST. */
  create(context: RequestContext, request: Requests.CreateRequest): Outcome<Entry>
  /**
   * Bytes, or the number of bytes put into `request.into`. Fewer than `bytesMax` (holes are zeros)
   * only at the end of the file.
   */
  read(context: RequestContext, request: Requests.ReadRequest): Bytes | number | Deferred
  /**
   * The number of bytes taken: all of them, or an errno. With `killsPrivileges` the mode of the
   * file becomes `modeWithoutPrivileges(mode)`; each write drops its `security.capability`.
   */
  write(context: RequestContext, request: Requests.WriteRequest): Outcome<number>
  statfs(context: RequestContext, request: Requests.NodeRequest): Outcome<FileSystemStatistics>
  /** Answered when what was written before is durable (what that means is the file system's). */
  fsync(context: RequestContext, request: Requests.FsyncRequest): Completion
  fsyncdir(context: RequestContext, request: Requests.FsyncRequest): Completion
  /** Gives entries to `into` until it takes no more; 0 with none given is the end. */
  readdir(context: RequestContext, request: Requests.ReaddirRequest): Completion
  readdirplus(context: RequestContext, request: Requests.ReaddirplusRequest): Completion

  /*
   * The methods below may be left out. Where nothing else is said, the kernel is then told ENOSYS
   * and does not ask again.
   */

  /** Better left out: without it opens cost no request at all, see `session.ts`. */
  open?(context: RequestContext, request: Requests.OpenRequest): Outcome<Opened>
  opendir?(context: RequestContext, request: Requests.OpenRequest): Outcome<Opened>
  /** Only asked with `open`; answered with success when left out. */
  release?(context: RequestContext, request: Requests.NodeRequest): Completion
  releasedir?(context: RequestContext, request: Requests.NodeRequest): Completion
  /** At each close of a descriptor; better left out, close is not a sync. */
  flush?(context: RequestContext, request: Requests.NodeRequest): Completion
  setxattr?(context: RequestContext, request: Requests.SetxattrRequest): Completion
  /** The whole value; the session fits it to what was asked. -ENODATA when there is none. */
  getxattr?(context: RequestContext, request: Requests.XattrRequest): Outcome<Uint8Array>
  /** Names, each ended by a NUL. */
  listxattr?(context: RequestContext, request: Requests.NodeRequest): Outcome<Uint8Array>
  removexattr?(context: RequestContext, request: Requests.XattrRequest): Completion
  /** Other kinds than those of the request are answered EOPNOTSUPP by the session. */
  fallocate?(context: RequestContext, request: Requests.FallocateRequest): Completion
  /** Makes a regular file without a name and opens it (O_TMPFILE); `link` may name it. */
  tmpfile?(context: RequestContext, request: Requests.TmpfileRequest): Outcome<Entry>
  /** The next data or hole at or after the offset; -ENXIO past the end. */
  lseek?(context: RequestContext, request: Requests.LseekRequest): bigint | number | Deferred
  /** Not asked with `default_permissions`. */
  access?(context: RequestContext, request: Requests.AccessRequest): Completion
  /** The number of bytes copied. Left out, the kernel copies by reading and writing. */
  copyFileRange?(context: RequestContext, request: Requests.CopyFileRangeRequest): Outcome<number>
  /** A hint, never answered: the asker of a deferred request wants an early answer (EINTR). */
  interrupt?(context: RequestContext, request: Requests.InterruptRequest): void
  /** The last request of a connection, where the kernel sends one at all. */
  destroy?(context: RequestContext): void
}

const SET_UID = 0o4000
const SET_GID = 0o2000
const GROUP_EXECUTE = 0o0010

/**
 * The mode of a regular file after a write, a truncation or a change of owner by someone who may
 * not keep its privileges: no set-uid bit, and no set-gid bit where the group may execute (without
 * that it would mean mandatory locking). As Linux does it (FUSE_HANDLE_KILLPRIV_V2).
 */
export function modeWithoutPrivileges(mode: number): number {
  const kept = mode & ~SET_UID
  return (kept & GROUP_EXECUTE) === 0 ? kept : kept & ~SET_GID
}
