/**
 * The requests of the kernel as data: one row each. The dispatcher, the decoder's length checks
 * and the tracing printer all read this table and nothing else about an opcode's shape.
 */
import type { FileOperations } from '../operations.ts'
import { ERRNO } from '../errno.ts'
import type { Errno } from '../errno.ts'
import type { Layout } from './layout.ts'
import * as structures from './structures.ts'

/** How a successful outcome is encoded; `none` means that the kernel expects no reply. */
export type ReplyKind =
  | 'none'
  | 'done'
  | 'entry'
  | 'created'
  | 'attributes'
  | 'opened'
  | 'bytes'
  | 'filled'
  | 'written'
  | 'statistics'
  | 'value'
  | 'offset'
  | 'session'

export interface OpcodeRow {
  readonly opcode: number
  readonly name: string
  /** The method of FileOperations that carries it out; null where the session answers itself. */
  readonly operation: keyof FileOperations | null
  /** Carrying it out twice differs from once, or a caller sees that it was: resent ones need care. */
  readonly mutates: boolean
  /** The structure behind the header. */
  readonly fixed: Layout<string>
  /** NUL-ended names behind the structure. */
  readonly names: number
  readonly reply: ReplyKind
  /** The answer when there is no such method: an errno, or 0 for success. */
  readonly absent: Errno
}

type Shape = Partial<Pick<OpcodeRow, 'fixed' | 'names' | 'mutates' | 'absent'>>

const NO_METHOD: Shape = {}

function row<Name extends string>(
  opcode: number,
  name: Name,
  operation: keyof FileOperations | null,
  reply: ReplyKind,
  shape: Shape = NO_METHOD,
): OpcodeRow & { readonly name: Name } {
  const { fixed = structures.NOTHING, names = 0, mutates = false, absent = -ERRNO.ENOSYS } = shape
  return Object.freeze({ opcode, name, operation, reply, fixed, names, mutates, absent })
}

const mutates = true

const table = [
  row(1, 'LOOKUP', 'lookup', 'entry', { names: 1 }),
  row(2, 'FORGET', 'forget', 'none', { fixed: structures.FORGET_IN }),
  row(3, 'GETATTR', 'getattr', 'attributes', { fixed: structures.GETATTR_IN }),
  row(4, 'SETATTR', 'setattr', 'attributes', { fixed: structures.SETATTR_IN, mutates }),
  row(5, 'READLINK', 'readlink', 'bytes'),
  row(6, 'SYMLINK', 'symlink', 'entry', { names: 2, mutates }),
  row(8, 'MKNOD', 'mknod', 'entry', { fixed: structures.MKNOD_IN, names: 1, mutates }),
  row(9, 'MKDIR', 'mkdir', 'entry', { fixed: structures.MKDIR_IN, names: 1, mutates }),
  row(10, 'UNLINK', 'unlink', 'done', { names: 1, mutates }),
  row(11, 'RMDIR', 'rmdir', 'done', { names: 1, mutates }),
  row(12, 'RENAME', 'rename', 'done', { fixed: structures.RENAME_IN, names: 2, mutates }),
  row(13, 'LINK', 'link', 'entry', { fixed: structures.LINK_IN, names: 1, mutates }),
  row(14, 'OPEN', 'open', 'opened', { fixed: structures.OPEN_IN }),
  row(15, 'READ', 'read', 'bytes', { fixed: structures.READ_IN }),
  row(16, 'WRITE', 'write', 'written', { fixed: structures.WRITE_IN, mutates }),
  row(17, 'STATFS', 'statfs', 'statistics'),
  row(18, 'RELEASE', 'release', 'done', { fixed: structures.RELEASE_IN, absent: 0 }),
  row(20, 'FSYNC', 'fsync', 'done', { fixed: structures.FSYNC_IN }),
  row(21, 'SETXATTR', 'setxattr', 'done', { fixed: structures.SETXATTR_IN, names: 1, mutates }),
  row(22, 'GETXATTR', 'getxattr', 'value', { fixed: structures.GETXATTR_IN, names: 1 }),
  row(23, 'LISTXATTR', 'listxattr', 'value', { fixed: structures.GETXATTR_IN }),
  row(24, 'REMOVEXATTR', 'removexattr', 'done', { names: 1, mutates }),
  row(25, 'FLUSH', 'flush', 'done', { fixed: structures.FLUSH_IN }),
  row(26, 'INIT', null, 'session', { fixed: structures.INIT_IN }),
  row(27, 'OPENDIR', 'opendir', 'opened', { fixed: structures.OPEN_IN }),
  row(28, 'READDIR', 'readdir', 'filled', { fixed: structures.READ_IN }),
  row(29, 'RELEASEDIR', 'releasedir', 'done', { fixed: structures.RELEASE_IN, absent: 0 }),
  row(30, 'FSYNCDIR', 'fsyncdir', 'done', { fixed: structures.FSYNC_IN }),
  row(31, 'GETLK', null, 'done'),
  row(32, 'SETLK', null, 'done'),
  row(33, 'SETLKW', null, 'done'),
  row(34, 'ACCESS', 'access', 'done', { fixed: structures.ACCESS_IN }),
  row(35, 'CREATE', 'create', 'created', { fixed: structures.CREATE_IN, names: 1, mutates }),
  row(36, 'INTERRUPT', 'interrupt', 'none', { fixed: structures.INTERRUPT_IN }),
  row(37, 'BMAP', null, 'done', { fixed: structures.BMAP_IN }),
  row(38, 'DESTROY', 'destroy', 'done', { absent: 0 }),
  row(39, 'IOCTL', null, 'done', { fixed: structures.IOCTL_IN, absent: -ERRNO.ENOTTY }),
  row(40, 'POLL', null, 'done', { fixed: structures.POLL_IN }),
  row(41, 'NOTIFY_REPLY', null, 'none', { fixed: structures.NOTIFY_REPLY_IN }),
  row(42, 'BATCH_FORGET', 'batchForget', 'none', { fixed: structures.BATCH_FORGET_IN }),
  row(43, 'FALLOCATE', 'fallocate', 'done', { fixed: structures.FALLOCATE_IN, mutates }),
  row(44, 'READDIRPLUS', 'readdirplus', 'filled', { fixed: structures.READ_IN }),
  row(45, 'RENAME2', 'rename', 'done', { fixed: structures.RENAME2_IN, names: 2, mutates }),
  row(46, 'LSEEK', 'lseek', 'offset', { fixed: structures.LSEEK_IN }),
  row(47, 'COPY_FILE_RANGE', 'copyFileRange', 'written', {
    fixed: structures.COPY_FILE_RANGE_IN,
    mutates,
  }),
  row(50, 'SYNCFS', null, 'done'),
  // Done twice it leaves a file that nobody has, which goes with the mount: `mutates` would ask for a name.
  row(51, 'TMPFILE', 'tmpfile', 'created', { fixed: structures.CREATE_IN, names: 1 }),
  row(52, 'STATX', null, 'done'),
] as const

export type OpcodeName = (typeof table)[number]['name']
export const opcodeTable: readonly (OpcodeRow & { readonly name: OpcodeName })[] = table

/** The number of each opcode, by name. */
export const OPCODE = Object.fromEntries(table.map((each) => [each.name, each.opcode])) as Readonly<
  Record<OpcodeName, number>
>
