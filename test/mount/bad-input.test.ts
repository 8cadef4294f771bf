/** What no careful program does: an errno for the caller, a coded error for the log, and nothing lost. */
import { spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import * as fs from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { HoldfastError } from '../../src/errors.ts'
import { python } from '../fuse/python.ts'
import { ServedStore, scratch } from './served.ts'
import { contract } from './transports.ts'

const helpers = `
def fails(call, *arguments):
    try: call(*arguments)
    except OSError as error: return errno.errorcode[error.errno]
os.chdir(sys.argv[1])
`

contract('names of 255 bytes, and paths of 4,095', [], async (t, { name: transport }) => {
  const store = await ServedStore.start(t, { transport })
  const mounted = await store.make('names')
  const script = `${helpers}
name = "n" * 255
said = [fails(open, "n" * 256, "w"), fails(os.mkdir, "n" * 256), fails(os.symlink, "t" * 4096, "s"), fails(os.stat, "n" * 256)]
path = ""
while len(path) + 256 <= 4095 - len("/end"):
    path += name + "/"
    os.mkdir(path)
path += "e" * (4095 - len(path))
open(path, "w").write("deep")
said += [len(path), open(path).read(), fails(open, path + "e")]
os.symlink("t" * 4095, "s")
print(json.dumps(said + [len(os.readlink("s")), os.listdir(".") == ["s", name] or sorted(os.listdir(".")) == [name, "s"]]))`
  const again = `${helpers}
path = ""
while len(path) + 256 <= 4095 - len("/end"): path += "n" * 255 + "/"
print(json.dumps(open(path + "e" * (4095 - len(path))).read()))`
  const tooLong = 'ENAMETOOLONG'
  t.deepEqual(await python(script, mounted.directory),
    [tooLong, tooLong, tooLong, tooLong, 4095, 'deep', tooLong, 4095, true])
  await mounted.seal()
  t.is(await python(again, mounted.directory), 'deep')
  await mounted.unmount()
  t.is(await python(again, (await store.mount('names')).directory), 'deep')
})

contract('sparse files up to 8 EiB - 1, and offsets past their end', ['hugeFiles', 'lseek'], async (t, { name: transport }) => {
  const store = await ServedStore.start(t, { transport })
  const mounted = await store.make('sparse')
  const script = `${helpers}
most = 2**63 - 1
file = os.open("f", os.O_RDWR | os.O_CREAT)
os.ftruncate(file, most)
os.pwrite(file, b"last", most - 4)
os.pwrite(file, b"middle", 2**62 + 3)
said = [os.fstat(file).st_size == most, os.pread(file, 4, most - 4).decode(), os.pread(file, 1, most - 1).decode()]
said += [fails(os.pwrite, file, b"x", most), fails(os.ftruncate, file, -1), os.pwrite(file, b"", 5)]
said += [os.lseek(file, 0, os.SEEK_DATA) == 2**62, os.fstat(file).st_blocks < 1000]
small = os.open("g", os.O_RDWR | os.O_CREAT)
os.pwrite(small, b"x", 0)
said += [os.pread(small, 10, 1).decode(), os.pread(small, 10, 2**62).decode(), fails(os.lseek, small, 2**62, os.SEEK_DATA)]
print(json.dumps(said))`
  const again = `${helpers}
file = os.open("f", os.O_RDONLY)
print(json.dumps([os.fstat(file).st_size == 2**63 - 1, os.pread(file, 4, 2**63 - 5).decode(), os.pread(file, 6, 2**62 + 3).decode()]))`
  t.deepEqual(await python(script, mounted.directory),
    [true, 'last', 't', 'EINVAL', 'EINVAL', 0, true, true, '', '', 'ENXIO'])
  await mounted.seal()
  t.deepEqual(await python(again, mounted.directory), [true, 'last', 'middle'])
  await mounted.unmount()
  t.deepEqual(await python(again, (await store.mount('sparse')).directory), [true, 'last', 'middle'])
})

/** No file can be made in any directory below; false where the file system cannot do that. */
function freeze(directory: string, on: boolean): boolean {
  const find = ['-type', 'd', '-exec', 'chattr', on ? '+i' : '-i', '{}', '+']
  return spawnSync('find', [directory, ...find]).status === 0
}

test.serial('a store where no file can be made any more: errors with a code, and nothing that was synced is lost', async (t) => {
  const around = scratch((done) => t.teardown(done))
  const directory = join(around, 'store')
  t.teardown(() => freeze(directory, false))
  const store = await ServedStore.start(t, { directory })
  const mounted = await store.make('image', [], { limits: { segmentBytesMax: 2 ** 19, laneSyncBytes: 2 ** 18 } })
  await fs.writeFile(mounted.path('kept'), 'kept', { flush: true })
  await mounted.seal()
  await fs.writeFile(mounted.path('synced'), 'synced', { flush: true })
  if (!freeze(directory, true)) return t.log('this file system has no immutable directories'), t.pass()
  const failure = await t.throwsAsync(async () => {
    for (let part = 0; part < 20; part += 1) await fs.writeFile(mounted.path(`f${part}`), Buffer.alloc(2 ** 18))
  })
  t.is((failure as NodeJS.ErrnoException).code, 'EIO')
  t.is(await fs.readFile(mounted.path('kept'), 'utf8'), 'kept', 'what is there is read')
  t.regex(String(await store.call('failure', { directory: mounted.directory })), /EPERM|EACCES/)
  t.true(store.events.some(({ type }) => type === 'failed'))
  await t.throwsAsync(mounted.seal(), { instanceOf: HoldfastError })
  await mounted.unmount({ lazy: true })
  await store.kill()
  freeze(directory, false)
  const again = await ServedStore.start(t, { directory })
  const back = await again.mount('image')
  t.is(await fs.readFile(back.path('kept'), 'utf8'), 'kept')
  t.is(await fs.readFile(back.path('synced'), 'utf8'), 'synced')
  await fs.writeFile(back.path('after'), 'after')
  await back.unmount()
  await again.close()
})

test.serial('a store on a read-only file system is refused with a code', async (t) => {
  const around = scratch((done) => t.teardown(done))
  const [directory, readOnly] = [join(around, 'store'), join(around, 'read-only')]
  const store = await ServedStore.start(t, { directory })
  await store.call('createImage', { image: 'image', base: [] })
  await store.close()
  mkdirSync(readOnly)
  t.is(spawnSync('mount', ['--bind', '-o', 'ro', directory, readOnly]).status, 0)
  t.teardown(() => {
    spawnSync('umount', ['-l', readOnly])
  })
  await t.throwsAsync(ServedStore.open(readOnly), { instanceOf: HoldfastError })
})
