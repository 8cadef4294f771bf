/** A transport's failure in our words and codes. */
import type { FuseError, FuseErrorCode } from '../../fuse/index.ts'
import { HoldfastError } from '../errors.ts'
import type { ErrorCode } from '../errors.ts'

const codes: Partial<Record<FuseErrorCode, ErrorCode>> = {
  FUSE_BUSY: 'BUSY',
  FUSE_ALREADY_MOUNTED: 'BUSY',
  FUSE_MOUNT_POINT_NOT_EMPTY: 'BUSY',
  FUSE_MOUNT_POINT_MISSING: 'NOT_FOUND',
  FUSE_MOUNT_POINT_NOT_A_DIRECTORY: 'USAGE',
  FUSE_NOT_MOUNTED: 'NOT_FOUND',
  FUSE_NO_PERMISSION: 'UNSUPPORTED',
  FUSE_DEVICE_MISSING: 'UNSUPPORTED',
  FUSE_MODULE_MISSING: 'UNSUPPORTED',
  FUSE_FUSERMOUNT_MISSING: 'UNSUPPORTED',
}

export function fromFuse(error: FuseError): HoldfastError {
  return new HoldfastError(codes[error.code] ?? 'IO', error.message, { cause: error })
}

export function memoryUnsupported(transport: string): HoldfastError {
  return new HoldfastError('UNSUPPORTED', `the ${transport} transport cannot hold a machine's memory: a machine ` +
    'needs the kernel transport')
}

/** `errno` is negative. */
export function memoryRefused(name: string, errno: number): HoldfastError {
  const code = errno === -17 ? 'EXISTS' : errno === -28 ? 'NO_SPACE' : 'IO'
  return new HoldfastError(code, `the memory file ${name} could not be made (errno ${-errno}): is there one?`)
}
