/** System calls on a mounted image, one by one: what programs rely on. */
import { constants } from 'node:fs'
import { open, readdir, readFile, stat, statfs, unlink } from 'node:fs/promises'
import type { ExecutionContext } from 'ava'
import { chunkBytes } from '../../src/limits.ts'
import { python } from '../fuse/python.ts'
import { linkOpen, oTmpfile } from './unnamed.ts'
import { ServedStore } from './served.ts'
import type { ServedMount } from './served.ts'
import { contract } from './transports.ts'
import type { TransportUnderTest } from './transports.ts'

const helpers = `
os.chdir(sys.argv[1])
os.umask(0o022)
chunk = 65536
def fails(call, *arguments):
    try: call(*arguments)
    except OSError as error: return errno.errorcode[error.errno]
def fallocate(file, mode, offset, count):
    return 0 if libc.fallocate(file, mode, ctypes.c_long(offset), ctypes.c_long(count)) == 0 else errno.errorcode[ctypes.get_errno()]
def rename(old, new, flags):
    return 0 if libc.renameat2(-100, old.encode(), -100, new.encode(), flags) == 0 else errno.errorcode[ctypes.get_errno()]
def read(name): return open(name, "rb").read()
def write(name, data): open(name, "wb").write(data)
`

/** `above`: the number that a listing of a directory gives for `..`. */
const above = `
libc.opendir.restype = ctypes.c_void_p
libc.readdir.argtypes = [ctypes.c_void_p]
libc.readdir.restype = ctypes.c_void_p
def above(path):
    directory = libc.opendir(path.encode())
    while entry := libc.readdir(directory):
        if ctypes.string_at(entry + 19) == b"..": return ctypes.c_uint64.from_address(entry).value
`

/** Runs a script in a fresh image; what it says must hold before and after a seal and a new mount. */
async function inImage(t: ExecutionContext, transport: TransportUnderTest, script: string, again = ''): Promise<unknown[]> {
  const store = await ServedStore.start(t, { transport: transport.name })
  const mounted = await store.make('files')
  const said = [await python(helpers + script, mounted.directory)]
  if (again === '') return said
  said.push(await python(helpers + again, mounted.directory))
  await mounted.seal()
  said.push(await python(helpers + again, mounted.directory))
  said.push(await python(helpers + again, (await remounted(mounted, 'files')).directory))
  t.deepEqual(store.events.filter(({ type }) => type !== 'ended'), [])
  return said
}

async function remounted(mounted: ServedMount, image: string): Promise<ServedMount> {
  await mounted.unmount()
  return mounted.store.mount(image)
}

contract('O_APPEND, O_TRUNC and O_EXCL', [], async (t, transport) => {
  const script = `
first = os.open("f", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
second = os.open("f", os.O_WRONLY | os.O_APPEND)
for round in range(100): os.write(first, b"a%02d" % round); os.write(second, b"b%02d" % round)
whole = read("f") == b"".join(b"a%02db%02d" % (round, round) for round in range(100))
exclusive = fails(os.open, "f", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
os.close(os.open("f", os.O_WRONLY | os.O_TRUNC))
print(json.dumps([whole, exclusive, os.stat("f").st_size]))`
  t.deepEqual(await inImage(t, transport, script), [[true, 'EEXIST', 0]])
})

contract('times have nanoseconds, also before 1970, and survive', ['exactTimes'], async (t, transport) => {
  const script = `
write("f", b"x")
os.utime("f", ns=(1600000000000000001, -1999999999))
print(json.dumps([os.stat("f").st_atime_ns, os.stat("f").st_mtime_ns]))`
  const again = 'print(json.dumps([str(os.stat("f").st_atime_ns), str(os.stat("f").st_mtime_ns)]))'
  const said = await inImage(t, transport, script.replace('st_atime_ns,', 'st_atime_ns // 10**9,'), again)
  const kept = ['1600000000000000001', '-1999999999']
  t.deepEqual(said, [[1_600_000_000, -1_999_999_999], kept, kept, kept])
})

contract('O_DIRECT and a shared mapping see what the other wrote', ['directIo', 'sharedMap'], async (t, transport) => {
  const script = `
file = os.open("f", os.O_CREAT | os.O_RDWR)
os.ftruncate(file, 4 * chunk)
shared = mmap.mmap(file, 4 * chunk)
shared[chunk - 3:chunk + 3] = b"mapped"
shared.flush()
direct = os.open("f", os.O_RDWR | os.O_DIRECT)
pages = mmap.mmap(-1, 2 * chunk)
os.preadv(direct, [pages], 0)
seen = pages[chunk - 3:chunk + 3] == b"mapped"
page = mmap.mmap(-1, 4096); page[:6] = b"direct"
os.pwritev(direct, [page], 3 * chunk)
os.fsync(direct)
print(json.dumps([seen, shared[3 * chunk:3 * chunk + 6] == b"direct", fails(os.pwrite, direct, b"odd", 1)]))`
  const again = 'data = read("f"); print(json.dumps([data[chunk - 3:chunk + 3].decode(), data[3 * chunk:3 * chunk + 6].decode()]))'
  const kept = ['mapped', 'direct']
  const [first, ...later] = await inImage(t, transport, script, again)
  t.deepEqual((first as unknown[]).slice(0, 2), [true, true])
  t.deepEqual(later, [kept, kept, kept])
})

contract('an unlinked open file lives until it is closed, and one renamed over too', [], async (t, transport) => {
  const script = `
write("gone", b"still here"); write("over", b"old"); write("new", b"new")
gone = os.open("gone", os.O_RDWR); over = os.open("over", os.O_RDONLY)
os.unlink("gone"); os.rename("new", "over")
os.pwrite(gone, b"STILL", 0); os.ftruncate(gone, 8)
print(json.dumps([os.pread(gone, 99, 0).decode(), os.fstat(gone).st_nlink, os.pread(over, 9, 0).decode(),
  read("over").decode(), sorted(os.listdir("."))]))`
  t.deepEqual(await inImage(t, transport, script), [['STILL he', 0, 'old', 'new', ['over']]])
})

contract('a file made without a name is in no directory and no epoch, until it is linked', ['unnamedFiles'], async (t, transport) => {
  const store = await ServedStore.start(t, { transport: transport.name })
  const mounted = await store.make('unnamed')
  const flags = constants.O_RDWR | oTmpfile
  const each = [flags, flags, flags, flags | constants.O_EXCL]
  const [lost, kept, other, exclusive] = await Promise.all(each.map((flag) => open(mounted.directory, flag, 0o640)))
  for (const file of [lost, kept, other, exclusive]) await file.write('before the seal ')
  await mounted.seal()
  t.deepEqual(await readdir(mounted.directory), [])
  t.like((await store.call('show', { epoch: 'unnamed@1' })), { files: 1 }, 'the root')
  await other.write('and after')
  const linked = (file: number, name: string): Promise<unknown> => linkOpen(file, mounted.path(name))
  t.is((await kept.stat()).nlink, 0)
  t.is(await linked(exclusive.fd, 'exclusive'), 'ENOENT')
  t.is(await linked(kept.fd, 'linked'), null)
  t.is((await kept.stat()).nlink, 1)
  await unlink(mounted.path('linked'))
  t.is(await linked(kept.fd, 'linked'), 'ENOENT', 'what was unlinked is never linked again')
  t.is(await linked(other.fd, 'linked'), null)
  await mounted.seal()
  for (const file of [lost, kept, other, exclusive]) await file.close()
  const again = await remounted(mounted, 'unnamed')
  t.deepEqual(await readdir(again.directory), ['linked'])
  t.is(await readFile(again.path('linked'), 'utf8'), 'before the seal and after')
  t.is((await stat(again.path('linked'))).mode & 0o777, 0o640)
  t.deepEqual(store.events.filter(({ type }) => type !== 'ended'), [])
})

contract('an unlinked open file is read and written across seals, and is in no epoch', [], async (t, transport) => {
  const store = await ServedStore.start(t, { transport: transport.name })
  const mounted = await store.make('files')
  const handle = await open(mounted.path('gone'), 'w+')
  await handle.write('before')
  await mounted.seal()
  await unlink(mounted.path('gone'))
  await handle.write(' after', 6)
  await mounted.seal()
  await handle.write('!', 12)
  await mounted.seal()
  t.is((await handle.read(Buffer.alloc(20), 0, 20, 0)).buffer.toString('utf8', 0, 13), 'before after!')
  t.deepEqual((await store.diff('files@1', 'files@3')).filter(({ path }) => path !== '/').map(({ path, change }) => [path, change]),
    [['/gone', 'removed']])
  await handle.close()
})

contract('renames exchange, refuse to replace, and move directories about', ['exchange'], async (t, transport) => {
  const script = `
os.makedirs("a/deep"); os.mkdir("b"); write("a/deep/f", b"f"); write("g", b"g")
results = [rename("g", "a", 1), rename("g", "a/deep", 2), rename("a/deep", "b/g", 0), rename("g/f", "b/f", 1),
  rename("b", "b/inside", 0), rename("g", "nothing", 2)]
links = [os.stat(name).st_nlink for name in (".", "a", "b")]
print(json.dumps([results, links]))`
  const again = `
print(json.dumps([read("b/f").decode(), read("b/g").decode(), sorted(os.listdir("g")), sorted(os.listdir("."))]))`
  const kept = ['f', 'g', [], ['a', 'b', 'g']]
  t.deepEqual(await inImage(t, transport, script, again), [
    [['EEXIST', 0, 0, 0, 'EINVAL', 'ENOENT'], [5, 2, 2]], kept, kept, kept,
  ])
})

contract('holes are found, punched, zeroed and allocated', ['fallocate', 'lseek'], async (t, transport) => {
  const script = `
file = os.open("f", os.O_CREAT | os.O_RDWR)
os.pwrite(file, b"x" * (8 * chunk), 0)
os.pwrite(file, b"far", 100 * chunk)
done = [fallocate(file, 3, chunk - 10, 2 * chunk), fallocate(file, 16, 5 * chunk + 1, 2), fallocate(file, 1, 0, 200 * chunk),
  fallocate(file, 0, 0, 150 * chunk), fallocate(file, 8, 0, chunk), fallocate(file, 3, 4 * chunk, chunk)]
print(json.dumps(done))`
  const again = `
file = os.open("f", os.O_RDWR)
data = os.pread(file, 8 * chunk, 0)
print(json.dumps([os.fstat(file).st_size // chunk, data.count(b"x"), data[chunk - 11:chunk - 9].decode(),
  data[3 * chunk - 11:3 * chunk - 9].decode(), os.lseek(file, 4 * chunk, os.SEEK_HOLE) // chunk,
  os.lseek(file, 4 * chunk, os.SEEK_DATA) // chunk, os.lseek(file, 8 * chunk, os.SEEK_DATA) // chunk,
  os.lseek(file, 101 * chunk, os.SEEK_HOLE) // chunk, fails(os.lseek, file, 101 * chunk, os.SEEK_DATA),
  fails(os.lseek, file, 150 * chunk, os.SEEK_HOLE)]))`
  const bytes = 8 * 65_536 - 2 * 65_536 - 2 - 65_536
  const kept = [150, bytes, 'x\0', '\0x', 4, 5, 100, 101, 'ENXIO', 'ENXIO']
  t.deepEqual(await inImage(t, transport, script, again), [[0, 0, 0, 0, 'ENOTSUP', 0], kept, kept, kept])
})

contract('st_blocks counts what is data, before and after a commit', ['fallocate'], async (t, transport) => {
  const script = `
file = os.open("f", os.O_CREAT | os.O_RDWR)
os.ftruncate(file, 1 << 30)
for index in range(300): os.pwrite(file, b"x" * 100, index * 3 * chunk)
write("small", b"x" * 700); write("zeros", b""); os.truncate("zeros", 1 << 20)
os.close(file)
print(json.dumps([os.stat(name).st_blocks for name in ("f", "small", "zeros")]))`
  const again = `
file = os.open("f", os.O_RDWR)
counts = [os.fstat(file).st_blocks // 128]
fallocate(file, 3, 0, 30 * chunk); counts.append(os.fstat(file).st_blocks // 128)
fallocate(file, 3, 300 * chunk, 300 * chunk); counts.append(os.fstat(file).st_blocks // 128)
os.ftruncate(file, 750 * chunk); counts.append(os.fstat(file).st_blocks // 128)
for index in range(300): os.pwrite(file, b"x" * 100, index * 3 * chunk)
os.ftruncate(file, 1 << 30)
print(json.dumps(counts + [os.fstat(file).st_blocks // 128, os.stat("small").st_blocks, os.stat("zeros").st_blocks]))`
  const kept = [300, 290, 190, 140, 300, 2, 0]
  t.deepEqual(await inImage(t, transport, script, again), [[300 * 128, 2, 0], kept, kept, kept])
})

contract('a file of 8 EiB less one byte keeps its far bytes', ['hugeFiles', 'lseek'], async (t, transport) => {
  const script = `
file = os.open("f", os.O_CREAT | os.O_RDWR)
os.ftruncate(file, (1 << 63) - 1)
os.pwrite(file, b"far", (1 << 62) + 5)
print(json.dumps(fails(os.pwrite, file, b"xx", (1 << 63) - 2)))`
  const again = `
file = os.open("f", os.O_RDONLY)
print(json.dumps([os.fstat(file).st_size == (1 << 63) - 1, os.pread(file, 3, (1 << 62) + 5).decode(),
  os.lseek(file, 0, os.SEEK_DATA) == 1 << 62, os.lseek(file, 1 << 62, os.SEEK_HOLE) == (1 << 62) + chunk,
  os.stat("f").st_blocks * 512 <= 1 << 21]))`
  const kept = [true, 'far', true, true, true]
  const [, ...later] = await inImage(t, transport, script, again)
  t.deepEqual(later, [kept, kept, kept])
})

contract('a directory of 5,000 names is listed whole while names come and go', [], async (t, transport) => {
  const script = `
os.mkdir("d")
for index in range(5000): os.close(os.open("d/keep-%04d" % index if index % 2 else "d/drop-%04d" % index, os.O_CREAT | os.O_WRONLY))
seen = []
with os.scandir("d") as entries:
    for count, entry in enumerate(entries):
        seen.append(entry.name)
        if entry.name.startswith("drop"): os.unlink("d/" + entry.name)
        if count % 10 == 0: os.close(os.open("d/late-%04d" % count, os.O_CREAT | os.O_WRONLY))
kept = [name for name in seen if name.startswith("keep")]
print(json.dumps([len(kept), len(set(kept)), len(seen) == len(set(seen)), len([n for n in os.listdir("d") if n[0] == "d"])]))`
  const again = 'print(json.dumps(len([name for name in os.listdir("d") if name.startswith("keep")])))'
  t.deepEqual(await inImage(t, transport, script, again), [[2500, 2500, true, 0], 2500, 2500, 2500])
})

contract('names are bytes, up to 255 of them', ['byteNames'], async (t, transport) => {
  const script = `
names = [b"\\xff\\xfe\\x80", b"n" * 255, b" ", "größe\\n".encode(), b"\\xed\\xa0\\x80"]
for name in names: write(name, name)
print(json.dumps([fails(write, b"n" * 256, b""), sorted(os.listdir(b".")) == sorted(names)]))`
  const again = 'print(json.dumps([len(os.listdir(b".")), all(read(name) == name for name in os.listdir(b"."))]))'
  const kept = [5, true]
  t.deepEqual(await inImage(t, transport, script, again), [['ENAMETOOLONG', true], kept, kept, kept])
})

contract('hard links, FIFOs, sockets and extended attributes survive', ['xattr'], async (t, transport) => {
  const script = `
import socket
write("f", b"one"); os.mkdir("d"); os.link("f", "d/same"); os.symlink("x" * 4095, "long"); os.mkfifo("pipe", 0o622)
socket.socket(socket.AF_UNIX).bind("socket")
os.setxattr("f", "user.big", b"v" * 40000); os.setxattr("d", "user.empty", b""); os.setxattr("f", "trusted.t", b"t")
print(json.dumps([fails(os.setxattr, "f", "user.more", b"v" * 40000), fails(os.getxattr, "f", "system.posix_acl_access"),
  fails(os.link, "d", "e"), fails(os.symlink, "x" * 4096, "longer")]))`
  const again = `
import stat
write("d/same", b"two")
print(json.dumps([read("f").decode(), os.stat("f").st_nlink, len(os.readlink("long")), stat.filemode(os.stat("pipe").st_mode),
  stat.S_ISSOCK(os.stat("socket").st_mode), len(os.getxattr("f", "user.big")), os.listxattr("d"), sorted(os.listxattr("f"))]))`
  const kept = ['two', 2, 4095, 'prw--w--w-', true, 40_000, ['user.empty'], ['trusted.t', 'user.big']]
  const said = await inImage(t, transport, script.replace('0o622)', '0o622); os.chmod("pipe", 0o622)'), again)
  t.deepEqual(said, [['ENOSPC', 'ENOTSUP', 'EPERM', 'ENAMETOOLONG'], kept, kept, kept])
})

contract('statfs tells what the store may still take', [], async (t, transport) => {
  const store = await ServedStore.start(t, { transport: transport.name })
  const mounted = await store.make('files')
  // Others write to the same disk meanwhile: what is free is between what was and what will be.
  const before = await statfs(store.directory)
  const inside = await statfs(mounted.directory)
  const after = await statfs(store.directory)
  const freeBytes = inside.bavail * inside.bsize
  t.true(freeBytes > 0 && freeBytes <= Math.max(before.bavail, after.bavail) * before.bsize)
  t.true(inside.blocks >= inside.bfree && inside.ffree > 1000)
})

contract('a listing names the directory above, also after a move', [], async (t, transport) => {
  const script = `${above}
os.makedirs("a/b/c"); os.mkdir("d")
said = [above("a/b/c") == os.stat("a/b").st_ino, above("a") == os.stat(".").st_ino]
os.rename("a/b/c", "d/c")
said.append(above("d/c") == os.stat("d").st_ino)
print(json.dumps(said))`
  t.deepEqual(await inImage(t, transport, script), [[true, true, true]])
})

contract('a listing names the directory above after two directories changed places', ['exchange'], async (t, transport) => {
  const script = `${above}
os.makedirs("d/c"); os.mkdir("e")
rename("d/c", "e", 2)
print(json.dumps([above("e") == os.stat(".").st_ino, above("d/c") == os.stat("d").st_ino]))`
  t.deepEqual(await inImage(t, transport, script), [[true, true]])
})

contract('one byte written into a file of 64 GiB costs one chunk', [], async (t, transport) => {
  const store = await ServedStore.start(t, { transport: transport.name })
  const mounted = await store.make('large')
  await python(helpers + `
file = os.open("f", os.O_CREAT | os.O_WRONLY)
os.ftruncate(file, 64 << 30)
for at in range(0, 64 << 30, 4 << 30): os.pwrite(file, os.urandom(1 << 16), at)
print(0)`, mounted.directory)
  await mounted.seal()
  await python(helpers + 'file = os.open("f", os.O_WRONLY); os.pwrite(file, b"x", (32 << 30) + 5); print(0)', mounted.directory)
  const { epoch } = await mounted.seal()
  t.is(epoch?.writtenBytes, 1)
  t.true((epoch?.storedBytes ?? Infinity) < 2 * chunkBytes, `${epoch?.storedBytes} bytes were stored`)
  t.deepEqual((await store.diff('large@1', 'large@2')).map(({ path }) => path), ['/f'])
})
