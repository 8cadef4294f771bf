/** The file types of `st_mode`, and the small rules about permission bits that a file system owes. */

export const fileType = {
  fifo: 0o010000,
  character: 0o020000,
  directory: 0o040000,
  block: 0o060000,
  regular: 0o100000,
  link: 0o120000,
  socket: 0o140000,
} as const

const typeMask = 0o170000
const setGroupId = 0o2000

export function typeOf(mode: number): number {
  return mode & typeMask
}

/** The `d_type` of a directory entry. */
export function entryType(mode: number): number {
  return typeOf(mode) >>> 12
}

/** Group and mode of a new inode: a directory with the set-gid bit hands on its group, and the bit. */
export function inherited(
  parent: { mode: number; gid: number }, mode: number, gid: number,
): { mode: number; gid: number } {
  if ((parent.mode & setGroupId) === 0) return { mode, gid }
  return { mode: typeOf(mode) === fileType.directory ? mode | setGroupId : mode, gid: parent.gid }
}
