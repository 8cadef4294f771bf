/** What each transport says it can carry, held against what it does. */
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'ava'
import type { TransportSupports } from '../../fuse/index.ts'
import { isCode } from '../../src/errors.ts'
import { python } from '../fuse/python.ts'
import { ServedStore } from './served.ts'
import type { ServedMount } from './served.ts'
import { onTransport, transports } from './transports.ts'

/** Each is tried from another process; what is refused must be refused in the way that the manifest says. */
const probes = `
os.chdir(sys.argv[1])
chunk = 65536
def code(call, *arguments):
    try: call(*arguments)
    except OSError as error: return errno.errorcode[error.errno]
def libc_code(result): return 0 if result == 0 else errno.errorcode[ctypes.get_errno()]
def known(answer, wanted, refusal):
    if answer == wanted: return True
    assert answer == refusal, answer
    return False
def write(name, data):
    with open(name, "wb") as file: file.write(data)
said = {}

write("mapped", bytes(chunk))
file = os.open("mapped", os.O_RDWR)
shared = mmap.mmap(file, chunk)
shared[5:11] = b"shared"
shared.flush()
direct = os.open("mapped", os.O_RDWR | os.O_DIRECT)
page = mmap.mmap(-1, 4096)
said["directIo"] = os.preadv(direct, [page], 0) == 4096
said["sharedMap"] = page[5:11] == b"shared" and os.pread(file, 6, 5) == b"shared"

write("one", b"1"); write("two", b"2")
rename = lambda new, flags: libc_code(libc.renameat2(-100, b"one", -100, new, flags))
said["exchange"] = known([rename(b"two", 2), rename(b"three", 1)], [0, 0], ["EINVAL", "EINVAL"])
write("one", b"1")
allocate = lambda mode: libc_code(libc.fallocate(file, mode, ctypes.c_long(0), ctypes.c_long(chunk)))
said["fallocate"] = known([allocate(0), allocate(3)], [0, 0], ["ENOTSUP", "ENOTSUP"])
os.truncate("mapped", 8 * chunk)
said["lseek"] = known(os.lseek(file, chunk, os.SEEK_HOLE), chunk, 8 * chunk)
os.setxattr("one", "user.a", b"value" * 100)
small = ctypes.create_string_buffer(10)
too_long = libc.getxattr(b"one", b"user.a", small, 10), ctypes.get_errno()
said["xattr"] = os.getxattr("one", "user.a") == b"value" * 100 and too_long == (-1, errno.ERANGE)

names = [code(write, b"\\xff\\xfe", b""), code(os.symlink, b"\\xff", b"target")]
said["byteNames"] = known(names, [None, None], ["EILSEQ", "EILSEQ"])
os.utime("one", ns=(1_500_000_000_123_456_789, 1_400_000_000_987_654_321))
times = [os.stat("one").st_atime_ns, os.stat("one").st_mtime_ns]
said["exactTimes"] = known(times, [1_500_000_000_123_456_789, 1_400_000_000_987_654_321],
  [1_500_000_000_123_000_000, 1_400_000_000_987_000_000])

said["unnamedFiles"] = known(code(os.open, ".", os.O_TMPFILE | os.O_RDWR), None, "ENOTSUP")

write("linked", b"old" * 4096); os.link("linked", "other")
first = os.open("linked", os.O_RDWR); second = os.open("other", os.O_RDONLY)
os.pread(second, 3, 0); os.pwrite(first, b"new", 0)
said["linkedCache"] = known(os.pread(second, 3, 0), b"new", b"old")
assert open("other", "rb").read(3) == b"new"

huge = os.open("huge", os.O_CREAT | os.O_RDWR)
os.ftruncate(huge, (1 << 63) - 1)
os.pwrite(huge, b"far", (1 << 62) + 5)
said["hugeFiles"] = os.stat("huge").st_size == (1 << 63) - 1 and os.pread(huge, 3, (1 << 62) + 5) == b"far"

if os.fork() == 0:
    os.setgid(65534); os.setuid(65534)
    os._exit(0 if code(os.stat, sys.argv[1] + "/one") is None else 1)
said["otherUsers"] = os.waitstatus_to_exitcode(os.wait()[1]) == 0
print(json.dumps(said))`

async function carriesMemory(mounted: ServedMount): Promise<boolean> {
  try {
    await mounted.store.call('makeMemory', { directory: mounted.directory, name: 'memory', bytes: 65_536 })
    return true
  } catch (error) {
    if (isCode(error, 'UNSUPPORTED') && /kernel transport/.test(String(error))) return false
    throw error
  }
}

/** A MiB written at once is one request, or the eight of 128 KiB that libfuse takes. */
async function carriesLargeWrite(mounted: ServedMount): Promise<boolean> {
  await python('open(sys.argv[1], "wb").write(bytes(1 << 20)); print("null")', mounted.path('large'))
  const before = (await mounted.statistics()).requests
  await python(`
file = os.open(sys.argv[1], os.O_WRONLY | os.O_DIRECT)
assert os.pwritev(file, [mmap.mmap(-1, 1 << 20)], 0) == 1 << 20
print("null")`, mounted.path('large'))
  return (await mounted.statistics()).requests - before < 8
}

for (const transport of transports) {
  onTransport(transport, 'what a transport says it supports is what it does', async (t) => {
    const store = await ServedStore.start(t, { transport: transport.name })
    const mounted = await store.make('image')
    const found: Partial<TransportSupports> = {
      ...await python(probes, mounted.directory) as Partial<TransportSupports>,
      machineMemory: await carriesMemory(mounted),
      largeWrite: await carriesLargeWrite(mounted),
      // What users without root can do has a test of its own.
      rootless: transport.supports.rootless,
    }
    t.deepEqual(found, { ...transport.supports })
    await mounted.unmount()
    // The event may come after the answer.
    while (store.events.length === 0) await sleep(5)
    t.deepEqual(store.events, [{ type: 'ended', image: 'image', how: 'unmounted' }])
  })
}

test('both transports say the same things of themselves', (t) => {
  const [kernel, native] = transports.map(({ supports }) => Object.keys(supports).toSorted())
  t.deepEqual(kernel, native)
})
