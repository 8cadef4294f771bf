/** A mounted memory file system, used from another process than the one that serves it. */
import test from 'ava'
import { constants } from 'node:fs'
import * as fs from 'node:fs/promises'
import { python } from './python.ts'
import { Served } from './served.ts'

async function codeOf(promise: Promise<unknown>): Promise<string | undefined> {
  return promise.then(
    () => undefined,
    (error: NodeJS.ErrnoException) => error.code,
  )
}

test.serial('files are made, written, read, cut and removed', async (t) => {
  const served = await Served.start(t)
  const path = served.path('file')
  const bytes = Buffer.alloc(3_000_000, 'holdfast ')
  await fs.writeFile(path, bytes)
  t.true(bytes.equals(await fs.readFile(path)))
  await fs.truncate(path, 100_000)
  t.true(bytes.subarray(0, 100_000).equals(await fs.readFile(path)))
  await fs.truncate(path, 100_010)
  t.true(Buffer.alloc(10).equals((await fs.readFile(path)).subarray(100_000)))
  await fs.appendFile(path, 'tail')
  t.is((await fs.stat(path)).size, 100_014)
  await fs.unlink(path)
  t.is(await codeOf(fs.stat(path)), 'ENOENT')
  t.like(await served.counts(), { faultCount: 0, malformedCount: 0 })
})

test.serial('opening with O_TRUNC empties a file, also once opens are not asked any more', async (t) => {
  const served = await Served.start(t)
  for (const text of ['first', 'second, longer', 'third']) {
    await fs.writeFile(served.path('file'), text)
    t.is(await fs.readFile(served.path('file'), 'utf8'), text)
  }
})

test.serial('O_TRUNC empties a file also where opens are answered', async (t) => {
  const served = await Served.start(t, { hasOpen: true })
  await fs.writeFile(served.path('file'), 'something long')
  await fs.writeFile(served.path('file'), 'short')
  t.is(await fs.readFile(served.path('file'), 'utf8'), 'short')
  t.is((await served.counts()).faultCount, 0)
})

test.serial('mode, owner and times are kept, and privileges fall with a write', async (t) => {
  const served = await Served.start(t)
  const path = served.path('file')
  await fs.writeFile(path, 'x')
  await python('os.utime(sys.argv[1], ns=(1234567890000000005, -1250000001)); print("null")', path)
  const { atimeNs, mtimeNs } = await fs.stat(path, { bigint: true })
  t.deepEqual([atimeNs, mtimeNs], [1_234_567_890_000_000_005n, -1_250_000_001n])
  await fs.chown(path, 1000, 100)
  await fs.chmod(path, 0o6777)
  t.is((await fs.stat(path)).mode & 0o7777, 0o6777)
  await python(
    'os.setgid(100); os.setuid(1001); open(sys.argv[1], "r+b").write(b"y"); print("null")',
    path,
  )
  t.is((await fs.stat(path)).mode & 0o7777, 0o777)
  await fs.chmod(path, 0o4755)
  await fs.chown(path, 0, 0)
  t.is((await fs.stat(path)).mode & 0o7777, 0o755)
})

test.serial('directories, links and symbolic links', async (t) => {
  const served = await Served.start(t)
  await fs.mkdir(served.path('a', 'b'), { recursive: true })
  await fs.writeFile(served.path('a', 'file'), 'one')
  await fs.link(served.path('a', 'file'), served.path('a', 'b', 'same'))
  await fs.symlink('../file', served.path('a', 'b', 'link'))
  t.is((await fs.stat(served.path('a', 'file'))).nlink, 2)
  t.is((await fs.stat(served.path('a'))).nlink, 3)
  t.is(await fs.readlink(served.path('a', 'b', 'link')), '../file')
  t.is(await fs.readFile(served.path('a', 'b', 'link'), 'utf8'), 'one')
  t.is(await codeOf(fs.rmdir(served.path('a'))), 'ENOTEMPTY')
  t.is(await codeOf(fs.link(served.path('a', 'file'), served.path('a', 'b', 'same'))), 'EEXIST')
  await fs.rm(served.path('a'), { recursive: true })
  t.deepEqual(await fs.readdir(served.directory), [])
})

test.serial('renames replace, refuse to replace, and exchange', async (t) => {
  const served = await Served.start(t)
  await fs.writeFile(served.path('one'), '1')
  await fs.writeFile(served.path('two'), '2')
  await fs.mkdir(served.path('dir'))
  const renameat2 = `
def rename(old, new, flags):
    done = libc.renameat2(-100, old.encode(), -100, new.encode(), flags)
    return 0 if done == 0 else ctypes.get_errno()
os.chdir(sys.argv[1])
print(json.dumps([rename("one", "two", 1) == errno.EEXIST, rename("one", "two", 2), rename("one", "dir/new", 1),
  rename("two", "none", 2) == errno.ENOENT]))`
  t.deepEqual(await python(renameat2, served.directory), [true, 0, 0, true])
  t.is(await fs.readFile(served.path('dir', 'new'), 'utf8'), '2')
  t.is(await fs.readFile(served.path('two'), 'utf8'), '1')
  await fs.rename(served.path('two'), served.path('dir', 'new'))
  t.is(await fs.readFile(served.path('dir', 'new'), 'utf8'), '1')
  t.deepEqual(await fs.readdir(served.directory), ['dir'])
})

test.serial('a directory of 5,000 entries is listed whole, from the middle and again', async (t) => {
  const served = await Served.start(t)
  const script = `
directory = sys.argv[1]
for index in range(5000):
    os.close(os.open("%s/name-%05d" % (directory, index), os.O_CREAT | os.O_WRONLY))
libc.opendir.restype = libc.readdir.restype = ctypes.c_void_p
libc.telldir.restype = ctypes.c_long
stream = ctypes.c_void_p(libc.opendir(directory.encode()))
def listing(count):
    names = []
    while len(names) < count:
        entry = libc.readdir(stream)
        if not entry: break
        names.append(ctypes.string_at(entry + 19).decode())
    return names
first = listing(1700)
position = libc.telldir(stream)
rest = listing(10000)
libc.seekdir(stream, ctypes.c_long(position))
again = listing(10000)
libc.rewinddir(stream)
whole = listing(10000)
print(json.dumps([len(set(first + rest)), rest == again, first + rest == whole, len(os.listdir(directory)),
  sum(1 for each in os.scandir(directory) if each.stat().st_size == 0)]))`
  t.deepEqual(await python(script, served.directory), [5002, true, true, 5000, 5000])
  t.is((await served.counts()).faultCount, 0)
})

test.serial('a shared mapping and the file show the same bytes', async (t) => {
  const served = await Served.start(t)
  const script = `
path = sys.argv[1]
file = os.open(path, os.O_RDWR | os.O_CREAT)
os.ftruncate(file, 1 << 20)
first = mmap.mmap(file, 1 << 20)
second = mmap.mmap(os.open(path, os.O_RDWR), 1 << 20)
first[70000:70005] = b"hello"
seen = second[70000:70005] == b"hello" and os.pread(file, 5, 70000) == b"hello"
first.flush()
direct = os.open(path, os.O_RDONLY | os.O_DIRECT)
page = mmap.mmap(-1, 4096)
os.preadv(direct, [page], 69632)
os.pwrite(file, b"world", 70000)
print(json.dumps([seen, page[368:373] == b"hello", second[70000:70005] == b"world"]))`
  t.deepEqual(await python(script, served.path('memory')), [true, true, true])
  const bytes = await fs.readFile(served.path('memory'))
  t.is(bytes.subarray(70_000, 70_005).toString(), 'world')
})

test.serial('direct I/O reads and writes what buffered I/O does', async (t) => {
  const served = await Served.start(t)
  const script = `
path = sys.argv[1]
direct = os.open(path, os.O_RDWR | os.O_CREAT | os.O_DIRECT)
page = mmap.mmap(-1, 3 << 20)
page[:] = os.urandom(3 << 20)
written = os.pwritev(direct, [page], 4096)
back = mmap.mmap(-1, 3 << 20)
read = os.preadv(direct, [back], 4096)
print(json.dumps([written == read == 3 << 20, page[:] == back[:], open(path, "rb").read()[4096:] == page[:]]))`
  t.deepEqual(await python(script, served.path('disk')), [true, true, true])
})

test.serial('holes are punched, ranges zeroed, and both are found', async (t) => {
  const served = await Served.start(t)
  const script = `
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
chunk = 65536
os.pwrite(file, b"x" * (8 * chunk), 0)
fallocate = lambda mode, offset, count: libc.fallocate(file, mode, ctypes.c_long(offset), ctypes.c_long(count))
punched = fallocate(3, 2 * chunk, 3 * chunk)
zeroed = fallocate(16, 6 * chunk + 10, 20)
longer = fallocate(0, 0, 10 * chunk)
collapsed = fallocate(8, 0, chunk) != 0 and ctypes.get_errno() == errno.EOPNOTSUPP
try: past = os.lseek(file, 11 * chunk, os.SEEK_DATA)
except OSError as error: past = error.errno == errno.ENXIO
print(json.dumps([punched, zeroed, longer, collapsed, past, os.fstat(file).st_size // chunk,
  os.lseek(file, 0, os.SEEK_HOLE) // chunk, os.lseek(file, 2 * chunk, os.SEEK_DATA) // chunk,
  os.pread(file, 3 * chunk, 2 * chunk) == bytes(3 * chunk), os.pread(file, 40, 6 * chunk).count(b"x"[0]),
  os.fstat(file).st_blocks * 512 // chunk]))`
  t.deepEqual(await python(script, served.path('sparse')), [0, 0, 0, true, true, 10, 2, 5, true, 20, 5])
})

test.serial('a file of 4 PiB keeps its size and its far bytes', async (t) => {
  const served = await Served.start(t)
  const script = `
far = (1 << 51) + 3 * 65536 + 5
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
os.ftruncate(file, 1 << 52)
os.pwrite(file, b"far", far)
direct = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECT)
page = mmap.mmap(-1, 4096)
os.preadv(direct, [page], far - 5)
print(json.dumps([os.fstat(file).st_size == 1 << 52, os.pread(file, 3, far).decode(), page[5:8].decode(),
  os.lseek(file, 0, os.SEEK_DATA) == far - 5, os.lseek(file, far, os.SEEK_HOLE) == far - 5 + 65536]))`
  t.deepEqual(await python(script, served.path('huge')), [true, 'far', 'far', true, true])
  t.is((await served.counts()).faultCount, 0)
})

test.serial('extended attributes are set, read, listed and removed', async (t) => {
  const served = await Served.start(t)
  const script = `
path = sys.argv[1]
open(path, "w").close()
os.setxattr(path, "user.one", b"1" * 5000)
os.setxattr(path, "user.two", b"2", os.XATTR_CREATE)
def fails(call, *arguments):
    try: call(*arguments)
    except OSError as error: return errno.errorcode[error.errno]
print(json.dumps([len(os.getxattr(path, "user.one")), sorted(os.listxattr(path)),
  fails(os.setxattr, path, "user.two", b"3", os.XATTR_CREATE), fails(os.setxattr, path, "user.no", b"3", os.XATTR_REPLACE),
  os.removexattr(path, "user.one"), os.listxattr(path), fails(os.getxattr, path, "user.one")]))`
  const names = ['user.one', 'user.two']
  t.deepEqual(await python(script, served.path('f')), [5000, names, 'EEXIST', 'ENODATA', null, ['user.two'], 'ENODATA'])
})

test.serial('statfs answers with the numbers of the file system', async (t) => {
  const served = await Served.start(t)
  const { bsize, blocks, bfree, bavail, ffree } = await fs.statfs(served.directory)
  t.deepEqual([bsize, blocks, bfree, bavail, ffree], [4096, 1_000_000, 600_000, 500_000, 70_000])
})

test.serial('an unlinked file is read and written through its descriptor, then forgotten', async (t) => {
  const served = await Served.start(t)
  const before = (await served.counts()).inodeCount
  const handle = await fs.open(served.path('gone'), constants.O_CREAT | constants.O_RDWR)
  await handle.write('still here')
  await fs.unlink(served.path('gone'))
  const read = await handle.read(Buffer.alloc(10), 0, 10, 0)
  t.is(read.buffer.toString(), 'still here')
  t.is((await handle.stat()).nlink, 0)
  await handle.truncate(5)
  t.is((await handle.stat()).size, 5)
  t.is((await served.counts()).inodeCount, before + 1)
  await handle.close()
  t.is(await inodeCountReached(served, before), before)
})

/** Forgets come when the kernel gets to them, between other requests: here some of ours. */
async function inodeCountReached(served: Served, wanted: number): Promise<number> {
  let { inodeCount } = await served.counts()
  for (let tries = 0; inodeCount !== wanted && tries < 1000; tries++) ({ inodeCount } = await served.counts())
  return inodeCount
}

test.serial('odd names survive, long ones are refused', async (t) => {
  const served = await Served.start(t)
  const names = [Buffer.from([0xff, 0xfe, 0x80]), Buffer.from('größe \n\t'), Buffer.alloc(255, 'n')]
  for (const name of names) await fs.writeFile(Buffer.concat([Buffer.from(`${served.directory}/`), name]), 'x')
  const listed = await fs.readdir(served.directory, { encoding: 'buffer' })
  t.deepEqual(listed.sort(Buffer.compare), names.sort(Buffer.compare))
  t.is(await codeOf(fs.writeFile(served.path('n'.repeat(256)), 'x')), 'ENAMETOOLONG')
})

test.serial('special files keep their kind', async (t) => {
  const served = await Served.start(t)
  await python('os.mkfifo(sys.argv[1]); print("null")', served.path('pipe'))
  t.true((await fs.stat(served.path('pipe'))).isFIFO())
})
