import test from 'ava'
import type { Layout } from '../../fuse/protocol/layout.ts'
import { layout } from '../../fuse/protocol/layout.ts'
import { INIT_BIT } from '../../fuse/protocol/flags.ts'
import { decoders } from '../../fuse/protocol/decode.ts'
import { OPCODE, opcodeTable } from '../../fuse/protocol/opcodes.ts'
import * as structures from '../../fuse/protocol/structures.ts'

/** sizeof() of each structure as a C compiler gives it for linux/fuse.h. */
const sizes: Readonly<Record<string, number>> = {
  fuse_in_header: 40,
  fuse_out_header: 16,
  nothing: 0,
  fuse_attr: 88,
  fuse_entry_out: 128,
  fuse_attr_out: 104,
  fuse_forget_in: 8,
  fuse_batch_forget_in: 8,
  fuse_forget_one: 16,
  fuse_getattr_in: 16,
  fuse_setattr_in: 88,
  fuse_mknod_in: 16,
  fuse_mkdir_in: 8,
  fuse_rename_in: 8,
  fuse_rename2_in: 16,
  fuse_link_in: 8,
  fuse_open_in: 8,
  fuse_open_out: 16,
  fuse_create_in: 16,
  fuse_release_in: 24,
  fuse_flush_in: 24,
  fuse_read_in: 40,
  fuse_write_in: 40,
  fuse_write_out: 8,
  fuse_kstatfs: 80,
  fuse_fsync_in: 16,
  fuse_setxattr_in: 8,
  fuse_getxattr_in: 8,
  fuse_getxattr_out: 8,
  fuse_access_in: 8,
  fuse_init_in: 64,
  fuse_init_out: 64,
  fuse_interrupt_in: 8,
  fuse_bmap_in: 16,
  fuse_ioctl_in: 32,
  fuse_poll_in: 24,
  fuse_fallocate_in: 32,
  fuse_lseek_in: 24,
  fuse_lseek_out: 8,
  fuse_copy_file_range_in: 56,
  fuse_dirent: 24,
  fuse_direntplus: 152,
  fuse_notify_inval_inode_out: 24,
  fuse_notify_inval_entry_out: 16,
  fuse_notify_delete_out: 24,
  fuse_notify_store_out: 24,
  fuse_notify_retrieve_in: 40,
  fuse_notify_retrieve_out: 32,
}

test('each structure has the size that linux/fuse.h gives it', (t) => {
  const all = Object.values(structures) as Layout<string>[]
  for (const each of all) t.is(each.bytes, sizes[each.name], each.name)
  t.is(all.length, Object.keys(sizes).length)
})

test('some offsets deep in the structures are those of the kernel', (t) => {
  t.is(structures.IN_HEADER.at.pid, 32)
  t.is(structures.SETATTR_IN.at.mode, 68)
  t.is(structures.SETATTR_IN.at.gid, 80)
  t.is(structures.INIT_OUT.at.max_background, 16)
  t.is(structures.INIT_OUT.at.flags2, 32)
  t.is(structures.ENTRY_OUT.at.attr, 40)
  t.is(structures.ATTR.at.mode, 60)
  t.is(structures.STATFS_OUT.at.bsize, 40)
})

test('a structure with a hole is refused', (t) => {
  t.throws(() => layout('hole', { small: 'u32', large: 'u64' }), { instanceOf: RangeError })
})

test('opcodes are unique, and each has a decoder or none by decision', (t) => {
  t.is(new Set(opcodeTable.map((row) => row.opcode)).size, opcodeTable.length)
  t.is(new Set(opcodeTable.map((row) => row.name)).size, opcodeTable.length)
  for (const row of opcodeTable) t.is(decoders[row.name] === null, row.operation === null, row.name)
  t.like(OPCODE, { LOOKUP: 1, READ: 15, WRITE: 16, INIT: 26, BATCH_FORGET: 42, RENAME2: 45, LSEEK: 46 })
})

test('what changes the file system is marked', (t) => {
  const mutating = opcodeTable.filter((row) => row.mutates).map((row) => row.name)
  t.true(mutating.includes('CREATE') && mutating.includes('RENAME2') && mutating.includes('WRITE'))
  t.false(mutating.includes('READ') || mutating.includes('LOOKUP') || mutating.includes('FSYNC'))
})

test('INIT flags have one bit each', (t) => {
  const bits = Object.values(INIT_BIT)
  t.is(new Set(bits).size, bits.length)
  t.true(bits.every((bit) => bit < 64))
})
