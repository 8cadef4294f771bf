/** Files without a name: what Node has no words for. */
import { python } from '../fuse/python.ts'

/** O_TMPFILE with O_DIRECTORY. */
export const oTmpfile = 0o20200000

const script = `
source = f"/proc/{sys.argv[1]}/fd/{sys.argv[2]}"
libc.linkat(-100, source.encode(), -100, sys.argv[3].encode(), 0x400)
print(json.dumps(errno.errorcode.get(ctypes.get_errno())))`

/** Links a file that this process has open, as linkat does with AT_SYMLINK_FOLLOW. The name of an error, or null. */
export function linkOpen(file: number, path: string): Promise<unknown> {
  return python(script, String(process.pid), String(file), path)
}
