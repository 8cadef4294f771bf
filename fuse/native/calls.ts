/**
 * The callbacks of libfuse as file operations: one method for each, from a path to an outcome. They
 * know nothing of the binding's buffers and signals, see `handlers.ts`.
 */
import { ERRNO } from '../errno.ts'
import type { Errno } from '../errno.ts'
import { limits } from '../limits.ts'
import type { FileOperations } from '../operations.ts'
import { OPCODE } from '../protocol/opcodes.ts'
import type { OpcodeName } from '../protocol/opcodes.ts'
import type { LinkRequest, NameRequest, RequestContext, SetattrRequest } from '../requests.ts'
import { DEFERRED } from '../results.ts'
import type {
  Attributes, Bytes, Completion, Deferred, Entry, FileSystemStatistics, Outcome, Timestamp,
} from '../results.ts'
import { nativeLimits } from './limits.ts'
import { isHiddenPath, isLegible, NodePaths } from './paths.ts'

/** An offset or a size in the binding's two words. */
export interface Words {
  readonly low: number
  readonly high: number
}

export interface Owner {
  readonly uid: number
  readonly gid: number
}

const WORD_COUNT = 2 ** 32
/** chown's "leave it as it is", as an unsigned word. */
const UNCHANGED = WORD_COUNT - 1
const XATTR_CREATE = 1
const XATTR_REPLACE = 2
const UNIQUE_MAX = Number.MAX_SAFE_INTEGER

export class NativeCalls {
  readonly paths: NodePaths
  readonly #operations: FileOperations
  readonly #owner: Owner
  readonly #message = Buffer.alloc(nativeLimits.headroomBytes + nativeLimits.requestBytesMax)
  #unique = 0

  constructor(operations: FileOperations, owner: Owner) {
    this.#operations = operations
    this.#owner = owner
    this.paths = new NodePaths(operations, () => this.context('LOOKUP'))
  }

  /** Of a new request. Who asks is not told; only the user who mounted may. */
  context(name: OpcodeName): RequestContext {
    this.#unique = this.#unique === UNIQUE_MAX ? 1 : this.#unique + 1
    return { unique: this.#unique, resent: false, opcode: OPCODE[name], ...this.#owner, pid: 0 }
  }

  getattr(path: string): Outcome<Attributes> {
    return this.#on(path, (node) => this.#operations.getattr(this.context('GETATTR'), { node }))
  }

  chmod(path: string, mode: number): Completion {
    return this.#setattr(path, { mode })
  }

  chown(path: string, uid: number, gid: number): Completion {
    return this.#setattr(path, {
      uid: uid === UNCHANGED ? undefined : uid,
      gid: gid === UNCHANGED ? undefined : gid,
    })
  }

  truncate(path: string, { low, high }: Words): Completion {
    return this.#setattr(path, { size: BigInt(high) * BigInt(WORD_COUNT) + BigInt(low) })
  }

  utimens(path: string, accessed: Timestamp, modified: Timestamp): Completion {
    return this.#setattr(path, { accessed, modified })
  }

  readlink(path: string): Outcome<Bytes> {
    return this.#on(path, (node) => this.#operations.readlink(this.context('READLINK'), { node }))
  }

  symlink(target: string, path: string): Completion {
    if (!isLegible(target)) return -ERRNO.EILSEQ
    return this.#make(path, (place) =>
      this.#operations.symlink(this.context('SYMLINK'), { ...place, target: Buffer.from(target) }))
  }

  mknod(path: string, mode: number, deviceNumber: number): Completion {
    return this.#make(path, (place) =>
      this.#operations.mknod(this.context('MKNOD'), { ...place, mode, deviceNumber }))
  }

  mkdir(path: string, mode: number): Completion {
    return this.#make(path, (place) => this.#operations.mkdir(this.context('MKDIR'), { ...place, mode }))
  }

  create(path: string, mode: number): Completion {
    return this.#make(path, (place) =>
      this.#operations.create(this.context('CREATE'), { ...place, mode, exclusive: true, openFlags: 0 }))
  }

  link(path: string, newPath: string): Completion {
    return this.#on(path, (node) => this.#make(newPath, (place) => {
      const request: LinkRequest = { ...place, node }
      return this.#operations.link(this.context('LINK'), request)
    }))
  }

  unlink(path: string): Completion {
    if (this.paths.unhide(path)) return 0
    return this.#remove(path, (place) => this.#operations.unlink(this.context('UNLINK'), place))
  }

  rmdir(path: string): Completion {
    return this.#remove(path, (place) => this.#operations.rmdir(this.context('RMDIR'), place))
  }

  rename(path: string, newPath: string): Completion {
    if (isHiddenPath(newPath)) return this.#hide(path, newPath)
    const from = this.paths.place(path)
    if (typeof from === 'number') return from
    const to = this.paths.place(newPath)
    if (typeof to === 'number') return to
    const outcome = this.#operations.rename(this.context('RENAME2'), {
      ...from, newParent: to.parent, newName: to.name, noReplace: false, exchange: false,
    })
    if (outcome !== 0) return outcome
    this.paths.drop(newPath, true)
    this.paths.drop(path, true)
    return 0
  }

  /** The binding's buffer is lent until the answer, so also to an answer that comes late. */
  read(path: string, into: Buffer, offset: Words, context: RequestContext): Bytes | number | Deferred {
    return this.#on(path, (node) =>
      this.#operations.read(context, { node, ...split(offset), bytesMax: into.length, into }))
  }

  write(path: string, payload: Buffer, offset: Words, context: RequestContext): Outcome<number> {
    if (payload.length > nativeLimits.requestBytesMax) return -ERRNO.EINVAL
    const message = this.#message
    const payloadAt = nativeLimits.headroomBytes
    payload.copy(message, payloadAt)
    const killsPrivileges = false // The kernel has done it by a setattr, as it does for old protocols.
    return this.#on(path, (node) => this.#operations.write(context, {
      node, ...split(offset), payloadBytes: payload.length, payloadAt, message, fromCache: false, killsPrivileges,
    }))
  }

  fsync(path: string, dataOnly: boolean, context: RequestContext): Completion {
    return this.#on(path, (node) => this.#operations.fsync(context, { node, dataOnly }))
  }

  fsyncdir(path: string, dataOnly: boolean, context: RequestContext): Completion {
    return this.#on(path, (node) => this.#operations.fsyncdir(context, { node, dataOnly }))
  }

  /** The whole directory; 0 or a negative errno. */
  readdir(path: string, add: (name: Uint8Array, inode: number, mode: number) => void): Completion {
    return this.#on(path, (node) => this.#operations.readdir(this.context('READDIR'), {
      node,
      cookie: 0,
      into: {
        bytes: 0,
        add: (name, _, inode, mode) => {
          add(name, inode, mode)
          return true
        },
      },
    }))
  }

  statfs(): Outcome<FileSystemStatistics> {
    return this.#operations.statfs(this.context('STATFS'), { node: 1 })
  }

  setxattr(path: string, name: string, value: Buffer, flags: number): Completion {
    if (!isLegible(name)) return -ERRNO.EILSEQ
    return this.#on(path, (node) => this.#operations.setxattr?.(this.context('SETXATTR'), {
      node,
      name: Buffer.from(name),
      value: Buffer.from(value),
      createOnly: (flags & XATTR_CREATE) !== 0,
      replaceOnly: (flags & XATTR_REPLACE) !== 0,
    }) ?? -ERRNO.EOPNOTSUPP)
  }

  getxattr(path: string, name: string): Outcome<Uint8Array> {
    return this.#on(path, (node) =>
      this.#operations.getxattr?.(this.context('GETXATTR'), { node, name: Buffer.from(name) })
        ?? -ERRNO.EOPNOTSUPP)
  }

  listxattr(path: string): Outcome<Uint8Array> {
    return this.#on(path, (node) =>
      this.#operations.listxattr?.(this.context('LISTXATTR'), { node }) ?? -ERRNO.EOPNOTSUPP)
  }

  removexattr(path: string, name: string): Completion {
    return this.#on(path, (node) =>
      this.#operations.removexattr?.(this.context('REMOVEXATTR'), { node, name: Buffer.from(name) })
        ?? -ERRNO.EOPNOTSUPP)
  }

  #on<Result>(path: string, call: (node: number) => Result): Result | Errno {
    const node = this.paths.node(path)
    return node < 0 ? node : call(node)
  }

  #setattr(path: string, change: Omit<SetattrRequest, 'node' | 'killsPrivileges'>): Completion {
    const outcome = this.#on(path, (node) =>
      this.#operations.setattr(this.context('SETATTR'), { ...change, node, killsPrivileges: false }))
    return completed(outcome)
  }

  #make(path: string, call: (place: NameRequest) => Outcome<Entry>): Completion {
    const place = this.paths.place(path)
    if (typeof place === 'number') return place
    const outcome = call(place)
    if (typeof outcome === 'object') this.paths.adopt(path, outcome.node)
    return completed(outcome)
  }

  #remove(path: string, call: (place: NameRequest) => Completion): Completion {
    const place = this.paths.place(path)
    if (typeof place === 'number') return place
    const outcome = call(place)
    if (outcome === 0) this.paths.drop(path, false)
    return outcome
  }

  /** libfuse wants a file that is open out of the way: it loses its name and goes on. */
  #hide(path: string, hiddenPath: string): Completion {
    const node = this.paths.node(path)
    if (node < 0) return node
    const place = this.paths.place(path)
    if (typeof place === 'number') return place
    // Looking the directories up may have pushed the file's own path out again.
    if (this.paths.node(path) !== node) return -ERRNO.EIO
    const outcome = this.#operations.unlink(this.context('UNLINK'), place)
    if (outcome === 0) this.paths.hide(hiddenPath, node, path)
    return outcome
  }
}

/** Without a value. What changes names and attributes is never answered late by our file system. */
function completed(outcome: object | Errno | Deferred): Completion {
  if (outcome === DEFERRED) return outcome
  return typeof outcome === 'number' ? outcome : 0
}

function split({ low, high }: Words): { chunk: number; within: number } {
  const { chunkBytes } = limits
  return { chunk: high * (WORD_COUNT / chunkBytes) + Math.floor(low / chunkBytes), within: low % chunkBytes }
}
