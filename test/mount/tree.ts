/** What a tree of files is, in a form that two trees can be compared by. */
import { python } from '../fuse/python.ts'

/**
 * A line for each path: name, type and permissions, owner, links of files, size, both times, digest or
 * target, extended attributes. Access times are read before the contents.
 */
export async function describeTree(directory: string): Promise<string[]> {
  return (await python(script, directory)) as string[]
}

const script = `
import hashlib, stat
root = os.fsencode(sys.argv[1])
lines = []
def describe(path, name):
    state = os.lstat(path)
    kind = stat.S_IFMT(state.st_mode)
    content = ""
    if kind == stat.S_IFREG: content = hashlib.sha256(open(path, "rb").read()).hexdigest()
    if kind == stat.S_IFLNK: content = os.fsdecode(os.readlink(path))
    links = state.st_nlink if kind != stat.S_IFDIR else 0
    size = state.st_size if kind in (stat.S_IFREG, stat.S_IFLNK) else 0
    attributes = {key: os.getxattr(path, key, follow_symlinks=False).hex()
      for key in sorted(os.listxattr(path, follow_symlinks=False))} if kind != stat.S_IFLNK else {}
    lines.append(repr((name, oct(state.st_mode), state.st_uid, state.st_gid, links, size, state.st_mtime_ns,
      state.st_rdev, content, attributes)))
describe(root, b"")
for at, directories, files in os.walk(root):
    for name in directories + files: describe(at + b"/" + name, (at + b"/" + name)[len(root):])
print(json.dumps([lines[0]] + sorted(lines[1:])))`
