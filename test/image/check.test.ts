/** Damage of every kind in a whole store: found, told of by epoch, file and byte, healed where anything can heal it. */
import type { Buffer } from 'node:buffer'
import fs from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import test from 'ava'
import { isCode } from '../../src/errors.ts'
import { Random } from '../random.ts'
import { contentsOf, flipOnce, makeStore, packBytesMax } from './spoilt-store.ts'
import type { FlipTally } from './spoilt-store.ts'
import { isEncrypted, openLocalEngine } from './variant.ts'
import { temporaryRig, Work } from './work.ts'

const flips = Number(process.env.HOLDFAST_FLIPS ?? 40)

test('one flipped bit anywhere in a store is found and healed', async (t) => {
  t.timeout(300_000 + flips * 5_000)
  const random = Random.announced(t)
  const rig = await temporaryRig(t)
  await makeStore(rig, random)
  const copy = join(rig.parent, 'copy')
  fs.cpSync(rig.directory, copy, { recursive: true })
  const engine = await openLocalEngine(copy, { packBytesMax })
  const wanted = await contentsOf(engine, copy)
  await engine.close()
  const tallies = new Map<string, FlipTally>()
  for (let count = 0; count < flips; count++) {
    const { kind, where, isFound, isHealed, isHarmless, report } = await flipOnce(rig.directory, copy, random, wanted)
    const tally = tallies.get(kind) ?? { tried: 0, found: 0, healed: 0, harmless: 0 }
    tallies.set(kind, tally)
    tally.tried += 1
    tally.found += Number(isFound)
    tally.healed += Number(isHealed)
    tally.harmless += Number(isHarmless)
    t.true(isHealed, `${where}: ${JSON.stringify(report)}`)
    t.true(isFound || isHarmless, where)
  }
  for (const [kind, { tried, found, healed, harmless }] of [...tallies].sort()) {
    t.log(`${kind}: bit flips tried ${tried}, found ${found}, healed ${healed}, harmless ${harmless}`)
  }
})

/** Overwrites the place in the packs where these bytes are stored as they are. */
function spoil(store: string, bytes: Buffer): void {
  for (const name of fs.readdirSync(join(store, 'packs'))) {
    const path = join(store, 'packs', name)
    const pack = fs.readFileSync(path)
    const at = pack.indexOf(bytes)
    if (at < 0) continue
    pack.fill(0xa5, at, at + 400)
    fs.writeFileSync(path, pack)
    return
  }
  throw new Error('the bytes are stored in no pack as they are')
}

// Sealed bytes cannot be found in a pack to be spoilt.
if (!isEncrypted) test('the report names the epochs, files and bytes that are lost; a plain file gives them back', async (t) => {
  const work = await Work.start(t)
  const bytes = Random.announced(t).bytes(4 * 65_536 + 1000)
  work.write('disk', bytes)
  await work.commit('epoch')
  work.write('other', 'x')
  await work.commit('epoch')
  const copy = join(work.rig.parent, 'copies', 'deep', 'disk.raw')
  fs.mkdirSync(join(work.rig.parent, 'copies', 'deep'), { recursive: true })
  fs.writeFileSync(copy, bytes)
  await work.restart(() => {
    spoil(work.store, bytes.subarray(70_000, 70_100))
    spoil(work.store, bytes.subarray(150_000, 150_100))
  })
  const { damaged } = await work.engine.check({ readData: true })
  const files = damaged.filter(({ what }) => what === 'files')
  t.is(files.length, 1)
  t.deepEqual(files[0].epochs, ['vm@1', 'vm@2'])
  t.deepEqual(files[0].files, [{ path: '/disk', ranges: [{ offset: 65_536, bytes: 131_072 }] }])
  const vain = await work.engine.check({ readData: true, repair: true })
  t.deepEqual(vain.damaged.filter(({ what }) => what === 'files').map(({ epochs }) => epochs), [['vm@1', 'vm@2']])
  t.true(vain.healed.length > 0, 'the packs are whole again')
  t.is((await work.exported('vm@2', '/other')).toString(), 'x')
  await t.throwsAsync(work.exported('vm@1', '/disk'))
  const healed = await work.engine.check({ readData: true, repair: true, from: [join(work.rig.parent, 'copies')] })
  t.deepEqual(healed.damaged, [])
  t.true(healed.repairs.some((sentence) => sentence.includes('found 2 chunks')), healed.repairs.join('; '))
  t.true((await work.exported('vm@1', '/disk')).equals(bytes))
  t.deepEqual((await work.engine.check({ readData: true })).damaged, [])
})

test('a lost directory, a lost run of inodes and a lost machine state are told of as such', async (t) => {
  const work = await Work.start(t)
  const random = Random.announced(t)
  for (let count = 0; count < 300; count++) work.write(`a name of some length ${count}`, 'x')
  await work.commit('epoch', { machine: { state: random.bytes(65_536), facts: {}, pauseMs: 1 } })
  await work.commit('epoch')
  await work.restart(() => {
    for (const name of fs.readdirSync(join(work.store, 'packs'))) {
      const path = join(work.store, 'packs', name)
      const pack = fs.readFileSync(path)
      pack.fill(0xa5, 100, pack.length - 2000)
      fs.writeFileSync(path, pack)
    }
  })
  const { damaged } = await work.engine.check({ readData: true })
  t.true(damaged.length > 0)
  const told = new Set(damaged.filter(({ what }) => what !== 'record').flatMap(({ epochs }) => epochs))
  t.deepEqual([...told].sort(), ['vm@0', 'vm@1', 'vm@2'].filter((epoch) => told.has(epoch)))
  t.true(told.has('vm@1') && told.has('vm@2'), [...told].join())
})

test('a pinned epoch whose record is gone is told of', async (t) => {
  const work = await Work.start(t)
  for (const text of ['one', 'two']) {
    work.write('disk', text)
    await work.commit('epoch')
  }
  await work.close()
  await work.engine.pin({ epoch: 'vm@1', pinned: true })
  await work.restart(() => fs.rmSync(work.path('epochs', '00000001')))
  const { damaged } = await work.engine.check({ readData: false })
  t.deepEqual(damaged.map(({ what, where, epochs }) => [what, where, epochs]), [['epoch', 'vm@1', ['vm@1']]])
})

test('an image without its identity gets it back from its records, and keeps its history', async (t) => {
  const work = await Work.start(t)
  work.write('disk', 'one')
  await work.commit('epoch')
  await work.close()
  await work.engine.fork({ epoch: 'vm@1', image: 'fork' })
  const before = await work.engine.images()
  for (const text of [null, '', '{"holdfast":"image"}']) {
    await work.restart(() => {
      for (const image of ['vm', 'fork']) {
        const path = join(work.store, 'images', image, 'image.json')
        if (text === null) fs.rmSync(path)
        else fs.writeFileSync(path, text)
      }
    })
    const refused = await t.throwsAsync(work.engine.log({ image: 'vm' }), { message: /check --repair/ })
    t.true(isCode(refused, 'DAMAGED', 'BAD_FORMAT'))
    const { damaged } = await work.engine.check({ readData: false })
    t.deepEqual(damaged.map(({ what, where }) => [what, where]), [['identity', 'fork'], ['identity', 'vm']])
    t.deepEqual((await work.engine.check({ readData: false, repair: true })).damaged, [])
    const after = await work.engine.images()
    t.deepEqual(after.map(({ id, epochs }) => [id, epochs]), before.map(({ id, epochs }) => [id, epochs]))
    t.deepEqual(after.map(({ origin }) => origin.kind), ['fork', 'base'])
  }
  await work.open()
  t.is(work.read('disk').toString(), 'one')
})

test('a spoilt record in the log of an image that nobody serves is mended; in one that is served it is left', async (t) => {
  const work = await Work.start(t)
  for (let text = 1; text <= 20; text++) work.write('disk', String(text).padStart(3))
  t.true((await work.engine.check({ readData: false })).notes.some((note) => note.includes('vm is in use')))
  const path = work.path('log', '00000001.disk')
  await work.restart(() => {
    const bytes = fs.readFileSync(path)
    bytes[bytes.length - 500] ^= 8
    fs.writeFileSync(path, bytes)
  })
  const { damaged } = await work.engine.check({ readData: false })
  t.deepEqual(damaged.map(({ what, where }) => [what, where]), [['log', path]])
  t.deepEqual((await work.engine.check({ readData: false, repair: true })).damaged, [])
  await work.open()
  t.is(work.read('disk').toString(), ' 20')
})

test('a torn log is no damage, and is said', async (t) => {
  const work = await Work.start(t)
  for (let text = 1; text <= 5; text++) work.write('disk', String(text).padStart(3))
  await work.restart(() => fs.truncateSync(work.path('log', '00000001.disk'), fs.statSync(work.path('log', '00000001.disk')).size - 7))
  const { damaged, notes } = await work.engine.check({ readData: true })
  t.deepEqual(damaged, [])
  t.is(notes.filter((note) => note.includes('no record, as after a crash')).length, 1)
})

test('bytes that a power loss lost in the middle of what was not synced are no damage, and are said', async (t) => {
  const work = await Work.start(t)
  for (let text = 1; text <= 5; text++) work.write('disk', String(text).padStart(3))
  const path = work.path('log', '00000001.disk')
  await work.restart(() => {
    const bytes = fs.readFileSync(path)
    bytes.fill(0, bytes.length >> 1, (bytes.length >> 1) + 100)
    fs.writeFileSync(path, bytes)
  })
  const { damaged, notes } = await work.engine.check({ readData: true, repair: true })
  t.deepEqual(damaged, [])
  t.true(notes.some((note) => note.includes('no record, as after a power loss')), JSON.stringify(notes))
  await work.open()
})
