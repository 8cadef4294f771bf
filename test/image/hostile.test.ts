/**
 * A store's directory that somebody else arranged: links, pipes, directories and monsters where files should be. What
 * is met gives a coded error or is passed over and told of; nothing hangs, and nothing outside the store is touched.
 */
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { HoldfastError } from '../../src/errors.ts'
import type { Engine } from '../../src/image/engine.ts'
import { openLocalEngine } from './variant.ts'
import { Work } from './work.ts'

interface Hostile {
  readonly store: string
  /** A directory beside the store in which nothing may change. */
  readonly outside: string
}

/** Made once, and copied for each try. */
async function pristine(t: ExecutionContext): Promise<Hostile> {
  const work = await Work.start(t)
  work.write('disk', 'one')
  await work.commit('epoch')
  await work.close()
  await work.engine.createImage({ image: 'other', base: [] })
  await work.engine.close()
  const outside = join(work.rig.parent, 'outside')
  fs.mkdirSync(join(outside, '.dotted', 'deep'), { recursive: true })
  for (const name of ['file', '.dotted/file', '.dotted/deep/00000009']) fs.writeFileSync(join(outside, name), `precious ${name}`)
  return { store: work.store, outside }
}

function treeOf(directory: string): string[] {
  return fs.readdirSync(directory, { recursive: true, withFileTypes: true })
    .map((entry) => join(entry.parentPath, entry.name))
    .map((path) => `${path} ${fs.statSync(path).isFile() ? fs.readFileSync(path, 'utf8') : ''}`).sort()
}

/** Opens, uses and checks the store; the codes of what was refused. */
async function use(store: string): Promise<string[]> {
  const codes: string[] = []
  const attempt = async <T>(call: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await call()
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error
      codes.push(error.code)
      return undefined
    }
  }
  const engine = await attempt(() => openLocalEngine(store))
  if (engine === undefined) return codes
  try {
    await useEngine(engine, attempt)
  } finally {
    await engine.close()
  }
  return codes
}

async function useEngine(engine: Engine, attempt: <T>(call: () => Promise<T>) => Promise<T | undefined>): Promise<void> {
  await attempt(() => engine.images())
  await attempt(() => engine.stats())
  await attempt(() => engine.log({ image: 'vm' }))
  await attempt(() => engine.show({ epoch: 'vm@1' }))
  await attempt(() => engine.pin({ epoch: 'vm@1', pinned: true }))
  await attempt(() => engine.pin({ epoch: 'vm@1', pinned: false }))
  await attempt(() => engine.openHead({ image: 'vm' }))
  await attempt(() => engine.closeHead({ image: 'vm' }))
  await attempt(() => engine.sealHead({ image: 'vm', note: 'x' }))
  await attempt(() => engine.check({ readData: true }))
  await attempt(() => engine.check({ readData: true, repair: true }))
  await attempt(() => engine.remove({ target: 'vm@0' }))
}

/** Puts something in the place of a path of the store, which is kept beside. */
function replaced(path: string, put: () => void): void {
  if (fs.existsSync(path)) fs.renameSync(path, `${path}.kept`)
  put()
}

const monsters: Record<string, (path: string, outside: string) => void> = {
  'a link to a directory': (path, outside) => fs.symlinkSync(outside, path),
  'a link to a file': (path, outside) => fs.symlinkSync(join(outside, 'file'), path),
  'a link to nowhere': (path) => fs.symlinkSync('nowhere', path),
  'a link to itself': (path) => fs.symlinkSync(path, path),
  'a pipe': (path) => execFileSync('mkfifo', [path]),
  'a directory': (path) => fs.mkdirSync(path),
  'an empty file': (path) => fs.writeFileSync(path, ''),
  'a file of 2^43 bytes': (path) => {
    fs.writeFileSync(path, '')
    fs.truncateSync(path, 2 ** 43)
  },
}

const places = [
  'store.json', 'lock', 'packs', 'index', 'tmp', 'images', 'quarantine', 'images/vm', 'images/vm/image.json', 'images/vm/head',
  'images/vm/epochs', 'images/vm/epochs/00000001', 'images/vm/epochs/00000009', 'images/vm/log', 'images/vm/log/00000009.disk',
  'images/vm/pins', 'images/vm/stats', 'images/vm/sets', 'images/vm/image.json.tmp', 'images/vm/head.tmp', 'images/vm/epochs/00000002.tmp',
]

for (const [name, put] of Object.entries(monsters)) {
  test.serial(`${name} in the place of anything`, async (t) => {
    const { store: good, outside } = await pristine(t)
    const before = treeOf(outside)
    const store = `${good}-copy`
    for (const place of places) {
      fs.rmSync(store, { recursive: true, force: true })
      fs.cpSync(good, store, { recursive: true })
      replaced(join(store, place), () => put(join(store, place), outside))
      const codes = await use(store)
      t.deepEqual(treeOf(outside), before, `${place}: ${codes.join()}`)
      const known = ['DAMAGED', 'BAD_FORMAT', 'NOT_FOUND', 'IO', 'EXISTS', 'FAILED_STATE', 'NO_SPACE', 'BUSY', 'USAGE']
      t.deepEqual(codes.filter((code) => !known.includes(code)), [], place)
    }
  })
}

test.serial('what has a pack’s name and is none is told of, put away by a repair, and its number not given again', async (t) => {
  const { store, outside } = await pristine(t)
  const packs = join(store, 'packs')
  const named = (number: string): string => join(packs, `${number}.${'cd'.repeat(16)}.pack`)
  fs.symlinkSync(join(outside, 'file'), named('00000011'))
  execFileSync('mkfifo', [named('00000012')])
  fs.mkdirSync(named('00000013'))
  fs.writeFileSync(named('00000014'), '')
  fs.truncateSync(named('00000014'), 2 ** 43)
  fs.writeFileSync(named('00000001'), fs.readFileSync(join(packs, fs.readdirSync(packs).sort()[0])))
  fs.writeFileSync(join(packs, 'notes.txt'), 'of no interest')
  const before = treeOf(outside)
  const engine = await openLocalEngine(store)
  t.teardown(() => engine.close())
  const { damaged } = await engine.check({ readData: true })
  const told = damaged.filter(({ message }) => /no file|longer than|its number/.test(message))
  t.is(told.length, 5, JSON.stringify(damaged))
  const repaired = await engine.check({ readData: true, repair: true })
  t.deepEqual(repaired.damaged, [])
  t.true(repaired.healed.length >= 5)
  t.is((await engine.show({ epoch: 'vm@1' })).number, 1)
  await engine.createImage({ image: 'third', base: [] })
  t.deepEqual(treeOf(outside), before)
  t.false(fs.readdirSync(packs).some((name) => name.includes('cdcd')))
})

test.serial('names that no image can have hide nothing', async (t) => {
  const { store } = await pristine(t)
  const images = join(store, 'images')
  fs.mkdirSync(join(images, 'with\nnewline'))
  fs.mkdirSync(join(images, 'a\u001b[31mred'))
  fs.mkdirSync(join(images, 'at@1'))
  fs.mkdirSync(Buffer.concat([Buffer.from(`${images}/`), Buffer.from([0xff, 0xfe])]))
  fs.writeFileSync(join(images, 'README'), 'x')
  fs.mkdirSync(join(images, 'empty'))
  const engine = await openLocalEngine(store)
  t.teardown(() => engine.close())
  const summaries = await engine.images()
  t.deepEqual(summaries.map(({ image, damaged }) => [image, damaged !== undefined]), [['empty', true], ['other', false], ['vm', false]])
  const { damaged, notes } = await engine.check({ readData: false })
  t.deepEqual([...new Set(damaged.map(({ where }) => where))], ['empty', 'the head of empty'])
  t.is(notes.filter((note) => note.includes('is no image')).length, 5)
  await t.throwsAsync(engine.fork({ epoch: 'vm@1', image: 'README' }), { instanceOf: HoldfastError })
})
