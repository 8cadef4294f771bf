/**
 * One file written and read in every way at once: through O_DIRECT, the page cache and a shared mapping, cut and
 * punched, each read compared with a copy in memory. fsx knows no direct I/O, so this is beside it. Its seed is
 * printed with a failure.
 */
import type { ServedMount } from '../mount/served.ts'
import { seedOf } from '../random.ts'
import type { Extent, Suite } from './suite.ts'
import { execute, missingProgram } from './suite.ts'

const operations = { short: 20_000, full: 1_000_000 }

export const direct: Suite = {
  name: 'direct',
  missing: () => missingProgram('python3', 'python3'),
  async run(mounted: ServedMount, extent: Extent) {
    const seed = seedOf('direct') % 2 ** 31
    const count = operations[extent]
    const output = await execute('python3', ['-c', program, mounted.path('direct'), `${seed}`, `${count}`], {
      limitMs: 1_800_000,
    })
    return `${count} operations with seed ${seed}: ${output.trim()}`
  },
}

const program = String.raw`
import ctypes, mmap, os, random, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
path, rnd, count = sys.argv[1], random.Random(int(sys.argv[2])), int(sys.argv[3])
BLOCK, BLOCKS = 4096, 256
room = BLOCK * BLOCKS
cached = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
direct = os.open(path, os.O_RDWR | os.O_DIRECT)
os.ftruncate(cached, room)
mapping = mmap.mmap(cached, room)
buffer = mmap.mmap(-1, room)
model, done = bytearray(room), {}

def span(aligned):
    unit = BLOCK if aligned else 1
    start = rnd.randrange(room // unit) * unit
    return start, min(room - start, rnd.randint(1, 65536 // unit) * unit)

def data(length):
    return rnd.randbytes(16) * (length // 16) + b"x" * (length % 16)

def check(what, start, found):
    wanted = model[start:start + len(found)]
    if found == wanted: return
    at = next(i for i, (a, b) in enumerate(zip(found, wanted)) if a != b)
    sys.exit("%s differs at %d: %r, not %r" % (what, start + at, found[at:at + 8], bytes(wanted[at:at + 8])))

def step(act):
    if act == "direct write":
        start, length = span(True)
        buffer[:length] = data(length)
        if os.pwrite(direct, memoryview(buffer)[:length], start) != length: sys.exit("a short direct write")
        model[start:start + length] = buffer[:length]
    elif act == "direct read":
        start, length = span(True)
        got = os.preadv(direct, [memoryview(buffer)[:length]], start)
        if got != length: sys.exit("a short direct read")
        check(act, start, buffer[:length])
    elif act == "write":
        start, length = span(False)
        bytes_ = data(length)
        os.pwrite(cached, bytes_, start)
        model[start:start + length] = bytes_
    elif act == "read":
        start, length = span(False)
        check(act, start, os.pread(cached, length, start))
    elif act == "map write":
        start, length = span(False)
        bytes_ = data(length)
        mapping[start:start + length] = bytes_
        model[start:start + length] = bytes_
    elif act == "map read":
        start, length = span(False)
        check(act, start, mapping[start:start + length])
    elif act == "punch":
        start, length = span(False)
        if libc.fallocate(cached, 3, start, length) != 0: sys.exit("punch: errno %d" % ctypes.get_errno())
        model[start:start + length] = bytes(length)
    elif act == "cut":
        start = rnd.randrange(room)
        os.ftruncate(cached, start)
        os.ftruncate(cached, room)
        model[start:] = bytes(room - start)
    else: os.fsync(rnd.choice((cached, direct)))

acts = [("direct write", 20), ("direct read", 20), ("write", 15), ("read", 15), ("map write", 10), ("map read", 10),
        ("punch", 6), ("cut", 1), ("sync", 1)]
names, weights = zip(*acts)
for act in rnd.choices(names, weights, k=count):
    step(act)
    done[act] = done.get(act, 0) + 1
check("the whole file", 0, os.pread(cached, room, 0))
print(", ".join("%d %s" % (done[name], name) for name in names if name in done))
`
