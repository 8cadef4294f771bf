/**
 * The structures of the kernel protocol, as in linux/fuse.h (protocol 7.40; names and order are
 * the kernel's). A message to us and a reply from us look like this:
 *
 *   request  +--------------+------------------+--------------------------+
 *            | fuse_in_head | fixed structure  | names (NUL-ended), bytes |
 *            +--------------+------------------+--------------------------+
 *            0             40                 40 + fixed.bytes         len
 *
 *   reply    +---------------+-----------------+      notification: unique 0, and the
 *            | fuse_out_head | structure/bytes |      notification's code where a reply
 *            +---------------+-----------------+      has its error
 *            0              16               len
 *
 * All integers are little-endian here: the protocol uses the machine's order.
 */
import { layout } from './layout.ts'

export const IN_HEADER = layout('fuse_in_header', {
  len: 'u32',
  opcode: 'u32',
  unique: 'u64',
  nodeid: 'u64',
  uid: 'u32',
  gid: 'u32',
  pid: 'u32',
  total_extlen: 'u16',
  padding: 'u16',
})

export const OUT_HEADER = layout('fuse_out_header', { len: 'u32', error: 'i32', unique: 'u64' })

export const NOTHING = layout('nothing', {})

export const ATTR = layout('fuse_attr', {
  ino: 'u64',
  size: 'u64',
  blocks: 'u64',
  atime: 'i64',
  mtime: 'i64',
  ctime: 'i64',
  atimensec: 'u32',
  mtimensec: 'u32',
  ctimensec: 'u32',
  mode: 'u32',
  nlink: 'u32',
  uid: 'u32',
  gid: 'u32',
  rdev: 'u32',
  blksize: 'u32',
  flags: 'u32',
})

export const ENTRY_OUT = layout('fuse_entry_out', {
  nodeid: 'u64',
  generation: 'u64',
  entry_valid: 'u64',
  attr_valid: 'u64',
  entry_valid_nsec: 'u32',
  attr_valid_nsec: 'u32',
  attr: ATTR,
})

export const ATTR_OUT = layout('fuse_attr_out', {
  attr_valid: 'u64',
  attr_valid_nsec: 'u32',
  dummy: 'u32',
  attr: ATTR,
})

export const FORGET_IN = layout('fuse_forget_in', { nlookup: 'u64' })
export const BATCH_FORGET_IN = layout('fuse_batch_forget_in', { count: 'u32', dummy: 'u32' })
export const FORGET_ONE = layout('fuse_forget_one', { nodeid: 'u64', nlookup: 'u64' })
export const GETATTR_IN = layout('fuse_getattr_in', { getattr_flags: 'u32', dummy: 'u32', fh: 'u64' })

export const SETATTR_IN = layout('fuse_setattr_in', {
  valid: 'u32',
  padding: 'u32',
  fh: 'u64',
  size: 'u64',
  lock_owner: 'u64',
  atime: 'i64',
  mtime: 'i64',
  ctime: 'i64',
  atimensec: 'u32',
  mtimensec: 'u32',
  ctimensec: 'u32',
  mode: 'u32',
  unused4: 'u32',
  uid: 'u32',
  gid: 'u32',
  unused5: 'u32',
})

export const MKNOD_IN = layout('fuse_mknod_in', { mode: 'u32', rdev: 'u32', umask: 'u32', padding: 'u32' })
export const MKDIR_IN = layout('fuse_mkdir_in', { mode: 'u32', umask: 'u32' })
export const RENAME_IN = layout('fuse_rename_in', { newdir: 'u64' })
export const RENAME2_IN = layout('fuse_rename2_in', { newdir: 'u64', flags: 'u32', padding: 'u32' })
export const LINK_IN = layout('fuse_link_in', { oldnodeid: 'u64' })
export const OPEN_IN = layout('fuse_open_in', { flags: 'u32', open_flags: 'u32' })
export const OPEN_OUT = layout('fuse_open_out', { fh: 'u64', open_flags: 'u32', padding: 'u32' })

export const CREATE_IN = layout('fuse_create_in', {
  flags: 'u32',
  mode: 'u32',
  umask: 'u32',
  open_flags: 'u32',
})

export const RELEASE_IN = layout('fuse_release_in', {
  fh: 'u64',
  flags: 'u32',
  release_flags: 'u32',
  lock_owner: 'u64',
})

export const FLUSH_IN = layout('fuse_flush_in', {
  fh: 'u64',
  unused: 'u32',
  padding: 'u32',
  lock_owner: 'u64',
})

export const READ_IN = layout('fuse_read_in', {
  fh: 'u64',
  offset: 'u64',
  size: 'u32',
  read_flags: 'u32',
  lock_owner: 'u64',
  flags: 'u32',
  padding: 'u32',
})

export const WRITE_IN = layout('fuse_write_in', {
  fh: 'u64',
  offset: 'u64',
  size: 'u32',
  write_flags: 'u32',
  lock_owner: 'u64',
  flags: 'u32',
  padding: 'u32',
})

export const WRITE_OUT = layout('fuse_write_out', { size: 'u32', padding: 'u32' })

export const STATFS_OUT = layout('fuse_kstatfs', {
  blocks: 'u64',
  bfree: 'u64',
  bavail: 'u64',
  files: 'u64',
  ffree: 'u64',
  bsize: 'u32',
  namelen: 'u32',
  frsize: 'u32',
  padding: 'u32',
  spare: 24,
})

export const FSYNC_IN = layout('fuse_fsync_in', { fh: 'u64', fsync_flags: 'u32', padding: 'u32' })
/** The short form: we do not ask for SETXATTR_EXT, whose only use is POSIX ACLs. */
export const SETXATTR_IN = layout('fuse_setxattr_in', { size: 'u32', flags: 'u32' })
export const GETXATTR_IN = layout('fuse_getxattr_in', { size: 'u32', padding: 'u32' })
export const GETXATTR_OUT = layout('fuse_getxattr_out', { size: 'u32', padding: 'u32' })
export const ACCESS_IN = layout('fuse_access_in', { mask: 'u32', padding: 'u32' })

export const INIT_IN = layout('fuse_init_in', {
  major: 'u32',
  minor: 'u32',
  max_readahead: 'u32',
  flags: 'u32',
  flags2: 'u32',
  unused: 44,
})

export const INIT_OUT = layout('fuse_init_out', {
  major: 'u32',
  minor: 'u32',
  max_readahead: 'u32',
  flags: 'u32',
  max_background: 'u16',
  congestion_threshold: 'u16',
  max_write: 'u32',
  time_gran: 'u32',
  max_pages: 'u16',
  map_alignment: 'u16',
  flags2: 'u32',
  max_stack_depth: 'u32',
  unused: 24,
})

export const INTERRUPT_IN = layout('fuse_interrupt_in', { unique: 'u64' })
export const BMAP_IN = layout('fuse_bmap_in', { block: 'u64', blocksize: 'u32', padding: 'u32' })

export const IOCTL_IN = layout('fuse_ioctl_in', {
  fh: 'u64',
  flags: 'u32',
  cmd: 'u32',
  arg: 'u64',
  in_size: 'u32',
  out_size: 'u32',
})

export const POLL_IN = layout('fuse_poll_in', { fh: 'u64', kh: 'u64', flags: 'u32', events: 'u32' })

export const FALLOCATE_IN = layout('fuse_fallocate_in', {
  fh: 'u64',
  offset: 'u64',
  length: 'u64',
  mode: 'u32',
  padding: 'u32',
})

export const LSEEK_IN = layout('fuse_lseek_in', { fh: 'u64', offset: 'u64', whence: 'u32', padding: 'u32' })
export const LSEEK_OUT = layout('fuse_lseek_out', { offset: 'u64' })

export const COPY_FILE_RANGE_IN = layout('fuse_copy_file_range_in', {
  fh_in: 'u64',
  off_in: 'u64',
  nodeid_out: 'u64',
  fh_out: 'u64',
  off_out: 'u64',
  len: 'u64',
  flags: 'u64',
})

/** Followed by `namelen` bytes of name and zeros up to a multiple of 8. */
export const DIRENT = layout('fuse_dirent', { ino: 'u64', off: 'u64', namelen: 'u32', type: 'u32' })
export const DIRENTPLUS = layout('fuse_direntplus', { entry_out: ENTRY_OUT, dirent: DIRENT })

/** Followed by what the kernel has cached of what was asked for. */
export const NOTIFY_REPLY_IN = layout('fuse_notify_retrieve_in', {
  dummy1: 'u64',
  offset: 'u64',
  size: 'u32',
  dummy2: 'u32',
  dummy3: 'u64',
  dummy4: 'u64',
})

export const RETRIEVE_OUT = layout('fuse_notify_retrieve_out', {
  notify_unique: 'u64',
  nodeid: 'u64',
  offset: 'u64',
  size: 'u32',
  padding: 'u32',
})

export const INVAL_INODE_OUT = layout('fuse_notify_inval_inode_out', { ino: 'u64', off: 'i64', len: 'i64' })
export const INVAL_ENTRY_OUT = layout('fuse_notify_inval_entry_out', {
  parent: 'u64',
  namelen: 'u32',
  flags: 'u32',
})
export const DELETE_OUT = layout('fuse_notify_delete_out', {
  parent: 'u64',
  child: 'u64',
  namelen: 'u32',
  padding: 'u32',
})
export const STORE_OUT = layout('fuse_notify_store_out', {
  nodeid: 'u64',
  offset: 'u64',
  size: 'u32',
  padding: 'u32',
})
