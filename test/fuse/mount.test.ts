import test from 'ava'
import { closeSync, fstatSync, mkdirSync, openSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  abortConnection,
  FuseError,
  mount,
  mountAt,
  readDirtyLimits,
  secretControlName,
  Session,
  unmount,
} from '../../fuse/index.ts'
import { parseMountInfo } from '../../fuse/mountinfo.ts'
import { askForNothing } from '../../fuse/notify.ts'
import { mountPoint, Served } from './served.ts'

test('mount points that cannot be used are refused by code', async (t) => {
  const directory = mountPoint(t)
  const codeFor = async (path: string) =>
    (await t.throwsAsync(mount({ directory: path, name: 'x' }), { instanceOf: FuseError }))?.code
  t.is(await codeFor(join(directory, 'none')), 'FUSE_MOUNT_POINT_MISSING')
  const file = join(directory, 'file')
  writeFileSync(file, '')
  t.is(await codeFor(file), 'FUSE_MOUNT_POINT_NOT_A_DIRECTORY')
  t.is(await codeFor(directory), 'FUSE_MOUNT_POINT_NOT_EMPTY')
  rmSync(file)
  t.is(mountAt(directory), undefined)
})

test.serial('a directory is mounted once, and unmounted once', async (t) => {
  const directory = mountPoint(t)
  const mounted = await mount({ directory, name: 'once, with a comma' })
  t.teardown(() => closeSync(mounted.descriptor))
  t.like(mountAt(directory), { fileSystem: 'fuse.holdfast', source: 'once, with a comma', device: mounted.device })
  await t.throwsAsync(mount({ directory, name: 'twice' }), { code: 'FUSE_ALREADY_MOUNTED' })
  await unmount(directory)
  await t.throwsAsync(unmount(directory), { code: 'FUSE_NOT_MOUNTED' })
})

test.serial('a mount in use is busy, and can be detached', async (t) => {
  const served = await Served.start(t)
  mkdirSync(served.path('dir'))
  const before = process.cwd()
  process.chdir(served.path('dir'))
  try {
    await t.throwsAsync(unmount(served.directory), { code: 'FUSE_BUSY' })
    await unmount(served.directory, { lazy: true })
  } finally {
    process.chdir(before)
  }
  t.is(mountAt(served.directory), undefined)
  t.is((await served.event('ended')).end, 'unmounted')
})

test.serial('dirty limits are raised, or it is said why not', async (t) => {
  const served = await Served.start(t)
  const { mount: mounted, dirtyLimits } = await served.event('mounted')
  if (dirtyLimits === undefined) t.deepEqual(readDirtyLimits(mounted.device), { maxRatio: 100, isStrict: false })
  else t.regex(dirtyLimits, /cannot be written .*make \/sys writable\.$/)
})

test.serial('a forced unmount ends what waits for an answer', async (t) => {
  const served = await Served.start(t, { isMute: true })
  writeFileSync(served.path('file'), '')
  truncateSync(served.path('file'), 10)
  const reading = t.throwsAsync(readFile(served.path('file')))
  await served.event('muted')
  await unmount(served.directory, { lazy: true, force: true })
  // The page cache may try the aborted read once more, on the connection that is gone.
  t.regex(((await reading) as NodeJS.ErrnoException).code ?? '', /^(ECONNABORTED|ENOTCONN)$/)
  t.is((await served.event('ended')).end, 'unmounted')
})

test.serial('a connection that was ended by force has nothing to be notified of, also of a file in use', async (t) => {
  const directory = mountPoint(t)
  const { descriptor } = await mount({ directory, name: 'memory' })
  t.teardown(() => closeSync(descriptor))
  const served = await Served.start(t, { directory, descriptor })
  writeFileSync(served.path('file'), '')
  const file = openSync(served.path('file'), 'r')
  try {
    const { ino } = fstatSync(file)
    t.true(askForNothing(descriptor, ino))
    await unmount(directory, { lazy: true, force: true })
    t.false(askForNothing(descriptor, ino))
  } finally {
    closeSync(file)
  }
})

test('a connection is aborted through its control file, or it is said how to get one', (t) => {
  const connections = mountPoint(t)
  const control = join(connections, '42')
  mkdirSync(control)
  writeFileSync(join(control, 'abort'), '')
  abortConnection('0:42', connections)
  t.is(readFileSync(join(control, 'abort'), 'utf8'), '1')
  t.throws(() => abortConnection('0:43', connections), { code: 'FUSE_CONTROL_MISSING', message: /mount -t fusectl/ })
  rmSync(control, { recursive: true })
})

test('options out of range are refused before anything happens', async (t) => {
  const directory = mountPoint(t)
  const bad = { code: 'FUSE_BAD_OPTION' }
  await t.throwsAsync(mount({ directory, name: 'x', readBytesMax: 5000 }), bad)
  await t.throwsAsync(mount({ directory, name: '' }), bad)
  const session = { descriptor: -1, operations: {} as never, onFault: () => undefined }
  t.throws(() => new Session({ ...session, backgroundCount: 12 }), bad)
  t.throws(() => new Session({ ...session, writeBytesMax: 2 ** 21 }), bad)
})

test('the mount table is read with its escapes and optional fields', (t) => {
  const text = [
    '36 35 98:0 /mnt1 /mnt\\040two rw,noatime master:1 - ext3 /dev/root rw,errors=continue',
    '37 35 0:51 / /mnt/fuse rw - fuse.holdfast a\\134b rw',
    '',
  ].join('\n')
  t.deepEqual(parseMountInfo(text), [
    { device: '98:0', mountPoint: '/mnt two', fileSystem: 'ext3', source: '/dev/root' },
    { device: '0:51', mountPoint: '/mnt/fuse', fileSystem: 'fuse.holdfast', source: 'a\\b' },
  ])
})

test('secret names differ', (t) => {
  t.not(secretControlName(), secretControlName())
  t.regex(secretControlName(), /^\.holdfast-[0-9a-f]{32}$/)
})
