import { Buffer } from 'node:buffer'
import { execFileSync, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import type { Env } from '../../src/env/env.ts'
import { systemEnv } from '../../src/env/system.ts'
import { HoldfastError } from '../../src/errors.ts'
import type { Engine } from '../../src/image/engine.ts'
import { readAttributes } from '../../src/image/head-attributes.ts'
import { readData } from '../../src/image/head-data.ts'
import { lookup } from '../../src/image/head-names.ts'
import type { InodeState } from '../../src/image/inode-state.ts'
import { rootInode } from '../../src/image/ingest.ts'
import { listNames } from '../../src/image/listing.ts'
import { Random } from '../random.ts'
import { FailingEnv } from '../store/failing-env.ts'
import { temporaryRig, Work } from './work.ts'
import type { Rig } from './rig.ts'
import { openLocalEngine } from './variant.ts'

/** The rig's store in an engine whose Env does as the test wants. */
async function engineWith(rig: Rig, change: Partial<Env>): Promise<Engine> {
  await rig.engine.close()
  return openLocalEngine(rig.directory, { env: { ...systemEnv(), ...change } })
}

function nothing(): void {
  throw new Error('a base is only read')
}

function find(work: Work, path: string): InodeState {
  let state = work.head.inode(rootInode)!
  for (const part of path.split('/').filter((name) => name !== '')) {
    const found = lookup(work.head, state, Buffer.from(part))
    if (typeof found === 'number') throw new Error(`${path}: ${found}`)
    state = found
  }
  return state
}

test('a file becomes a file of the root, byte for byte, whatever its length', async (t) => {
  const rig = await temporaryRig(t)
  const random = Random.announced(t)
  const bases = [0, 1, 65_535, 65_536, 65_537, 3 * 1_048_576 + 17].map((length, index) => {
    const path = join(rig.parent, `base ${index}.raw`)
    fs.writeFileSync(path, random.bytes(length))
    return path
  })
  t.like(await rig.engine.createImage({ image: 'vm', base: bases }), { origin: { kind: 'base' }, newest: 0 })
  const work = new Work(rig, 'vm')
  for (const [index, path] of bases.entries()) {
    t.true((await work.exported('vm@0', `/base ${index}.raw`)).equals(fs.readFileSync(path)), path)
  }
})

test('a base that was deleted afterwards is still there', async (t) => {
  const rig = await temporaryRig(t)
  const path = join(rig.parent, 'disk.raw')
  const bytes = Random.announced(t).bytes(500_000)
  fs.writeFileSync(path, bytes)
  await rig.engine.createImage({ image: 'vm', base: [path] })
  fs.unlinkSync(path)
  const work = new Work(rig, 'vm')
  await work.restart()
  t.teardown(() => work.engine.close())
  t.true((await work.exported('vm@0', '/disk.raw')).equals(bytes))
})

test('a sparse file costs its data only', async (t) => {
  const rig = await temporaryRig(t)
  const path = join(rig.parent, 'sparse.raw')
  fs.writeFileSync(path, 'start')
  fs.truncateSync(path, 200 * 1_048_576)
  const before = await rig.engine.stats()
  await rig.engine.createImage({ image: 'vm', base: [path] })
  const after = await rig.engine.stats()
  t.is(after.plainBytes - before.plainBytes < 3 * 65_536, true)
  t.like(await rig.engine.show({ epoch: 'vm@0' }), { logicalBytes: 200 * 1_048_576 })
})

test('a directory becomes the root with all that it holds', async (t) => {
  const rig = await temporaryRig(t)
  const base = join(rig.parent, 'base')
  fs.mkdirSync(join(base, 'sub', 'deep'), { recursive: true })
  fs.writeFileSync(join(base, 'sub', 'file'), 'content', { mode: 0o640 })
  fs.linkSync(join(base, 'sub', 'file'), join(base, 'hard link'))
  fs.symlinkSync('sub/file', join(base, 'soft'))
  fs.symlinkSync('/nowhere/at all', join(base, 'dangling'))
  execFileSync('mkfifo', [join(base, 'pipe')])
  const odd = ['ünïcode', ' ', '-rf', 'a\nb', 'x'.repeat(255), '*?"\'']
  for (const name of odd) fs.writeFileSync(join(base, name), name)
  fs.chmodSync(join(base, 'sub'), 0o1750)
  fs.utimesSync(join(base, 'sub', 'file'), 1000, 2000)
  const work = await Work.start(t, [base], 'vm', rig)
  const names = [...listNames(work.head, work.head.inode(rootInode)!, 0)].map(({ name }) => name.toString()).sort()
  t.deepEqual(names, ['dangling', 'hard link', 'pipe', 'soft', 'sub', ...odd].sort())
  for (const name of odd) t.is(work.read(name).toString(), name)
  t.is(find(work, '/sub/file'), find(work, '/hard link'))
  t.like(find(work, '/sub/file'), { linkCount: 2, mode: 0o100640, modifiedNs: 2_000_000_000_000n, uid: process.getuid!() })
  t.like(find(work, '/sub'), { linkCount: 3, mode: 0o041750 })
  t.like(find(work, '/'), { linkCount: 3 })
  t.is(find(work, '/soft').target.toString(), 'sub/file')
  t.is(find(work, '/dangling').target.toString(), '/nowhere/at all')
  t.is(find(work, '/pipe').mode & 0o170000, 0o010000)
  t.is(readData(work.head, find(work, '/sub/file'), 0, 0, 7, Buffer.alloc(7)), 7)
  t.deepEqual((await work.engine.check({ readData: true })).damaged, [])
})

test('names are taken in as bytes, whether they are UTF-8 or not', async (t) => {
  const rig = await temporaryRig(t)
  const base = join(rig.parent, 'base')
  fs.mkdirSync(base)
  const inBase = (...names: Buffer[]): Buffer => Buffer.concat(names.flatMap((name, at) => [Buffer.from(at > 0 ? '/' : `${base}/`), name]))
  const directory = Buffer.from([0xff, 0xfe, 0x20])
  const name = Buffer.from([0xf0, 0x9f, 0x98, 0x80, 0xc3, 0x28, 0xed, 0xb2, 0x80])
  const link = Buffer.from([0x80])
  fs.mkdirSync(inBase(directory))
  fs.writeFileSync(inBase(directory, name), 'content')
  fs.symlinkSync(name, inBase(directory, link))
  const work = await Work.start(t, [base], 'vm', rig)
  const under = lookup(work.head, work.head.inode(rootInode)!, directory) as InodeState
  const names = [...listNames(work.head, under, 0)].map((entry) => entry.name.toString('hex')).sort()
  t.deepEqual(names, [link, name].map((each) => each.toString('hex')))
  t.true((lookup(work.head, under, link) as InodeState).target.equals(name))
  const content = Buffer.alloc(7)
  readData(work.head, lookup(work.head, under, name) as InodeState, 0, 0, 7, content)
  t.is(content.toString(), 'content')
})

test('extended attributes of files and directories are taken in, lists of rights are not', async (t) => {
  const rig = await temporaryRig(t)
  const base = join(rig.parent, 'base')
  fs.mkdirSync(join(base, 'directory'), { recursive: true })
  for (const name of ['many', 'none', 'other name']) fs.writeFileSync(join(base, name), name)
  fs.linkSync(join(base, 'many'), join(base, 'linked'))
  const script = `import os, sys
os.chdir(sys.argv[1])
os.setxattr("many", b"user.bytes", bytes(range(256))); os.setxattr("many", b"user.empty", b""); os.setxattr("many", b"user.n\\xc3\\xbc", b"1")
os.setxattr("directory", b"user.of", b"directory")
os.setxattr("none", b"system.posix_acl_access", bytes.fromhex("0200000001000600ffffffff02000700e803000004000400ffffffff10000600ffffffff20000400ffffffff"))
os.setxattr("other name", b"user.no\\xff", b"1")`
  execFileSync('python3', ['-c', script, base])
  await t.throwsAsync(rig.engine.createImage({ image: 'no', base: [base] }), { code: 'BASE_UNREADABLE', message: /other name/ })
  fs.unlinkSync(join(base, 'other name'))
  const work = await Work.start(t, [base], 'vm', rig)
  const attributes = (path: string): unknown => Object.fromEntries(readAttributes(work.head, find(work, path)))
  const many = { 'user.bytes': Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)), 'user.empty': Buffer.alloc(0), 'user.n\xc3\xbc': Buffer.from('1') }
  t.deepEqual(attributes('/many'), many)
  t.deepEqual(attributes('/linked'), many)
  t.deepEqual(attributes('/directory'), { 'user.of': Buffer.from('directory') })
  t.deepEqual([attributes('/none'), attributes('/')], [{}, {}])
  t.deepEqual((await work.engine.check({ readData: true })).damaged, [])
})

const hasMaps = spawnSync('qemu-img', ['--version']).error === undefined
const testWithMaps = hasMaps ? test : test.skip

testWithMaps(`of a sparse file of 64 GiB only the data is read${hasMaps ? '' : ': qemu-img is missing'}`, async (t) => {
  const rig = await temporaryRig(t)
  const path = join(rig.parent, 'sparse.raw')
  const bytes = 64 * 2 ** 30 + 77
  const pieces: [number, Buffer][] = [0, 65_530, 2 ** 34 + 5, 2 ** 34 + 70_000, 2 ** 35 - 1, bytes - 3]
    .map((at) => [at, Buffer.from(`here${at}`).subarray(0, bytes - at)])
  const file = fs.openSync(path, 'w')
  fs.ftruncateSync(file, bytes)
  for (const [at, piece] of pieces) fs.writeSync(file, piece, 0, piece.length, at)
  fs.closeSync(file)
  let readBytes = 0
  const { open } = systemEnv()
  const engine = await engineWith(rig, {
    open(at, mode) {
      const opened = open(at, mode)
      if (at !== path) return opened
      const read = opened.read.bind(opened)
      opened.read = (target, position) => {
        readBytes += target.length
        return read(target, position)
      }
      return opened
    },
  })
  const done: number[] = []
  await engine.createImage({ image: 'vm', base: [path] }, { progress: (step) => done.push(step.done / step.total) })
  t.true(readBytes > 0 && readBytes < 4 * 2 ** 20, `${readBytes} bytes were read`)
  t.is(done.at(-1), 1)
  await engine.close()
  const work = new Work(rig, 'vm')
  await work.restart()
  await work.open()
  t.teardown(() => work.engine.close())
  t.teardown(() => work.abandon())
  for (const [at, piece] of pieces) {
    const found = Buffer.alloc(piece.length)
    readData(work.head, find(work, '/sparse.raw'), Math.floor(at / 65_536), at % 65_536, piece.length, found)
    t.is(found.toString(), piece.toString(), `at ${at}`)
  }
})

test('a file beside a directory stands in its root; clashes are refused', async (t) => {
  const rig = await temporaryRig(t)
  const base = join(rig.parent, 'base')
  const file = join(rig.parent, 'disk.raw')
  fs.mkdirSync(join(base, 'other'), { recursive: true })
  fs.writeFileSync(file, 'file')
  await rig.engine.createImage({ image: 'vm', base: [file, base] })
  t.is((await new Work(rig, 'vm').exported('vm@0', '/disk.raw')).toString(), 'file')
  fs.writeFileSync(join(base, 'disk.raw'), 'another')
  const refused = (bases: string[]): Promise<unknown> =>
    t.throwsAsync(rig.engine.createImage({ image: 'no', base: bases }), { code: 'BASE_CLASH' })
  await refused([base, file])
  await refused([base, join(base, 'other')])
  fs.copyFileSync(file, join(base, 'other', 'disk.raw'))
  await refused([file, join(base, 'other', 'disk.raw')])
  t.deepEqual((await rig.engine.images()).map(({ image }) => image), ['vm'])
})

test('a base may be named through links and keeps the name that was given', async (t) => {
  const rig = await temporaryRig(t)
  fs.writeFileSync(join(rig.parent, 'real'), 'content')
  fs.symlinkSync('real', join(rig.parent, 'first'))
  fs.symlinkSync(join(rig.parent, 'first'), join(rig.parent, 'second'))
  fs.symlinkSync('loop', join(rig.parent, 'loop'))
  await rig.engine.createImage({ image: 'vm', base: [join(rig.parent, 'second')] })
  t.is((await new Work(rig, 'vm').exported('vm@0', '/second')).toString(), 'content')
  await t.throwsAsync(rig.engine.createImage({ image: 'no', base: [join(rig.parent, 'loop')] }), { code: 'BASE_UNREADABLE' })
})

test('what cannot be read is refused, and leaves no image', async (t) => {
  const rig = await temporaryRig(t)
  execFileSync('mkfifo', [join(rig.parent, 'pipe')])
  for (const name of ['missing', 'pipe']) {
    await t.throwsAsync(rig.engine.createImage({ image: 'vm', base: [join(rig.parent, name)] }), { code: 'BASE_UNREADABLE' }, name)
  }
  t.deepEqual(await rig.engine.images(), [])
  t.deepEqual(fs.existsSync(join(rig.directory, 'images')) ? fs.readdirSync(join(rig.directory, 'images')) : [], [])
})

test('a base that fails or goes while it is read is unreadable', async (t) => {
  const rig = await temporaryRig(t)
  const path = join(rig.parent, 'disk.raw')
  fs.writeFileSync(path, Random.announced(t).bytes(2_000_000))
  const { open, stat } = systemEnv()
  let gone = false
  const engine = await engineWith(rig, {
    open(at, mode) {
      if (at !== path) return open(at, mode)
      const file = open(at, mode)
      return {
        path: at, fd: file.fd, write: nothing, writev: nothing, append: nothing, truncate: nothing, sync: nothing,
        size: () => file.size(), close: () => file.close(), [Symbol.dispose]: () => file.close(),
        read() {
          throw new HoldfastError('IO', 'a bad sector')
        },
      }
    },
  })
  await t.throwsAsync(engine.createImage({ image: 'vm', base: [path] }), { code: 'BASE_UNREADABLE' })
  await engine.close()
  const second = await engineWith(rig, {
    stat(at) {
      if (at === path && gone) fs.rmSync(path, { force: true })
      gone = gone || at === path
      return stat(at)
    },
  })
  await t.throwsAsync(second.createImage({ image: 'vm', base: [path] }), { code: 'BASE_UNREADABLE' })
  await second.close()
})

test('a store that fails while a base is read is not the base’s fault', async (t) => {
  const rig = await temporaryRig(t)
  const path = join(rig.parent, 'disk.raw')
  fs.writeFileSync(path, Random.announced(t).bytes(2_000_000))
  const failing = new FailingEnv()
  const engine = await engineWith(rig, failing.env)
  failing.failing = { operation: 'write', after: 1 }
  await t.throwsAsync(engine.createImage({ image: 'vm', base: [path] }), { code: 'IO' })
  await engine.close().catch(() => undefined)
  const again = await openLocalEngine(rig.directory)
  t.is((await again.createImage({ image: 'vm', base: [path] })).newest, 0)
  await again.close()
})

test('a base that changes while it is read is refused', async (t) => {
  const changes: ((path: string) => void)[] = [
    (path) => fs.appendFileSync(path, 'x'), (path) => fs.truncateSync(path, 100),
    (path) => fs.utimesSync(path, 5, 5),
    (path) => {
      fs.renameSync(path, `${path}.old`)
      fs.copyFileSync(`${path}.old`, path)
    },
  ]
  for (const change of changes) {
    const rig = await temporaryRig(t)
    const path = join(rig.parent, 'disk.raw')
    fs.writeFileSync(path, Buffer.alloc(300_000, 3))
    const { open } = systemEnv()
    const engine = await engineWith(rig, {
      open(at, mode) {
        const file = open(at, mode)
        if (at === path) change(path)
        return file
      },
    })
    await t.throwsAsync(engine.createImage({ image: 'vm', base: [path] }), { code: 'BASE_CHANGED' }, String(change))
    t.deepEqual(await engine.images(), [])
    await engine.close()
  }
})

test('a directory that gets a new name while it is read is refused', async (t) => {
  const rig = await temporaryRig(t)
  const base = join(rig.parent, 'base')
  fs.mkdirSync(base)
  fs.writeFileSync(join(base, 'file'), 'x')
  fs.utimesSync(base, 5, 5)
  const { open } = systemEnv()
  let count = 0
  const engine = await engineWith(rig, {
    stat(at) {
      const found = systemEnv().stat(at)
      if (at === base && (count += 1) === 1) fs.writeFileSync(join(base, 'new'), 'y')
      return found
    },
    open,
  })
  await t.throwsAsync(engine.createImage({ image: 'vm', base: [base] }), { code: 'BASE_CHANGED' })
  await engine.close()
})

test('stopping leaves nothing, and the name free', async (t) => {
  const rig = await temporaryRig(t)
  const path = join(rig.parent, 'disk.raw')
  fs.writeFileSync(path, Random.announced(t).bytes(4_000_000))
  const stop = new AbortController()
  const steps: number[] = []
  const progress = ({ done, total }: { done: number; total: number }): void => {
    steps.push(done)
    t.is(total, 4_000_000)
    if (done > 2_000_000) stop.abort()
  }
  const made = rig.engine.createImage({ image: 'vm', base: [path] }, { signal: stop.signal, progress })
  await t.throwsAsync(made, { code: 'ABORTED' })
  t.true(steps.length < 4)
  t.deepEqual(await rig.engine.images(), [])
  t.false(fs.existsSync(join(rig.directory, 'images', 'vm')))
  t.is((await rig.engine.createImage({ image: 'vm', base: [path] })).newest, 0)
})
