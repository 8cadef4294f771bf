/** What the head holds between log and manifest: late retirement, orphans, listings, holes. */
import { Buffer } from 'node:buffer'
import { constants } from 'node:os'
import test from 'ava'
import { decodeManifest } from '../../src/format/manifest.ts'
import { systemEnv } from '../../src/env/system.ts'
import { changeAttributes } from '../../src/image/head-attributes.ts'
import { readData, seekData, zeroData } from '../../src/image/head-data.ts'
import { offsetOf } from '../../src/image/offset.ts'
import { link, make, makeUnnamed, remove, removal, rename } from '../../src/image/head-names.ts'
import type { InodeState } from '../../src/image/inode-state.ts'
import { rootInode } from '../../src/image/ingest.ts'
import { listNames } from '../../src/image/listing.ts'
import { fileType } from '../../src/image/modes.ts'
import { chunkBytes } from '../../src/limits.ts'
import { Work } from './work.ts'
import { openChunkReader } from './variant.ts'

const root = (work: Work): InodeState => work.head.inode(rootInode)!

/** The orphans of a manifest in the store. */
async function orphansOf(work: Work, manifest: string): Promise<number[]> {
  await using reader = await openChunkReader(systemEnv(), work.store)
  return decodeManifest(reader.read(Buffer.from(manifest, 'hex'))).orphans
}

function unlink(work: Work, name: string): number {
  return remove(work.head, root(work), Buffer.from(name), 'other', 0n)
}

function readHeld(work: Work, state: InodeState): string {
  const target = Buffer.alloc(100)
  return target.toString('utf8', 0, readData(work.head, state, 0, 0, 100, target))
}

test('a commit that is retired late leaves later writes of the same file alone', async (t) => {
  const work = await Work.start(t)
  work.write('disk', 'aaaaaaaaaa')
  const first = work.head.rotate()
  work.write('disk', 'BB', 2)
  work.truncate('disk', 8)
  const one = await work.engine.commit({ image: 'vm', segment: first, kind: 'head' })
  const second = work.head.rotate()
  work.write('disk', 'CC', 4)
  t.is(work.read('disk').toString(), 'aaBBCCaa')
  work.head.retire(first, Buffer.from(one.manifest, 'hex'))
  t.is(work.read('disk').toString(), 'aaBBCCaa')
  const two = await work.engine.commit({ image: 'vm', segment: second, kind: 'head' })
  work.write('disk', 'D', 7)
  work.head.retire(second, Buffer.from(two.manifest, 'hex'))
  t.is(work.read('disk').toString(), 'aaBBCCaD')
  await work.commit('epoch')
  t.is((await work.exported('vm@1', '/disk')).toString(), 'aaBBCCaD')
  // The root was looked up; nothing else is held.
  t.is(work.head.statistics().inodes, 1)
  t.is(work.head.statistics().unretiredBytes, 0)
})

test('a file that is unlinked and open lives in the head, not in epochs, and not after recovery', async (t) => {
  const work = await Work.start(t)
  work.write('open', 'still here')
  const state = work.file('open')
  state.references = 1
  t.is(unlink(work, 'open'), 0)
  const head = await work.commit('head')
  t.deepEqual(await orphansOf(work, head.manifest), [state.number])
  t.is(readHeld(work, state), 'still here')
  const sealed = await work.commit('epoch')
  t.deepEqual(await orphansOf(work, sealed.manifest), [state.number])
  t.deepEqual(await orphansOf(work, (await work.engine.show({ epoch: 'vm@1' })).root), [])
  t.is((await work.engine.show({ epoch: 'vm@1' })).files, 1)
  t.is(readHeld(work, state), 'still here')
  await work.commit('head')
  await work.restart()
  await work.open()
  t.is(work.head.inode(state.number), null)
  t.is((await work.engine.check({ readData: true })).damaged.length, 0)
})

test('the last forget lets an orphan go', async (t) => {
  const work = await Work.start(t)
  work.write('open', 'x')
  const state = work.file('open')
  state.references = 2
  unlink(work, 'open')
  await work.commit('head')
  work.head.forget(state.number, 1, 0n, removal)
  t.is(work.head.inode(state.number), state)
  work.head.forget(state.number, 1, 0n, removal)
  t.is(work.head.inode(state.number), null)
  const { manifest } = await work.commit('head')
  t.deepEqual(await orphansOf(work, manifest), [])
  t.is(work.head.inode(state.number), null)
  t.is(work.head.manifest.inodeCount, 1)
})

test('a file made without a name is linked once, if at all; what was unlinked never is', async (t) => {
  const work = await Work.start(t)
  const linked = (state: InodeState, name: string): unknown => link(work.head, state, root(work), Buffer.from(name), 0n)
  const made = (isLinkable: boolean): InodeState => {
    const state = makeUnnamed(work.head, root(work), { mode: fileType.regular | 0o600, uid: 0, gid: 0, isLinkable }, 0n) as InodeState
    state.references = 1
    return state
  }
  const [exclusive, open] = [made(false), made(true)]
  await work.commit('head')
  t.is(linked(exclusive, 'exclusive'), -constants.errno.ENOENT)
  t.is(linked(open, 'open'), open)
  t.like(open, { linkCount: 1, isLinkable: false })
  t.is(unlink(work, 'open'), 0)
  t.is(linked(open, 'open'), -constants.errno.ENOENT)
  const refused = made(true)
  t.is(linked(refused, 'x'.repeat(256)), -constants.errno.ENAMETOOLONG)
  t.true(refused.isLinkable)
})

test('an open directory that was removed takes no names', async (t) => {
  const work = await Work.start(t)
  const request = { mode: fileType.directory | 0o755, uid: 0, gid: 0 }
  const directory = make(work.head, root(work), Buffer.from('d'), request, 0n) as InodeState
  directory.references = 1
  t.is(remove(work.head, root(work), Buffer.from('d'), 'directory', 0n), 0)
  t.is(make(work.head, directory, Buffer.from('x'), request, 0n), -2)
  t.is(root(work).linkCount, 2)
  await work.commit('head')
  await work.commit('epoch')
  t.is((await work.engine.show({ epoch: 'vm@1' })).files, 1)
})

test('a name that was there all the time is listed once, whatever comes and goes meanwhile', async (t) => {
  const work = await Work.start(t)
  const stays = Array.from({ length: 300 }, (_, index) => `stays ${index}`)
  for (const name of stays) work.file(name)
  await work.commit('head')
  for (const name of stays.slice(0, 50)) work.write(name, 'touched')
  const seen: string[] = []
  let from = 0
  for (let round = 0; from <= 2 ** 52; round += 1) {
    const part = [...listNames(work.head, root(work), from)].slice(0, 17)
    for (const { name } of part) seen.push(name.toString())
    if (part.length < 17) break
    from = part[16].key + 1
    work.file(`comes ${round}`)
    if (round > 0) unlink(work, `comes ${round - 1}`)
    if (round % 3 === 0) await work.commit('head')
  }
  const count = new Map<string, number>()
  for (const name of seen) count.set(name, (count.get(name) ?? 0) + 1)
  t.deepEqual(stays.filter((name) => count.get(name) !== 1), [])
  t.deepEqual([...count].filter(([, times]) => times > 1), [])
})

test('hard links count, and measure as one', async (t) => {
  const work = await Work.start(t)
  work.write('one', Buffer.alloc(1000, 1))
  link(work.head, work.file('one'), root(work), Buffer.from('two'), 0n)
  await work.commit('epoch')
  t.like(await work.engine.show({ epoch: 'vm@1' }), { files: 2, logicalBytes: 1000 })
  t.is(unlink(work, 'one'), 0)
  await work.commit('epoch')
  t.is((await work.exported('vm@2', '/two')).length, 1000)
  t.is(work.file('two').linkCount, 1)
})

test('times that were set are kept through commit and recovery, and reading leaves them', async (t) => {
  const work = await Work.start(t)
  work.write('disk', 'x')
  const times = { accessedNs: -1n, modifiedNs: 1_234_567_890_123_456_789n }
  changeAttributes(work.head, work.file('disk'), times, 0n)
  work.read('disk')
  t.like(work.file('disk'), times)
  await work.restart()
  await work.open()
  t.like(work.file('disk'), times)
  await work.commit('epoch')
  t.like(work.file('disk'), times)
})

test('a file cut and written again, in one segment and in several', async (t) => {
  for (const isApart of [false, true]) {
    const work = await Work.start(t)
    const pause = async (): Promise<unknown> => (isApart ? work.commit('head') : undefined)
    work.write('disk', Buffer.alloc(200_000, 1))
    await pause()
    work.truncate('disk', 10)
    await pause()
    work.write('disk', Buffer.alloc(10, 2), 150_000)
    await pause()
    work.truncate('disk', 160_000)
    const wanted = Buffer.alloc(160_000)
    wanted.fill(1, 0, 10).fill(2, 150_000, 150_010)
    t.true(work.read('disk').equals(wanted))
    await work.commit('epoch')
    t.true(work.read('disk').equals(wanted))
    t.true((await work.exported('vm@1', '/disk')).equals(wanted))
  }
})

test('zeroed ranges of many chunks, written over, then committed', async (t) => {
  const work = await Work.start(t)
  const size = 300 * chunkBytes
  work.write('disk', Buffer.alloc(65_536, 1), 0)
  work.write('disk', Buffer.alloc(65_536, 2), 150 * chunkBytes)
  work.write('disk', 'end', size - 3)
  await work.commit('head')
  zeroData(work.head, work.file('disk'), { chunk: 0, within: 100 }, BigInt(size - 103), 0n)
  work.write('disk', 'middle', 150 * chunkBytes + 7)
  const wanted = Buffer.alloc(size)
  wanted.fill(1, 0, 100).write('middle', 150 * chunkBytes + 7)
  wanted.write('end', size - 3)
  t.true(work.read('disk', 0, size).equals(wanted))
  await work.commit('epoch')
  t.true(work.read('disk', 0, size).equals(wanted))
  t.true((await work.exported('vm@1', '/disk')).equals(wanted))
  t.like(await work.engine.show({ epoch: 'vm@1' }), { logicalBytes: size })
})

test('a memory file comes back from its own lane', async (t) => {
  const work = await Work.start(t)
  work.file('memory', true)
  work.write('memory', Buffer.alloc(100_000, 5))
  work.write('disk', 'disk')
  work.truncate('memory', 120_000)
  await work.restart()
  await work.open()
  t.true(work.file('memory').isMemory)
  const wanted = Buffer.alloc(120_000)
  wanted.fill(5, 0, 100_000)
  t.true(work.read('memory').equals(wanted))
})

test('reading behind the end gives nothing, seeking there says so', async (t) => {
  const work = await Work.start(t)
  work.write('disk', 'abc')
  for (const at of [3, 4, 1000, 65_536, 2 ** 45]) {
    t.is(work.read('disk', at).length, 0)
    t.is(seekData(work.head, work.file('disk'), offsetOf(BigInt(at)), 'data'), -6)
    t.is(seekData(work.head, work.file('disk'), offsetOf(BigInt(at)), 'hole'), -6)
  }
  t.is(seekData(work.head, work.file('disk'), offsetOf(1n), 'data'), 1n)
  t.is(seekData(work.head, work.file('disk'), offsetOf(1n), 'hole'), 3n)
})

test('holes and data of committed, overlaid, cut and zeroed chunks', async (t) => {
  const work = await Work.start(t)
  work.write('disk', Buffer.alloc(4 * chunkBytes, 1))
  work.write('disk', 'x', 1000 * chunkBytes - 1)
  await work.commit('head')
  const seek = (at: number, whence: 'data' | 'hole'): number =>
    Number(seekData(work.head, work.file('disk'), offsetOf(BigInt(at)), whence)) / chunkBytes
  t.deepEqual([seek(0, 'hole'), seek(4 * chunkBytes, 'data'), seek(999 * chunkBytes, 'hole')], [4, 999, 1000])
  zeroData(work.head, work.file('disk'), { chunk: 1, within: 0 }, BigInt(chunkBytes), 0n)
  work.write('disk', 'y', 5 * chunkBytes)
  work.write('disk', 'y', 4 * chunkBytes)
  t.deepEqual([seek(0, 'hole'), seek(chunkBytes, 'data'), seek(2 * chunkBytes, 'hole'), seek(6 * chunkBytes, 'data')], [1, 2, 6, 999])
  work.truncate('disk', 3 * chunkBytes)
  work.truncate('disk', 500 * chunkBytes)
  t.deepEqual([seek(2 * chunkBytes, 'hole'), seek(3 * chunkBytes, 'hole')], [3, 3])
  t.is(seekData(work.head, work.file('disk'), offsetOf(BigInt(3 * chunkBytes)), 'data'), -6)
  zeroData(work.head, work.file('disk'), { chunk: 0, within: 0 }, BigInt(400 * chunkBytes), 0n)
  work.write('disk', 'z', 300 * chunkBytes)
  t.deepEqual([seek(0, 'hole'), seek(0, 'data'), seek(300 * chunkBytes, 'hole')], [0, 300, 301])
})

test('a failed log write fails the head; lack of space does not', async (t) => {
  const work = await Work.start(t)
  work.write('disk', 'x')
  work.head.fail(new Error('a broken disk'))
  t.true(work.head.isFailed)
  t.is(work.write('disk', 'y'), -5)
  t.is(work.truncate('disk', 0), -5)
  t.is(unlink(work, 'disk'), -5)
  t.is(work.read('disk').toString(), 'x')
  t.is(work.file('disk').linkCount, 1)
})

test('names that move over others in one record', async (t) => {
  const work = await Work.start(t)
  work.write('a', 'from a')
  work.write('b', 'from b')
  const names = { parent: root(work), name: Buffer.from('a'), newParent: root(work), newName: Buffer.from('b') }
  t.is(rename(work.head, { ...names, noReplace: true, exchange: false }, 0n), -17)
  t.is(rename(work.head, { ...names, noReplace: false, exchange: true }, 0n), 0)
  t.is(work.read('a').toString(), 'from b')
  t.is(rename(work.head, { ...names, noReplace: false, exchange: false }, 0n), 0)
  await work.restart()
  await work.open()
  t.deepEqual([...listNames(work.head, root(work), 0)].map(({ name }) => name.toString()), ['b'])
  t.is(work.read('b').toString(), 'from b')
})

test('a chunk that is shorter than all of a file gives no bytes that are not its own', async (t) => {
  const work = await Work.start(t)
  work.write('disk', Buffer.alloc(chunkBytes, 0x11))
  await work.commit()
  const { reader } = work.head
  const state = work.file('disk')
  // A manifest from elsewhere may name any chunk as data.
  const cut = { has: (id: Buffer) => reader.has(id), read: (id: Buffer) => reader.read(id).subarray(0, 4096) }
  Object.assign(work.head, { reader: cut })
  const target = Buffer.alloc(8192, 0xee)
  t.is(readData(work.head, state, 0, 0, 4096, target), 4096)
  t.throws(() => readData(work.head, state, 0, 0, 8192, target), { code: 'DAMAGED' })
})
