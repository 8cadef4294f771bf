/**
 * The failures of this room. `code` is stable and meant for programs, the message is meant for
 * people and says what to do; `cause` carries the reason from below where there is one.
 *
 * What a file operation answers to the kernel is an errno (see `errno.ts`), never one of these.
 */
export type FuseErrorCode =
  | 'FUSE_DEVICE_MISSING' // /dev/fuse does not exist or the kernel has no FUSE
  | 'FUSE_NO_PERMISSION' // opening the device or mounting is not allowed to us
  | 'FUSE_MODULE_MISSING' // the native transport's optional package is not there
  | 'FUSE_FUSERMOUNT_MISSING' // users without root mount with a program that is not installed
  | 'FUSE_MOUNT_POINT_MISSING'
  | 'FUSE_MOUNT_POINT_NOT_A_DIRECTORY'
  | 'FUSE_MOUNT_POINT_NOT_EMPTY'
  | 'FUSE_ALREADY_MOUNTED'
  | 'FUSE_NOT_MOUNTED'
  | 'FUSE_BUSY' // unmount refused: files are open below the mount point
  | 'FUSE_MOUNT_FAILED'
  | 'FUSE_UNMOUNT_FAILED'
  | 'FUSE_CONTROL_MISSING' // the kernel's control file system is not mounted
  | 'FUSE_BAD_OPTION'
  | 'FUSE_PROTOCOL' // the kernel speaks a protocol that we do not
  | 'FUSE_READ_FAILED' // the device cannot be read any more
  | 'FUSE_WRITE_FAILED' // the kernel refused a reply or a notification

export class FuseError extends Error {
  readonly code: FuseErrorCode

  constructor(code: FuseErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'FuseError'
    this.code = code
  }
}

/** The `code` of an error thrown by Node (`'ENOENT'`, ...), or undefined. */
export function systemCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}
