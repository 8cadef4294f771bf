/** The file operations of a mount, on the head of its image. */
import { ERRNO } from '../../fuse/index.ts'
import type * as fuse from '../../fuse/index.ts'
import type { Head } from '../image/head.ts'
import {
  changeAttributes, readAttributes, removeAttribute, setAttribute,
} from '../image/head-attributes.ts'
import { link, lookup, make, makeUnnamed, remove, removal, rename } from '../image/head-names.ts'
import type { NewInode } from '../image/head-names.ts'
import type { InodeState } from '../image/inode-state.ts'
import { rootInode } from '../image/ingest.ts'
import { listNames } from '../image/listing.ts'
import { fileType } from '../image/modes.ts'
import { nameBytesMax } from '../limits.ts'
import { attributesOf, entryOf, nanoseconds } from './attributes.ts'
import * as data from './data-operations.ts'
import type { DataContext } from './data-operations.ts'

/** Cookies 1 and 2 stand behind `.` and `..`; a name's cookie is its key and this. */
const firstCookie = 3
const blockBytes = 4096
const systemPrefix = Buffer.from('system.')

export class HeadOperations implements fuse.FileOperations {
  readonly #head: Head
  readonly #data: DataContext

  constructor(context: DataContext) {
    this.#head = context.head
    this.#data = context
  }

  lookup(_: fuse.RequestContext, { parent, name }: fuse.NameRequest): fuse.Outcome<fuse.Entry | fuse.AbsentEntry> {
    const directory = this.#head.inode(parent)
    if (directory === null) return -ERRNO.ESTALE
    const found = lookup(this.#head, directory, name)
    // A machine's memory file appears in the root without the kernel's doing: no absence is remembered there.
    if (found === -ERRNO.ENOENT && parent !== rootInode) return { node: 0 }
    return this.#entered(foundIn(parent, found))
  }

  forget(context: fuse.RequestContext, { node, count }: fuse.ForgetRequest): void {
    if (node !== rootInode) this.#head.forget(node, count, BigInt(context.unique), removal)
  }

  batchForget(context: fuse.RequestContext, { forgets }: fuse.BatchForgetRequest): void {
    for (const each of forgets) this.forget(context, each)
  }

  getattr(_: fuse.RequestContext, { node }: fuse.NodeRequest): fuse.Outcome<fuse.Attributes> {
    const state = this.#head.inode(node)
    return state === null ? -ERRNO.ESTALE : attributesOf(this.#head, state)
  }

  setattr(context: fuse.RequestContext, request: fuse.SetattrRequest): fuse.Outcome<fuse.Attributes> {
    const state = this.#head.inode(request.node)
    if (state === null) return -ERRNO.ESTALE
    const unique = BigInt(context.unique)
    const isLast = !changesAttributes(request)
    const isOwned = request.uid !== undefined || request.gid !== undefined
    const killsPrivileges = request.killsPrivileges || isOwned
    const drops = (killsPrivileges || request.size !== undefined) &&
      data.hasPrivileges(this.#head, state, killsPrivileges)
    if (request.size !== undefined) {
      const failed = data.resize(this.#head, state, request.size, isLast && !drops ? unique : data.partOf)
      if (failed !== 0) return failed
    }
    if (drops) data.dropPrivileges(this.#head, state, killsPrivileges, isLast ? unique : data.partOf)
    const failed = this.#setAttributes(state, request, unique)
    return failed === 0 ? attributesOf(this.#head, state) : failed
  }

  readlink(_: fuse.RequestContext, { node }: fuse.NodeRequest): fuse.Outcome<fuse.Bytes> {
    return this.#head.inode(node)?.target ?? -ERRNO.ESTALE
  }

  symlink(context: fuse.RequestContext, request: fuse.SymlinkRequest): fuse.Outcome<fuse.Entry> {
    if (request.target.length === 0) return -ERRNO.ENOENT
    return this.#make(context, request, { mode: fileType.link | 0o777, target: request.target })
  }

  mknod(context: fuse.RequestContext, request: fuse.MknodRequest): fuse.Outcome<fuse.Entry> {
    return this.#make(context, request, { mode: request.mode, deviceNumber: request.deviceNumber })
  }

  mkdir(context: fuse.RequestContext, request: fuse.MakeRequest): fuse.Outcome<fuse.Entry> {
    return this.#make(context, request, { mode: fileType.directory | (request.mode & 0o7777) })
  }

  create(context: fuse.RequestContext, request: fuse.CreateRequest): fuse.Outcome<fuse.Entry> {
    return this.#make(context, request, { mode: fileType.regular | (request.mode & 0o7777) })
  }

  tmpfile(context: fuse.RequestContext, { parent, mode, exclusive }: fuse.TmpfileRequest): fuse.Outcome<fuse.Entry> {
    const directory = this.#head.inode(parent)
    if (directory === null) return -ERRNO.ESTALE
    const { uid, gid } = context
    const made = { mode: fileType.regular | (mode & 0o7777), uid, gid, isLinkable: !exclusive }
    return this.#entered(makeUnnamed(this.#head, directory, made, BigInt(context.unique)))
  }

  unlink(context: fuse.RequestContext, request: fuse.NameRequest): fuse.Completion {
    return this.#remove(context, request, 'other')
  }

  rmdir(context: fuse.RequestContext, request: fuse.NameRequest): fuse.Completion {
    return this.#remove(context, request, 'directory')
  }

  rename(context: fuse.RequestContext, request: fuse.RenameRequest): fuse.Completion {
    const parent = this.#head.inode(request.parent)
    const newParent = this.#head.inode(request.newParent)
    if (parent === null || newParent === null) return -ERRNO.ESTALE
    const failed = rename(this.#head, { ...request, parent, newParent }, BigInt(context.unique))
    if (failed === 0) foundIn(newParent.number, lookup(this.#head, newParent, request.newName))
    if (failed === 0 && request.exchange) foundIn(parent.number, lookup(this.#head, parent, request.name))
    return failed
  }

  link(context: fuse.RequestContext, request: fuse.LinkRequest): fuse.Outcome<fuse.Entry> {
    const state = this.#head.inode(request.node)
    const parent = this.#head.inode(request.parent)
    if (state === null || parent === null) return -ERRNO.ESTALE
    return this.#entered(link(this.#head, state, parent, request.name, BigInt(context.unique)))
  }

  read(_: fuse.RequestContext, request: fuse.ReadRequest): number {
    return data.read(this.#data, request)
  }

  write(context: fuse.RequestContext, request: fuse.WriteRequest): number | fuse.Deferred {
    return data.write(this.#data, context, request)
  }

  interrupt(_: fuse.RequestContext, { target }: fuse.InterruptRequest): void {
    this.#data.parked.interrupt(target)
  }

  fallocate(context: fuse.RequestContext, request: fuse.FallocateRequest): fuse.Completion {
    return data.fallocate(this.#head, request, BigInt(context.unique))
  }

  lseek(_: fuse.RequestContext, request: fuse.LseekRequest): bigint | number {
    return data.lseek(this.#head, request)
  }

  fsync(context: fuse.RequestContext, request: fuse.FsyncRequest): fuse.Completion {
    return data.sync(this.#data, context, request.node)
  }

  fsyncdir(context: fuse.RequestContext, request: fuse.FsyncRequest): fuse.Completion {
    return data.sync(this.#data, context, request.node)
  }

  statfs(): fuse.FileSystemStatistics {
    const free = Math.floor(Math.max(0, this.#head.freeBytes()) / blockBytes)
    const used = Math.ceil(this.#head.log.unretiredBytes / blockBytes)
    return {
      blockBytes, blockCount: free + used, freeBlockCount: free, availableBlockCount: free,
      inodeCount: this.#head.inodeCount + 2 ** 32, freeInodeCount: 2 ** 32, nameBytesMax,
    }
  }

  readdir(_: fuse.RequestContext, request: fuse.ReaddirRequest): fuse.Completion {
    return this.#list(request.node, request.cookie, (name, cookie, inode, mode) =>
      request.into.add(name, cookie, inode, mode))
  }

  readdirplus(_: fuse.RequestContext, request: fuse.ReaddirplusRequest): fuse.Completion {
    return this.#list(request.node, request.cookie, (name, cookie, inode, mode) => {
      const state = this.#head.inode(inode)
      if (state === null) return true
      const isTaken = request.into.add(name, cookie, entryOf(this.#head, state))
      if (isTaken && cookie >= firstCookie) {
        state.references += 1
        state.parent = request.node
      }
      return isTaken && mode >= 0
    })
  }

  setxattr(context: fuse.RequestContext, request: fuse.SetxattrRequest): fuse.Completion {
    const state = this.#attributed(request)
    if (typeof state === 'number') return state
    return setAttribute(this.#head, state, request.name, request.value, request, BigInt(context.unique))
  }

  getxattr(_: fuse.RequestContext, request: fuse.XattrRequest): fuse.Outcome<Uint8Array> {
    const state = this.#attributed(request)
    if (typeof state === 'number') return state
    return readAttributes(this.#head, state).get(request.name.toString('latin1')) ?? -ERRNO.ENODATA
  }

  listxattr(_: fuse.RequestContext, request: fuse.NodeRequest): fuse.Outcome<Uint8Array> {
    const state = this.#head.inode(request.node)
    if (state === null) return -ERRNO.ESTALE
    return Buffer.from([...readAttributes(this.#head, state).keys()].map((name) => `${name}\0`).join(''), 'latin1')
  }

  removexattr(context: fuse.RequestContext, request: fuse.XattrRequest): fuse.Completion {
    const state = this.#attributed(request)
    if (typeof state === 'number') return state
    return removeAttribute(this.#head, state, request.name, BigInt(context.unique))
  }

  /**
   * Access control lists are refused: nobody would enforce them, and a program that could store one takes it
   * for the mode's bits as well.
   */
  #attributed({ node, name }: fuse.XattrRequest): InodeState | number {
    if (name.subarray(0, systemPrefix.length).equals(systemPrefix)) return -ERRNO.EOPNOTSUPP
    return this.#head.inode(node) ?? -ERRNO.ESTALE
  }

  #make(
    context: fuse.RequestContext, request: fuse.NameRequest, made: Omit<NewInode, 'uid' | 'gid'>,
  ): fuse.Outcome<fuse.Entry> {
    const parent = this.#head.inode(request.parent)
    if (parent === null) return -ERRNO.ESTALE
    const { uid, gid } = context
    const state = make(this.#head, parent, request.name, { ...made, uid, gid }, BigInt(context.unique))
    return this.#entered(foundIn(request.parent, state))
  }

  #remove(context: fuse.RequestContext, request: fuse.NameRequest, wants: 'directory' | 'other'): fuse.Completion {
    const parent = this.#head.inode(request.parent)
    return parent === null ? -ERRNO.ESTALE : remove(this.#head, parent, request.name, wants, BigInt(context.unique))
  }

  /** An entry given to the kernel is one reference. */
  #entered(outcome: InodeState | number): fuse.Outcome<fuse.Entry> {
    if (typeof outcome === 'number') return outcome
    outcome.references += 1
    return entryOf(this.#head, outcome)
  }

  #setAttributes(state: InodeState, request: fuse.SetattrRequest, unique: bigint): number {
    if (!changesAttributes(request)) return 0
    const { mode, uid, gid, accessed, modified, changed } = request
    const time = (value: fuse.Timestamp | 'now' | undefined): bigint | undefined =>
      value === undefined ? undefined : value === 'now' ? this.#head.nowNs() : nanoseconds(value)
    return changeAttributes(this.#head, state, {
      mode, uid, gid, accessedNs: time(accessed), modifiedNs: time(modified), changedNs: time(changed),
    }, unique)
  }

  #list(
    node: number, cookie: number, add: (name: Buffer, cookie: number, inode: number, mode: number) => boolean,
  ): fuse.Completion {
    const directory = this.#head.inode(node)
    if (directory === null) return -ERRNO.ESTALE
    if (cookie < 1 && !add(Buffer.from('.'), 1, node, fileType.directory)) return 0
    if (cookie < 2 && !add(Buffer.from('..'), 2, directory.parent || node, fileType.directory)) return 0
    const from = cookie < firstCookie ? 0 : cookie - firstCookie + 1
    for (const { key, name, inode, type } of listNames(this.#head, directory, from)) {
      if (!add(name, key + firstCookie, inode, type << 12)) return 0
    }
    return 0
  }
}

/** A directory has one parent, which its listing names. */
function foundIn(parent: number, found: InodeState | number): InodeState | number {
  if (typeof found !== 'number') found.parent = parent
  return found
}

function changesAttributes({ mode, uid, gid, accessed, modified, changed }: fuse.SetattrRequest): boolean {
  return [mode, uid, gid, accessed, modified, changed].some((value) => value !== undefined)
}
