import { accessSync, constants, readdirSync, readlinkSync } from 'node:fs'
import { isMainThread } from 'node:worker_threads'
import { ERRNO } from '../errno.ts'
import { FuseError, systemCode } from '../errors.ts'
import { findFusermount } from '../fusermount.ts'
import type { LateReplies } from '../late-replies.ts'
import { checkMountPoint, FILE_SYSTEM_TYPE, FUSE_DEVICE } from '../mount.ts'
import { mountAt } from '../mountinfo.ts'
import type { FileOperations } from '../operations.ts'
import { loadBinding } from './binding.ts'
import type { NativeBinding } from './binding.ts'
import { NativeCalls } from './calls.ts'
import { handlersFor } from './handlers.ts'
import type { NativeCounts } from './handlers.ts'
import { nativeLimits } from './limits.ts'
import { NativeReplies } from './replies.ts'

export interface NativeMountOptions {
  /** An existing empty directory, of the user who mounts. */
  readonly directory: string
  /** Shown as the mount's source. */
  readonly name: string
  readonly operations: FileOperations
  /** A throw of the file system. May not throw. */
  readonly onFault: (error: unknown) => void
}

const DESCRIPTORS = '/proc/self/fd'

/**
 * A mount served through fuse-native by the event loop of the main thread: each request is a turn of
 * it, so what blocks the loop blocks the mount, and a synchronous access of the loop's own thread to
 * the mount would wait for itself for ever.
 *
 * It ends by `unmount` (of `mount.ts`) or from outside; then `ended` resolves and `close` is due. The
 * kernel lets only the user who mounted it in.
 */
export class NativeMount {
  readonly directory: string
  readonly device: string
  /** Resolves when the kernel has let go of the connection, after the last file is closed. */
  readonly ended: Promise<void>
  readonly #binding: NativeBinding
  readonly #thread: Buffer
  /** The buffers of libfuse's threads: theirs as long as there may be one. */
  readonly #locals: Buffer[] = []
  readonly #calls: NativeCalls
  readonly #replies = new NativeReplies()
  readonly #counts: NativeCounts = { requestCount: 0, faultCount: 0 }
  readonly #descriptor: string | undefined
  #watch: NodeJS.Timeout | null = null
  #hasEnded: () => void = () => undefined
  #isClosed = false

  private constructor(options: NativeMountOptions, binding: NativeBinding, directory: string) {
    this.directory = directory
    this.#binding = binding
    this.#thread = Buffer.alloc(binding.sizeof_fuse_thread_t)
    const owner = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 }
    this.#calls = new NativeCalls(options.operations, owner)
    const { handlers, implemented } = handlersFor(binding, {
      calls: this.#calls, replies: this.#replies, counts: this.#counts, onFault: options.onFault,
    })
    const before = connections()
    const allocate = (bytes: number): Buffer => this.#keep(Buffer.alloc(bytes))
    binding.fuse_native_mount(directory, optionText(options.name), this.#thread, this, allocate, handlers, implemented)
    this.#descriptor = connections().find((each) => !before.includes(each))
    this.ended = new Promise((resolve) => (this.#hasEnded = resolve))
    this.device = mountAt(directory)?.device ?? ''
    this.#watchEvery(nativeLimits.watchMs)
  }

  /**
   * FUSE_MODULE_MISSING, FUSE_NO_PERMISSION and FUSE_DEVICE_MISSING with what is needed, FUSE_BAD_OPTION, FUSE_MOUNT_*
   * as `mount`.
   */
  static open(options: NativeMountOptions): NativeMount {
    if (!isMainThread) {
      throw new FuseError('FUSE_BAD_OPTION', 'the native transport serves from the main thread of a process only')
    }
    const directory = checkMountPoint(options.directory)
    const longest = Math.max(Buffer.byteLength(directory), Buffer.byteLength(optionText(options.name)))
    if (longest > nativeLimits.mountTextBytesMax) {
      const most = nativeLimits.mountTextBytesMax
      throw new FuseError('FUSE_BAD_OPTION', `a path or name of ${longest} bytes: the native transport takes ${most}`)
    }
    const binding = loadBinding()
    checkDevice()
    if (process.geteuid?.() !== 0) findFusermount()
    try {
      return new NativeMount(options, binding, directory)
    } catch (cause) {
      throw cause instanceof FuseError ? cause : refused(directory, cause)
    }
  }

  get replies(): LateReplies {
    return this.#replies
  }

  get counts(): Readonly<NativeCounts> {
    return this.#counts
  }

  /** Look out for the end more often from now on: the mount is being taken down. */
  expectEnd(): void {
    this.#watchEvery(nativeLimits.endingWatchMs)
  }

  /** After `ended`. Requests that still wait are failed, the references of all paths given back. Idempotent. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    if (this.#watch !== null) clearInterval(this.#watch)
    this.#replies.failAll(-ERRNO.ENOTCONN)
    this.#calls.paths.clear()
    this.#binding.fuse_native_unmount(this.directory, this.#thread)
  }

  #keep(buffer: Buffer): Buffer {
    this.#locals.push(buffer)
    return buffer
  }

  /** libfuse closes its descriptor when its loop ends, and tells nobody. */
  #watchEvery(ms: number): void {
    if (this.#watch !== null) clearInterval(this.#watch)
    this.#watch = setInterval(() => {
      if (isConnection(this.#descriptor)) return
      if (this.#watch !== null) clearInterval(this.#watch)
      this.#hasEnded()
    }, ms)
  }
}

/**
 * Links are known as one file by their inode number (use_ino). Each name has a cache of its own in the
 * kernel, so attributes are not kept (attr_timeout) and pages only while a file is open (no kernel_cache).
 */
function optionText(name: string): string {
  const type = FILE_SYSTEM_TYPE.slice(FILE_SYSTEM_TYPE.indexOf('.') + 1)
  const source = name.replaceAll(/[\\,]/g, '\\$&')
  return `-ofsname=${source},subtype=${type},default_permissions,use_ino,big_writes,attr_timeout=0`
}

function connections(): string[] {
  return readdirSync(DESCRIPTORS).filter(isConnection)
}

function isConnection(descriptor: string | undefined): boolean {
  if (descriptor === undefined) return false
  try {
    return readlinkSync(`${DESCRIPTORS}/${descriptor}`) === FUSE_DEVICE
  } catch {
    return false // Closed: a descriptor that is not there has no link.
  }
}

/** libfuse would say so too, but on standard error and not to us. */
function checkDevice(): void {
  try {
    accessSync(FUSE_DEVICE, constants.R_OK | constants.W_OK)
  } catch (cause) {
    const isThere = systemCode(cause) === 'EACCES'
    throw new FuseError(
      isThere ? 'FUSE_NO_PERMISSION' : 'FUSE_DEVICE_MISSING',
      isThere
        ? `${FUSE_DEVICE} may not be opened by this user: an administrator can allow it with "chmod 666 ${FUSE_DEVICE}"`
        : `${FUSE_DEVICE} is missing (${systemCode(cause)}): load the module with "modprobe fuse"`,
      { cause },
    )
  }
}

function refused(directory: string, cause: unknown): FuseError {
  return new FuseError(
    'FUSE_MOUNT_FAILED',
    `fuse-native cannot mount on ${directory} (libfuse has said why on standard error): ` +
      'the directory must belong to the user, and fusermount must be set-uid root',
    { cause },
  )
}
