/** Bits flipped in every kind of file of an image: refused by code, nothing wrong served, the rest usable. */
import { Buffer } from 'node:buffer'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { HoldfastError } from '../../src/errors.ts'
import { Random } from '../random.ts'
import { Work } from './work.ts'
import { isEncrypted, openLocalEngine } from './variant.ts'

const refusals = ['DAMAGED', 'BAD_FORMAT', 'NEWER_VERSION', 'NOT_FOUND']

function flip(path: string, at: number): void {
  const bytes = fs.readFileSync(path)
  bytes[at] ^= 1 << at % 8
  fs.writeFileSync(path, bytes)
}

/** Epoch 1 says one, epoch 2 two; the head is three, committed; another image has an epoch of its own. */
async function history(t: Parameters<typeof Work.start>[0]): Promise<Work> {
  const work = await Work.start(t)
  for (const text of ['one', 'two']) {
    work.write('disk', text)
    await work.commit('epoch')
  }
  work.write('disk', 'three')
  await work.commit('head')
  await work.close()
  await work.engine.fork({ epoch: 'vm@1', image: 'other' })
  return work
}

test('a damaged epoch is shown as such, and everything else goes on', async (t) => {
  const work = await history(t)
  const path = work.path('epochs', '00000002')
  for (const at of [0, 4, 6, 100, 130, 210, 300, fs.statSync(path).size - 1]) {
    await work.restart(() => flip(path, at))
    t.deepEqual((await work.engine.images()).map(({ image, epochs }) => [image, epochs]), [['other', 1], ['vm', 3]])
    const log = await work.engine.log({ image: 'vm' })
    t.deepEqual(log.map(({ number, damaged }) => [number, damaged === undefined]), [[0, true], [1, true], [2, false]])
    const error = await t.throwsAsync(work.engine.show({ epoch: 'vm@2' }), { instanceOf: HoldfastError })
    t.true(refusals.slice(0, 3).includes(error.code), `byte ${at}: ${error.code}`)
    t.is((await work.exported('vm@1', '/disk')).toString(), 'one')
    t.is((await work.exported('other@0', '/disk')).toString(), 'one')
    t.deepEqual((await work.engine.check({ readData: false })).damaged.map(({ where }) => where), ['vm@2'])
    await work.open()
    t.is(work.read('disk').toString(), 'three')
    await work.restart(() => flip(path, at))
  }
})

test('a head that stands on a damaged epoch can be rolled back, the epoch removed, its number not used again', async (t) => {
  const work = await Work.start(t)
  work.write('disk', 'one')
  await work.commit('epoch')
  work.write('disk', 'two')
  await work.commit('epoch')
  await work.restart(() => flip(work.path('epochs', '00000002'), 200))
  await t.throwsAsync(work.engine.openHead({ image: 'vm' }), { code: 'DAMAGED' })
  await t.throwsAsync(work.engine.sealHead({ image: 'vm' }), { code: 'DAMAGED' })
  await t.throwsAsync(work.engine.rollback({ epoch: 'vm@1', discard: false }), { code: 'DAMAGED' })
  t.is((await work.engine.rollback({ epoch: 'vm@1', discard: true })).head.number, 1)
  await work.engine.remove({ target: 'vm@2' })
  await work.open()
  t.is(work.read('disk').toString(), 'one')
  t.is((await work.commit('epoch')).epoch?.number, 3)
  await work.restart()
  t.deepEqual((await work.engine.log({ image: 'vm' })).map(({ number }) => number), [0, 1, 3])
})

test('a damaged head record is refused until it is rolled back', async (t) => {
  const work = await history(t)
  const path = work.path('head')
  const good = fs.readFileSync(path)
  for (const at of [0, 5, 50, 120, good.length - 60, good.length - 1]) {
    await work.restart(() => {
      fs.writeFileSync(path, good)
      flip(path, at)
    })
    await t.throwsAsync(work.engine.openHead({ image: 'vm' }), { instanceOf: HoldfastError }, `byte ${at}`)
    t.is((await work.exported('vm@2', '/disk')).toString(), 'two')
    t.deepEqual((await work.engine.log({ image: 'vm' })).length, 3)
    t.deepEqual((await work.engine.check({ readData: false })).damaged.map(({ where }) => where), ['the head of vm'])
  }
  await work.engine.rollback({ epoch: 'vm@2', discard: true })
  await work.open()
  t.is(work.read('disk').toString(), 'two')
  work.write('disk', 'TWO')
  t.is((await work.commit('epoch')).epoch?.number, 3)
})

test('a damaged identity hides no other image', async (t) => {
  const work = await history(t)
  for (const text of ['', '{', '{"holdfast":"image"}', '[]', 'null']) {
    await work.restart(() => fs.writeFileSync(work.path('image.json'), text))
    const [other, vm] = await work.engine.images()
    t.is(other.damaged, undefined)
    t.like(vm, { image: 'vm', id: '', epochs: 3 })
    t.is(typeof vm.damaged, 'string')
    await t.throwsAsync(work.engine.openHead({ image: 'vm' }), { instanceOf: HoldfastError })
    t.is((await work.exported('other@0', '/disk')).toString(), 'one')
    t.is((await work.engine.stats()).epochs, 4)
  }
  t.deepEqual(await work.engine.remove({ target: 'vm' }), { removedEpochs: 3 })
  t.deepEqual((await work.engine.images()).map(({ image }) => image), ['other'])
})

test('bits flipped in the pack: right bytes or a refusal, and the check names them', async (t) => {
  const work = await Work.start(t)
  const random = Random.announced(t)
  const contents = [random.bytes(200_000), random.bytes(200_000)]
  for (const bytes of contents) {
    work.write('disk', bytes)
    await work.commit('epoch')
  }
  await work.close()
  await work.engine.close()
  const packs = join(work.store, 'packs')
  const [name] = fs.readdirSync(packs)
  const good = fs.readFileSync(join(packs, name))
  for (let round = 0; round < 12; round += 1) {
    const at = 80 + random.below(good.length - 80)
    fs.writeFileSync(join(packs, name), good)
    flip(join(packs, name), at)
    work.engine = await openLocalEngine(work.store)
    let refused = 0
    for (const [index, wanted] of contents.entries()) {
      try {
        t.true((await work.exported(`vm@${index + 1}`, '/disk')).equals(wanted), `byte ${at}`)
      } catch (error) {
        t.true(error instanceof HoldfastError && refusals.includes(error.code), String(error))
        refused += 1
      }
    }
    const { damaged } = await work.engine.check({ readData: true })
    t.true(refused === 0 || damaged.length > 0, `byte ${at} is refused but not found`)
    await work.engine.close()
  }
  fs.writeFileSync(join(packs, name), good)
  work.engine = await openLocalEngine(work.store)
  t.true((await work.exported('vm@2', '/disk')).equals(contents[1]))
})

test('damage of data that two epochs share is told of both', async (t) => {
  const work = await Work.start(t)
  const bytes = Random.announced(t).bytes(65_536)
  work.write('disk', bytes)
  await work.commit('epoch')
  work.write('other', 'x')
  await work.commit('epoch')
  await work.restart(() => {
    const [name] = fs.readdirSync(join(work.store, 'packs'))
    const path = join(work.store, 'packs', name)
    // Where it cannot be found, it is still nearly all that there is.
    const pack = fs.readFileSync(path)
    flip(path, isEncrypted ? pack.length >> 1 : pack.indexOf(bytes.subarray(1000, 1040)))
  })
  const { damaged } = await work.engine.check({ readData: true })
  t.deepEqual(damaged.flatMap(({ epochs }) => epochs).sort(), ['vm@1', 'vm@2'])
  t.deepEqual((await work.engine.check({ readData: true, sample: 1 })).damaged.length, damaged.length)
  await t.throwsAsync(work.exported('vm@1', '/disk'), { instanceOf: HoldfastError })
  t.is((await work.exported('vm@2', '/other')).toString(), 'x')
})

test('bits flipped in the log: after recovery a state that was, and all before the damage', async (t) => {
  const random = Random.announced(t)
  for (let round = 0; round < 10; round += 1) {
    const work = await Work.start(t)
    for (let text = 1; text <= 20; text += 1) work.write('disk', String(text).padStart(3))
    let kept = 0
    await work.restart(() => {
      const path = work.path('log', '00000001.disk')
      const at = 128 + random.below(fs.statSync(path).size - 128)
      // The first record makes the file; each of the others has 72 bytes, 3, and its tag where it is sealed.
      const recordBytes = isEncrypted ? 91 : 75
      kept = Math.floor((at - (fs.statSync(path).size - 20 * recordBytes)) / recordBytes)
      flip(path, at)
    })
    await work.open()
    const text = work.read('disk').toString()
    t.is(text, kept <= 0 ? '' : String(kept).padStart(3))
    await work.restart()
    t.deepEqual((await work.engine.check({ readData: true })).damaged, [])
  }
})

test('a log damaged while the image is open is not committed over', async (t) => {
  const work = await Work.start(t)
  work.write('disk', 'kept')
  await work.commit('epoch')
  for (let count = 0; count < 5; count += 1) work.write('disk', `text ${count}`)
  const segment = work.head.rotate()
  work.write('disk', 'behind')
  const path = work.path('log', `${String(segment).padStart(8, '0')}.disk`)
  flip(path, fs.statSync(path).size - 3)
  for (const kind of ['head', 'epoch'] as const) {
    await t.throwsAsync(work.engine.commit({ image: 'vm', segment, kind }), { code: 'DAMAGED' })
    t.true(fs.existsSync(path))
  }
  t.is((await work.exported('vm@1', '/disk')).toString(), 'kept')
})

test('a head record that may or may not be durable fails its image until the store is opened again', async (t) => {
  const work = await Work.start(t)
  work.write('disk', 'one')
  await work.restart()
  const { systemEnv } = await import('../../src/env/system.ts')
  await work.engine.close()
  let fails = true
  let syncs = 0
  const env = {
    ...systemEnv(),
    syncDirectory(path: string) {
      if (path.endsWith('/vm')) syncs += 1
      // The first makes the name of the record before durable.
      if (fails && syncs > 1) throw new HoldfastError('IO', 'a directory that cannot be synced')
      systemEnv().syncDirectory(path)
    },
  }
  work.engine = await openLocalEngine(work.store, { env })
  await t.throwsAsync(work.engine.openHead({ image: 'vm' }), { code: 'IO' })
  fails = false
  await t.throwsAsync(work.engine.openHead({ image: 'vm' }), { code: 'FAILED_STATE' })
  t.is((await work.engine.log({ image: 'vm' })).length, 1)
  await work.restart()
  await work.open()
  t.is(work.read('disk').toString(), Buffer.from('one').toString())
})
