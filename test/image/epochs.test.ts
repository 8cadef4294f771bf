import { Buffer } from 'node:buffer'
import fs from 'node:fs'
import { basename } from 'node:path'
import test from 'ava'
import { imageNameBytesMax } from '../../src/limits.ts'
import { removeAttribute, setAttribute } from '../../src/image/head-attributes.ts'
import { link, make, remove, rename } from '../../src/image/head-names.ts'
import { rootInode } from '../../src/image/ingest.ts'
import { fileType } from '../../src/image/modes.ts'
import { systemEnv } from '../../src/env/system.ts'
import { HoldfastError } from '../../src/errors.ts'
import { Random } from '../random.ts'
import { openLocalEngine } from './variant.ts'
import { temporaryRig, Work } from './work.ts'

test('an empty image has epoch 0, and nothing in it but its root', async (t) => {
  const { engine } = await temporaryRig(t)
  const made = await engine.createImage({ image: 'vm', base: [] })
  t.like(made, { image: 'vm', origin: { kind: 'empty' }, epochs: 1, newest: 0 })
  const [first] = await engine.log({ image: 'vm' })
  t.like(first, { image: 'vm', number: 0, parent: null, note: '', pinned: false, level: 'durable', writtenBytes: 0, machine: false })
  t.like(await engine.show({ epoch: 'vm@0' }), { files: 1, logicalBytes: 0, state: null, machineFacts: null, id: first.id })
  t.like(await engine.stats(), { images: 1, epochs: 1, formatVersion: 1 })
})

test('each seal is an epoch whose parent is the one before, with what was written between', async (t) => {
  const work = await Work.start(t)
  work.write('disk', 'one')
  await work.commit('head')
  work.write('disk', 'two!')
  const { epoch } = await work.commit('epoch', { note: 'first' })
  work.write('disk', Buffer.alloc(100, 7))
  const later = await work.commit('epoch')
  t.like(epoch, { number: 1, note: 'first', writtenBytes: 7 })
  t.like(later.epoch, { number: 2, writtenBytes: 100, parent: { id: epoch?.id, image: 'vm', number: 1 } })
  const log = await work.engine.log({ image: 'vm' })
  t.deepEqual(log.map(({ number, parent }) => [number, parent?.number]), [[0, undefined], [1, 0], [2, 1]])
  t.deepEqual(log.slice(1), [epoch!, later.epoch!])
  t.is((await work.exported('vm@1', '/disk')).toString(), 'two!')
  t.true((await work.exported('vm@2', '/disk')).equals(Buffer.alloc(100, 7)))
})

test('stored bytes outlive a restart, and their file may be torn or gone', async (t) => {
  const work = await Work.start(t)
  work.write('disk', new Random(1).bytes(100_000))
  const { epoch } = await work.commit('epoch')
  t.true(epoch!.storedBytes! > 100_000)
  await work.restart(() => fs.appendFileSync(work.path('stats'), '[1,9'))
  t.is((await work.engine.log({ image: 'vm' }))[1].storedBytes, epoch!.storedBytes)
  await work.engine.sealHead({ image: 'vm' })
  await work.restart()
  const [, first, second] = await work.engine.log({ image: 'vm' })
  t.is(first.storedBytes, epoch!.storedBytes)
  t.not(second.storedBytes, null)
  await work.restart(() => fs.unlinkSync(work.path('stats')))
  t.is((await work.engine.log({ image: 'vm' }))[1].storedBytes, null)
})

test('numbers are never used again, not after a rollback, not after the newest epoch is removed', async (t) => {
  const work = await Work.start(t)
  for (const text of ['one', 'two', 'three']) {
    work.write('disk', text)
    await work.commit('epoch')
  }
  await work.close()
  await work.engine.remove({ target: 'vm@3' })
  await work.restart()
  t.is((await work.engine.sealHead({ image: 'vm' })).number, 4)
  t.is((await work.exported('vm@4', '/disk')).toString(), 'three')
  await work.engine.rollback({ epoch: 'vm@1', discard: false })
  const sealed = await work.engine.sealHead({ image: 'vm' })
  t.like(sealed, { number: 5, parent: { number: 1 } })
  await work.engine.remove({ target: 'vm@5' })
  await work.engine.remove({ target: 'vm@4' })
  await work.restart()
  t.is((await work.engine.sealHead({ image: 'vm' })).number, 6)
  await t.throwsAsync(work.engine.show({ epoch: 'vm@5' }), { code: 'NOT_FOUND' })
})

test('a rollback seals what the head held, unless it is to be discarded or there is nothing', async (t) => {
  const work = await Work.start(t)
  work.write('disk', 'one')
  await work.commit('epoch')
  await t.throwsAsync(work.engine.rollback({ epoch: 'vm@0', discard: false }), { code: 'BUSY' })
  await work.close()
  t.is((await work.engine.rollback({ epoch: 'vm@0', discard: false })).sealed, null)
  t.is((await work.engine.rollback({ epoch: 'vm@1', discard: false })).sealed, null)
  await work.open()
  work.write('disk', 'two')
  await work.close()
  const { sealed, head } = await work.engine.rollback({ epoch: 'vm@0', discard: false })
  t.like(sealed, { number: 2, parent: { number: 1 } })
  t.is(head.number, 0)
  t.is((await work.exported('vm@2', '/disk')).toString(), 'two')
  await work.open()
  work.write('other', 'lost')
  await work.close()
  t.is((await work.engine.rollback({ epoch: 'vm@2', discard: true })).sealed, null)
  await work.open()
  t.is(work.read('disk').toString(), 'two')
  t.is(work.read('other').length, 0)
})

test('a pinned epoch stays, and its image with it', async (t) => {
  const work = await Work.start(t)
  await work.commit('epoch')
  await work.close()
  t.true((await work.engine.pin({ epoch: 'vm@1', pinned: true })).pinned)
  await work.engine.pin({ epoch: 'vm@1', pinned: true })
  await work.restart()
  t.deepEqual((await work.engine.log({ image: 'vm' })).map(({ pinned }) => pinned), [false, true])
  await t.throwsAsync(work.engine.remove({ target: 'vm@1' }), { code: 'PINNED' })
  await t.throwsAsync(work.engine.remove({ target: 'vm' }), { code: 'PINNED' })
  t.false((await work.engine.pin({ epoch: 'vm@1', pinned: false })).pinned)
  t.deepEqual(await work.engine.remove({ target: 'vm@1' }), { removedEpochs: 1 })
  await t.throwsAsync(work.engine.pin({ epoch: 'vm@1', pinned: true }), { code: 'NOT_FOUND' })
  t.deepEqual(await work.engine.remove({ target: 'vm' }), { removedEpochs: 1 })
  t.deepEqual(await work.engine.images(), [])
  await t.throwsAsync(work.engine.log({ image: 'vm' }), { code: 'NOT_FOUND' })
})

test('an open head keeps its image, and is opened once', async (t) => {
  const work = await Work.start(t)
  await t.throwsAsync(work.engine.remove({ target: 'vm' }), { code: 'BUSY' })
  await t.throwsAsync(work.engine.openHead({ image: 'vm' }), { code: 'BUSY' })
  await t.throwsAsync(work.engine.sealHead({ image: 'vm' }), { code: 'BUSY' })
  await t.throwsAsync(work.engine.rebuildIndex(), { code: 'BUSY' })
})

test('a name that was removed can be used again, and is another image', async (t) => {
  const work = await Work.start(t)
  work.write('disk', 'old')
  await work.commit('epoch')
  await work.close()
  const [old] = await work.engine.images()
  await work.engine.remove({ target: 'vm' })
  const made = await work.engine.createImage({ image: 'vm', base: [] })
  t.not(made.id, old.id)
  await work.open()
  t.is(work.read('disk').length, 0)
})

test('a fork of a fork goes its own way', async (t) => {
  const work = await Work.start(t)
  work.write('disk', 'one')
  await work.commit('epoch')
  const { engine } = work
  t.like(await engine.fork({ epoch: 'vm@1', image: 'son' }), { origin: { kind: 'fork', epoch: 'vm@1' }, epochs: 1 })
  const son = new Work(work.rig, 'son')
  await son.open()
  t.teardown(() => son.abandon())
  son.write('disk', 'TWO')
  await son.commit('epoch')
  await engine.fork({ epoch: 'son@1', image: 'grandson' })
  work.write('disk', 'vm again')
  await work.commit('epoch')
  const [first] = await engine.log({ image: 'grandson' })
  t.like(first.parent, { image: 'son', number: 1 })
  t.is((await work.exported('grandson@0', '/disk')).toString(), 'TWO')
  t.is((await work.exported('son@0', '/disk')).toString(), 'one')
  await son.close()
  await engine.remove({ target: 'son' })
  t.is((await engine.log({ image: 'grandson' }))[0].parent?.image, 'son')
  t.is((await work.exported('grandson@0', '/disk')).toString(), 'TWO')
  await t.throwsAsync(engine.fork({ epoch: 'vm@1', image: 'grandson' }), { code: 'EXISTS' })
  t.deepEqual((await engine.check({ readData: true })).damaged, [])
})

test('names that are none are refused, odd ones are not', async (t) => {
  const { engine } = await temporaryRig(t)
  const bad = ['', '.', '..', '.hidden', 'a/b', 'a@b', 'a:b', 'a\nb', 'a\0b', 'a\x7fb', 'x'.repeat(imageNameBytesMax + 1),
    'ü'.repeat(imageNameBytesMax / 2 + 1), '\ud800']
  for (const image of bad) {
    await t.throwsAsync(engine.createImage({ image, base: [] }), { code: 'BAD_NAME' }, JSON.stringify(image))
    await t.throwsAsync(engine.log({ image }), { code: 'BAD_NAME' }, JSON.stringify(image))
  }
  for (const image of ['-', '--help', 'a b', 'ünïcode', 'x'.repeat(imageNameBytesMax), 'con', 'a.tmp', "'", '%2f']) {
    t.is((await engine.createImage({ image, base: [] })).image, image)
  }
  await t.throwsAsync(engine.createImage({ image: '-', base: [] }), { code: 'EXISTS' })
  for (const epoch of ['vm', 'vm@', 'vm@x', '@1', 'vm@-1', 'vm@1.5', 'vm@9999999999999999', 'a@b@1']) {
    await t.throwsAsync(engine.show({ epoch }), { code: 'USAGE' }, epoch)
  }
  await t.throwsAsync(engine.show({ epoch: 'nobody@1' }), { code: 'NOT_FOUND' })
})

test('a diff names what was added, removed, modified, or changed in its metadata only', async (t) => {
  const work = await Work.start(t)
  const root = (): NonNullable<ReturnType<typeof work.head.inode>> => work.head.inode(rootInode)!
  for (const name of ['same', 'changed', 'gone', 'renamed', 'linked', 'attributed']) work.write(name, Buffer.alloc(200_000, 5))
  make(work.head, root(), Buffer.from('directory'), { mode: fileType.directory | 0o755, uid: 0, gid: 0 }, 0n)
  await work.commit('epoch')
  work.write('changed', 'x', 70_000)
  remove(work.head, root(), Buffer.from('gone'), 'other', 0n)
  const names = { parent: root(), name: Buffer.from('renamed'), newParent: root(), newName: Buffer.from('new name') }
  rename(work.head, { ...names, noReplace: false, exchange: false }, 0n)
  link(work.head, work.file('linked'), root(), Buffer.from('linked too'), 0n)
  const flags = { createOnly: false, replaceOnly: false }
  setAttribute(work.head, work.file('attributed'), Buffer.from('user.a'), Buffer.from('1'), flags, 0n)
  make(work.head, root(), Buffer.from('pointer'), { mode: fileType.link | 0o777, uid: 0, gid: 0, target: Buffer.from('same') }, 0n)
  await work.commit('epoch')
  const entries = await work.engine.diff({ before: 'vm@1', after: 'vm@2' })
  t.deepEqual(entries.map(({ path, change, kind, changedChunks }) => [path, change, kind, changedChunks]), [
    ['/', 'metadata', 'directory', 0], ['/attributed', 'metadata', 'file', 0], ['/changed', 'modified', 'file', 1],
    ['/gone', 'removed', 'file', 4], ['/linked', 'metadata', 'file', 0], ['/linked too', 'added', 'file', 4],
    ['/new name', 'added', 'file', 4], ['/pointer', 'added', 'symlink', 0], ['/renamed', 'removed', 'file', 4],
  ])
  const back = await work.engine.diff({ before: 'vm@2', after: 'vm@1' })
  t.deepEqual(back.find(({ path }) => path === '/gone'), {
    path: '/gone', change: 'added', kind: 'file', bytesBefore: 0, bytesAfter: 200_000, changedChunks: 4,
  })
  t.deepEqual(await work.engine.diff({ before: 'vm@2', after: 'vm@2' }), [])
  t.like(await work.engine.show({ epoch: 'vm@2' }), { files: 8, logicalBytes: 5 * 200_000 })
  removeAttribute(work.head, work.file('attributed'), Buffer.from('user.a'), 0n)
  await work.commit('epoch')
  t.deepEqual((await work.engine.diff({ before: 'vm@2', after: 'vm@3' })).map(({ path, change }) => [path, change]), [['/attributed', 'metadata']])
})

test('two images commit at once', async (t) => {
  const first = await Work.start(t)
  const second = await Work.start(t, [], 'other', first.rig)
  const random = Random.announced(t)
  const contents = [random.bytes(70_000), random.bytes(70_000)]
  for (let round = 0; round < 5; round += 1) {
    for (let at = 0; at < 60; at += 1) {
      first.write('disk', contents[0], at * 70_000)
      second.write('disk', contents[1], at * 70_000)
    }
    contents[0][round] ^= 1
    await Promise.all([first.commit('epoch'), second.commit('epoch'), first.engine.log({ image: 'vm' })])
  }
  contents[0][4] ^= 1
  t.true((await first.exported('vm@5', '/disk')).subarray(0, 70_000).equals(contents[0]))
  t.true((await first.exported('other@5', '/disk')).subarray(59 * 70_000).equals(contents[1]))
  t.deepEqual((await first.engine.check({ readData: true })).damaged, [])
})

test('an index that was deleted between sessions loses nothing', async (t) => {
  const work = await Work.start(t)
  work.write('disk', new Random(9).bytes(300_000))
  await work.commit('epoch')
  const before = await work.exported('vm@1', '/disk')
  await work.restart(() => fs.rmSync(`${work.store}/index`, { recursive: true }))
  t.true((await work.exported('vm@1', '/disk')).equals(before))
  t.true((await work.engine.rebuildIndex()).records > 0)
  t.true((await work.exported('vm@1', '/disk')).equals(before))
  await work.open()
  work.write('disk', 'goes on')
  await work.commit('epoch')
  t.is((await work.exported('vm@2', '/disk')).subarray(0, 7).toString(), 'goes on')
})

test('a record whose name could not be synced is made durable before anything rests on it', async (t) => {
  const rig = await temporaryRig(t)
  await rig.engine.createImage({ image: 'vm', base: [] })
  await rig.engine.close()
  const synced: string[] = []
  let isFailing = false
  const env = {
    ...systemEnv(),
    syncDirectory: (path: string) => {
      synced.push(basename(path))
      if (isFailing && basename(path) === 'epochs') throw new HoldfastError('IO', 'it fails on purpose')
      systemEnv().syncDirectory(path)
    },
  }
  {
    await using engine = await openLocalEngine(rig.directory, { env })
    await engine.sealHead({ image: 'vm' })
    isFailing = true
    await t.throwsAsync(engine.sealHead({ image: 'vm' }), { code: 'IO' })
  }
  isFailing = false
  synced.length = 0
  await using engine = await openLocalEngine(rig.directory, { env })
  const { head } = await engine.rollback({ epoch: 'vm@2', discard: true })
  t.is(head.number, 2)
  t.deepEqual(['epochs', 'vm', 'images'].filter((name) => !synced.includes(name)), [])
})
