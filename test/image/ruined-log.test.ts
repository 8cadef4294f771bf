/** Files of the log without a header that can be read: nothing of them is lost in silence. */
import { Buffer } from 'node:buffer'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { segmentHeaderBytes } from '../../src/format/log.ts'
import { Work } from './work.ts'

/** An image whose epoch 1 has `disk`, and a log behind it. */
async function withLog(t: ExecutionContext): Promise<{ work: Work; path: string }> {
  const work = await Work.start(t)
  work.write('disk', 'sealed')
  await work.commit('epoch')
  work.write('disk', 'in the log')
  for (let count = 0; count < 5; count++) work.write('other', 'x'.repeat(100))
  const [name] = fs.readdirSync(work.path('log'))
  return { work, path: work.path('log', name) }
}

function overwrite(path: string, from: number, bytes: Buffer): void {
  const all = fs.readFileSync(path)
  bytes.copy(all, from)
  fs.writeFileSync(path, all)
}

function inQuarantine(work: Work): string[] {
  const directory = join(work.store, 'quarantine')
  return fs.existsSync(directory) ? fs.readdirSync(directory).filter((name) => !name.endsWith('.txt')) : []
}

const ruins: Record<string, (path: string) => void> = {
  'zeros': (path) => overwrite(path, 0, Buffer.alloc(segmentHeaderBytes)),
  'something else': (path) => overwrite(path, 0, Buffer.alloc(40, 0xa5)),
  'zeros, and in the place of the first records, too': (path) => overwrite(path, 0, Buffer.alloc(segmentHeaderBytes + 100)),
}

for (const [name, ruin] of Object.entries(ruins)) test(`a segment whose header is ruined goes to quarantine, and is told of: ${name}`, async (t) => {
  const { work, path } = await withLog(t)
  await work.restart(() => ruin(path))
  const ruined = fs.readFileSync(path)
  const before = await work.engine.check({ readData: false })
  t.deepEqual(before.damaged, [])
  t.is(before.notes.filter((note) => note.startsWith(`${path} begins with no header`)).length, 1, before.notes.join('; '))
  t.deepEqual(inQuarantine(work), [], 'a check alone changes nothing')
  const { notices } = await work.engine.openHead({ image: 'vm' })
  t.is(notices.length, 1)
  t.regex(notices[0], /begins with no header.*quarantine/)
  const [kept, ...others] = inQuarantine(work)
  t.deepEqual(others, [])
  t.true(fs.readFileSync(join(work.store, 'quarantine', kept)).equals(ruined))
  t.true(fs.readFileSync(join(work.store, 'quarantine', `${kept}.txt`), 'utf8').startsWith(`${path}\n`))
  t.false(fs.existsSync(path))
  await work.engine.closeHead({ image: 'vm' })
  await work.open()
  t.is(work.read('disk').toString(), 'sealed')
  const after = await work.engine.check({ readData: false })
  t.deepEqual(after.damaged, [])
  t.true(after.notes.some((note) => note.endsWith('holds what was replaced, or could not be read')), after.notes.join('; '))
})

const worthless: Record<string, (path: string) => void> = {
  'nothing': (path) => fs.truncateSync(path, 0),
  'a part of a header': (path) => fs.truncateSync(path, 60),
  'zeros alone': (path) => fs.writeFileSync(path, Buffer.alloc(100_000)),
}

for (const [name, spoil] of Object.entries(worthless)) test(`a segment of which a power loss left no record is dropped: ${name}`, async (t) => {
  const { work, path } = await withLog(t)
  await work.restart(() => spoil(path))
  t.deepEqual((await work.engine.check({ readData: false })).notes.filter((note) => note.includes('header')), [])
  const { notices } = await work.engine.openHead({ image: 'vm' })
  t.deepEqual(notices, [])
  t.deepEqual(inQuarantine(work), [])
  t.false(fs.existsSync(path))
  await work.engine.closeHead({ image: 'vm' })
})

test('a seal of an image that is not mounted keeps such a segment, too', async (t) => {
  const { work, path } = await withLog(t)
  await work.restart(() => overwrite(path, 0, Buffer.alloc(segmentHeaderBytes)))
  t.is((await work.engine.sealHead({ image: 'vm' })).number, 2)
  t.is(inQuarantine(work).length, 1)
})

test('one wrong bit in a header is mended', async (t) => {
  const { work, path } = await withLog(t)
  await work.restart(() => {
    const bytes = fs.readFileSync(path)
    bytes[50] ^= 4
    fs.writeFileSync(path, bytes)
  })
  t.deepEqual((await work.engine.check({ readData: false })).damaged.map(({ what, where }) => [what, where]), [['log', path]])
  t.deepEqual((await work.engine.check({ readData: false, repair: true })).damaged, [])
  await work.open()
  t.is(work.read('disk').toString(), 'in the log')
})
