/** A whole file system in memory: what the tests mount. It keeps the contract of FileOperations. */
import { ERRNO, modeWithoutPrivileges } from '../../fuse/index.ts'
import type * as fuse from '../../fuse/index.ts'
import { DIRECTORY, LINK, MemoryInode, now, REGULAR, TYPE_MASK } from './memory-inode.ts'
import type { Slot } from './memory-inode.ts'

const ROOT = 1
const NAME_BYTES_MAX = 255
const SIZE_MAX = 2 ** 52
const CHUNK_BYTES = 65_536
const SET_GID = 0o2000

export class MemoryFileSystem implements fuse.FileOperations {
  readonly inodes = new Map<number, MemoryInode>()
  #lastNode = ROOT

  constructor() {
    this.inodes.set(ROOT, new MemoryInode(ROOT, ROOT, DIRECTORY | 0o755, 0, 0))
  }

  lookup(_: fuse.RequestContext, { parent, name }: fuse.NameRequest): fuse.Entry | fuse.AbsentEntry | fuse.Errno {
    if (name.length > NAME_BYTES_MAX) return -ERRNO.ENAMETOOLONG
    const slot = this.#at(parent).slots.get(name.toString('latin1'))
    return slot === undefined ? { node: 0 } : this.#entry(this.#at(slot.node))
  }

  forget(_: fuse.RequestContext, { node, count }: fuse.ForgetRequest): void {
    const inode = this.inodes.get(node)
    if (inode === undefined) return
    inode.references -= count
    this.#drop(inode)
  }

  batchForget(context: fuse.RequestContext, { forgets }: fuse.BatchForgetRequest): void {
    for (const each of forgets) this.forget(context, each)
  }

  getattr(_: fuse.RequestContext, { node }: fuse.NodeRequest): fuse.Attributes {
    return this.#at(node).attributes
  }

  setattr(_: fuse.RequestContext, request: fuse.SetattrRequest): fuse.Outcome<fuse.Attributes> {
    const inode = this.#at(request.node)
    if (request.size !== undefined) {
      if (request.size > SIZE_MAX) return -ERRNO.EFBIG
      inode.contents.truncate(Number(request.size))
      inode.touch()
    }
    if (request.mode !== undefined) inode.mode = (inode.mode & TYPE_MASK) | (request.mode & ~TYPE_MASK)
    inode.uid = request.uid ?? inode.uid
    inode.gid = request.gid ?? inode.gid
    const isOwnerChanged = request.uid !== undefined || request.gid !== undefined
    if (request.killsPrivileges || isOwnerChanged) this.#killPrivileges(inode)
    inode.accessed = timeOf(request.accessed) ?? inode.accessed
    inode.modified = timeOf(request.modified) ?? inode.modified
    inode.changed = request.changed ?? now()
    return inode.attributes
  }

  readlink(_: fuse.RequestContext, { node }: fuse.NodeRequest): fuse.Bytes {
    return this.#at(node).target
  }

  symlink(context: fuse.RequestContext, request: fuse.SymlinkRequest): fuse.Outcome<fuse.Entry> {
    return this.#make(context, { ...request, mode: LINK | 0o777 }, (inode) => {
      inode.target = Buffer.from(request.target)
    })
  }

  mknod(context: fuse.RequestContext, request: fuse.MknodRequest): fuse.Outcome<fuse.Entry> {
    return this.#make(context, request, (inode) => {
      inode.deviceNumber = request.deviceNumber
    })
  }

  mkdir(context: fuse.RequestContext, request: fuse.MakeRequest): fuse.Outcome<fuse.Entry> {
    return this.#make(context, { ...request, mode: DIRECTORY | request.mode }, () => {
      this.#at(request.parent).linkCount++
    })
  }

  create(context: fuse.RequestContext, request: fuse.CreateRequest): fuse.Outcome<fuse.Entry> {
    return this.#make(context, { ...request, mode: REGULAR | (request.mode & ~TYPE_MASK) })
  }

  unlink(_: fuse.RequestContext, { parent, name }: fuse.NameRequest): fuse.Errno {
    const slot = this.#slot(parent, name)
    return slot === undefined ? -ERRNO.ENOENT : this.#removeSlot(parent, slot)
  }

  rmdir(_: fuse.RequestContext, { parent, name }: fuse.NameRequest): fuse.Errno {
    const slot = this.#slot(parent, name)
    if (slot === undefined) return -ERRNO.ENOENT
    if (this.#at(slot.node).slots.size > 0) return -ERRNO.ENOTEMPTY
    return this.#removeSlot(parent, slot)
  }

  rename(_: fuse.RequestContext, request: fuse.RenameRequest): fuse.Errno {
    const from = this.#slot(request.parent, request.name)
    const to = this.#slot(request.newParent, request.newName)
    if (from === undefined) return -ERRNO.ENOENT
    if (request.exchange) return to === undefined ? -ERRNO.ENOENT : this.#exchange(request, from, to)
    if (to !== undefined && request.noReplace) return -ERRNO.EEXIST
    if (to?.node === from.node) return 0
    if (to !== undefined) {
      if (this.#at(to.node).slots.size > 0) return -ERRNO.ENOTEMPTY
      this.#removeSlot(request.newParent, to)
    }
    this.#at(request.parent).slots.delete(from.name.toString('latin1'))
    this.#move(request.parent, request.newParent, request.newName, from.node)
    return 0
  }

  link(_: fuse.RequestContext, { parent, name, node }: fuse.LinkRequest): fuse.Outcome<fuse.Entry> {
    if (this.#slot(parent, name) !== undefined) return -ERRNO.EEXIST
    const inode = this.#at(node)
    inode.linkCount++
    inode.changed = now()
    this.#at(parent).put(name, node)
    this.#at(parent).touch()
    return this.#entry(inode)
  }

  read(_: fuse.RequestContext, request: fuse.ReadRequest): fuse.Bytes | number | fuse.Deferred {
    const offset = request.chunk * CHUNK_BYTES + request.within
    return this.#at(request.node).contents.read(offset, request.bytesMax, request.into)
  }

  write(_: fuse.RequestContext, request: fuse.WriteRequest): fuse.Outcome<number> {
    const { chunk, within, message, payloadAt, payloadBytes } = request
    const offset = chunk * CHUNK_BYTES + within
    if (offset + payloadBytes > SIZE_MAX) return -ERRNO.EFBIG
    const inode = this.#at(request.node)
    inode.contents.write(offset, message, payloadAt, payloadBytes)
    if (request.killsPrivileges) this.#killPrivileges(inode)
    inode.touch()
    return payloadBytes
  }

  statfs(): fuse.FileSystemStatistics {
    return {
      blockBytes: 4096,
      blockCount: 1_000_000,
      freeBlockCount: 600_000,
      availableBlockCount: 500_000,
      inodeCount: 70_000 + this.inodes.size,
      freeInodeCount: 70_000,
      nameBytesMax: NAME_BYTES_MAX,
    }
  }

  fsync(): fuse.Completion {
    return 0
  }

  fsyncdir(): fuse.Completion {
    return 0
  }

  readdir(_: fuse.RequestContext, { node, cookie, into }: fuse.ReaddirRequest): fuse.Completion {
    for (const slot of this.#listing(node, cookie)) {
      const { mode } = this.#at(slot.node)
      if (!into.add(slot.name, slot.cookie, slot.node, mode)) break
    }
    return 0
  }

  readdirplus(_: fuse.RequestContext, { node, cookie, into }: fuse.ReaddirplusRequest): fuse.Completion {
    for (const slot of this.#listing(node, cookie)) {
      const inode = this.#at(slot.node)
      if (!into.add(slot.name, slot.cookie, { node: slot.node, attributes: inode.attributes })) break
      if (slot.cookie > 2) inode.references++
    }
    return 0
  }

  setxattr(_: fuse.RequestContext, request: fuse.SetxattrRequest): fuse.Completion {
    const { xattrs } = this.#at(request.node)
    const key = request.name.toString('latin1')
    if (request.createOnly && xattrs.has(key)) return -ERRNO.EEXIST
    if (request.replaceOnly && !xattrs.has(key)) return -ERRNO.ENODATA
    xattrs.set(key, request.value)
    return 0
  }

  getxattr(_: fuse.RequestContext, { node, name }: fuse.XattrRequest): fuse.Outcome<Uint8Array> {
    return this.#at(node).xattrs.get(name.toString('latin1')) ?? -ERRNO.ENODATA
  }

  listxattr(_: fuse.RequestContext, { node }: fuse.NodeRequest): Uint8Array {
    return Buffer.from([...this.#at(node).xattrs.keys()].map((key) => `${key}\0`).join(''), 'latin1')
  }

  removexattr(_: fuse.RequestContext, { node, name }: fuse.XattrRequest): fuse.Completion {
    return this.#at(node).xattrs.delete(name.toString('latin1')) ? 0 : -ERRNO.ENODATA
  }

  fallocate(_: fuse.RequestContext, request: fuse.FallocateRequest): fuse.Completion {
    const { contents } = this.#at(request.node)
    const end = Number(request.offset + request.bytes)
    if (end > SIZE_MAX) return -ERRNO.EFBIG
    if (request.kind !== 'allocate') contents.zero(Number(request.offset), end)
    if (!request.keepSize) contents.size = Math.max(contents.size, end)
    this.#at(request.node).touch()
    return 0
  }

  lseek(_: fuse.RequestContext, { node, whence, offset }: fuse.LseekRequest): bigint | fuse.Errno {
    const found = this.#at(node).contents.seek(whence, Number(offset))
    return found === undefined ? -ERRNO.ENXIO : BigInt(found)
  }

  #at(node: number): MemoryInode {
    const inode = this.inodes.get(node)
    if (inode === undefined) throw new Error(`the kernel names node ${node}, which is gone`)
    return inode
  }

  #slot(parent: number, name: Buffer): Slot | undefined {
    return this.#at(parent).slots.get(name.toString('latin1'))
  }

  #entry(inode: MemoryInode): fuse.Entry {
    inode.references++
    return { node: inode.node, attributes: inode.attributes }
  }

  #make(
    context: fuse.RequestContext,
    { parent, name, mode }: fuse.MakeRequest,
    prepare?: (inode: MemoryInode) => void,
  ): fuse.Outcome<fuse.Entry> {
    if (name.length > NAME_BYTES_MAX) return -ERRNO.ENAMETOOLONG
    if (this.#slot(parent, name) !== undefined) return -ERRNO.EEXIST
    const directory = this.#at(parent)
    const isInherited = (directory.mode & SET_GID) !== 0
    const gid = isInherited ? directory.gid : context.gid
    const inode = new MemoryInode(++this.#lastNode, parent, mode, context.uid, gid)
    if (isInherited && inode.isDirectory) inode.mode |= SET_GID
    prepare?.(inode)
    this.inodes.set(inode.node, inode)
    directory.put(name, inode.node)
    directory.touch()
    return this.#entry(inode)
  }

  #removeSlot(parent: number, slot: Slot): fuse.Errno {
    const directory = this.#at(parent)
    const inode = this.#at(slot.node)
    directory.slots.delete(slot.name.toString('latin1'))
    directory.touch()
    if (inode.isDirectory) directory.linkCount--
    inode.linkCount = inode.isDirectory ? 0 : inode.linkCount - 1
    inode.changed = now()
    this.#drop(inode)
    return 0
  }

  #exchange(request: fuse.RenameRequest, from: Slot, to: Slot): fuse.Errno {
    this.#move(request.newParent, request.parent, request.name, to.node)
    this.#move(request.parent, request.newParent, request.newName, from.node)
    return 0
  }

  #move(parent: number, newParent: number, newName: Buffer, node: number): void {
    const inode = this.#at(node)
    this.#at(newParent).put(newName, node)
    if (inode.isDirectory) {
      this.#at(parent).linkCount--
      this.#at(newParent).linkCount++
      inode.parent = newParent
    }
    this.#at(parent).touch()
    this.#at(newParent).touch()
    inode.changed = now()
  }

  *#listing(node: number, cookie: number): Generator<Slot> {
    const directory = this.#at(node)
    if (cookie < 1) yield { name: Buffer.from('.'), cookie: 1, node }
    if (cookie < 2) yield { name: Buffer.from('..'), cookie: 2, node: directory.parent }
    for (const slot of directory.slots.values()) if (slot.cookie > cookie) yield slot
  }

  #killPrivileges(inode: MemoryInode): void {
    if (inode.isRegular) inode.mode = modeWithoutPrivileges(inode.mode)
    inode.xattrs.delete('security.capability')
  }

  #drop(inode: MemoryInode): void {
    if (inode.linkCount === 0 && inode.references === 0) this.inodes.delete(inode.node)
  }
}

function timeOf(time: fuse.Timestamp | 'now' | undefined): fuse.Timestamp | undefined {
  return time === 'now' ? now() : time
}
