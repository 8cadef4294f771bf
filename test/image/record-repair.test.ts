/** Records of epochs that are lost here, put back from the copies that replicas have: the very same ones, and no others. */
import { Buffer } from 'node:buffer'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { systemEnv } from '../../src/env/system.ts'
import type { RecordCopy } from '../../src/image/check/record-copy.ts'
import { ImageFiles } from '../../src/image/image-files.ts'
import { identityOf } from '../../src/image/remote/fetch-all.ts'
import type { CheckReport } from '../../src/image/types.ts'
import { Random } from '../random.ts'
import { domainKeys } from '../store/variant.ts'
import { isEncrypted, openLocalEngine } from './variant.ts'
import { Work } from './work.ts'

const from = 'file:///replica'

function copyOf(store: string, number: number, isOwn = false): RecordCopy {
  const files = new ImageFiles(systemEnv(), store, 'vm', domainKeys)
  return { image: 'vm', number, record: identityOf(files.epoch(number)), from, isOwn }
}

function recordPath(work: Work, number: number): string {
  return work.path('epochs', String(number).padStart(8, '0'))
}

async function withEpochs(work: Work, count: number): Promise<void> {
  for (let number = 1; number <= count; number++) {
    work.write('disk', `epoch ${number}`)
    await work.commit('epoch')
  }
}

function repaired(work: Work, copies: RecordCopy[]): Promise<CheckReport> {
  return work.engine.check({ readData: false, repair: true, copies })
}

function places({ damaged }: CheckReport): string[] {
  return damaged.map(({ where }) => where)
}

/** What a disk or a person may make of a record. */
const losses: Record<string, (path: string, random: Random) => void> = {
  'bits are wrong': (path, random) => {
    const bytes = fs.readFileSync(path)
    for (let count = 0; count < 5; count++) bytes[8 + random.below(bytes.length - 100)] ^= 0x55
    fs.writeFileSync(path, bytes)
  },
  'cut short': (path) => fs.truncateSync(path, 100),
  'empty': (path) => fs.truncateSync(path, 0),
  'all zeros': (path) => fs.writeFileSync(path, Buffer.alloc(fs.statSync(path).size)),
  'the record of another epoch': (path) => fs.copyFileSync(path.replace(/2$/, '1'), path),
  'a directory': (path) => {
    fs.rmSync(path)
    fs.mkdirSync(path)
  },
  'too long': (path) => fs.truncateSync(path, 2 ** 24),
}

for (const [name, spoil] of Object.entries(losses)) test(`a record comes back from a replica: ${name}`, async (t) => {
  const random = Random.announced(t)
  const work = await Work.start(t)
  await withEpochs(work, 3)
  const path = recordPath(work, 2)
  const whole = fs.readFileSync(path)
  const copies = [1, 2, 3].map((number) => copyOf(work.store, number))
  await work.restart(() => spoil(path, random))
  t.deepEqual(places(await work.engine.check({ readData: false })), ['vm@2'])
  t.deepEqual(places(await repaired(work, [])), ['vm@2'], 'nothing here has it')
  const report = await repaired(work, copies)
  t.deepEqual(report.damaged, [], JSON.stringify(report.repairs))
  t.deepEqual(report.healed.map(({ where }) => where), ['vm@2'])
  t.true(report.repairs.some((each) => each === `took the record of vm@2 from ${from}`), report.repairs.join())
  t.is(fs.readdirSync(join(work.store, 'quarantine')).filter((each) => each.endsWith('.00000002')).length, 1)
  if (!isEncrypted) t.true(fs.readFileSync(path).subarray(0, -48).equals(whole.subarray(0, -48)))
  t.is((await work.exported('vm@2', '/disk')).toString(), 'epoch 2')
  await work.restart()
  t.deepEqual(places(await work.engine.check({ readData: true })), [])
  await work.open()
  t.is(work.read('disk').toString(), 'epoch 3')
})

test('records that name each other come back together', async (t) => {
  const work = await Work.start(t)
  await withEpochs(work, 4)
  const copies = [1, 2, 3].map((number) => copyOf(work.store, number))
  await work.restart(() => [1, 2, 3].forEach((number) => fs.truncateSync(recordPath(work, number), 0)))
  t.deepEqual(places(await repaired(work, copies)), [])
})

test('a pinned epoch whose record is gone comes back; one that is not pinned was removed', async (t) => {
  const work = await Work.start(t)
  await withEpochs(work, 3)
  const copies = [1, 2].map((number) => copyOf(work.store, number, true))
  await work.close()
  await work.engine.pin({ epoch: 'vm@1', pinned: true })
  await work.restart(() => [1, 2].forEach((number) => fs.rmSync(recordPath(work, number))))
  t.deepEqual((await work.engine.heldRecords()).map(({ numbers, lost, nextNumber }) => [numbers, lost, nextNumber]), [[[0, 3], [1], 4]])
  t.deepEqual(places(await repaired(work, copies)), [])
  t.deepEqual((await work.engine.log({ image: 'vm' })).map(({ number, pinned }) => [number, pinned]), [[0, false], [1, true], [3, false]])
})

test('the record that the head stands on comes back with what it says of the log', async (t) => {
  const work = await Work.start(t)
  await withEpochs(work, 2)
  work.write('disk', 'later on')
  const path = recordPath(work, 2)
  const whole = fs.readFileSync(path)
  const copies = [copyOf(work.store, 2)]
  await work.restart(() => {
    const bytes = Buffer.from(whole)
    bytes.fill(0xa5, 120, 140)
    fs.writeFileSync(path, bytes)
  })
  const report = await repaired(work, copies)
  if (isEncrypted) {
    // Nothing of it can be opened, so nothing tells how far the log is covered.
    t.deepEqual(places(report), ['vm@2', 'the head of vm'])
    return
  }
  t.deepEqual(report.damaged, [])
  t.true(fs.readFileSync(path).equals(whole))
  await work.restart()
  await work.open()
  t.is(work.read('disk').toString(), 'later on')
})

test('where nothing tells how far the log is covered, the record that the head stands on is left, and that is said', async (t) => {
  const work = await Work.start(t)
  await withEpochs(work, 2)
  work.write('disk', 'later on')
  const path = recordPath(work, 2)
  const whole = fs.readFileSync(path)
  const copies = [copyOf(work.store, 2, true)]
  await work.restart(() => fs.truncateSync(path, 150))
  const report = await repaired(work, copies)
  t.deepEqual(places(report), ['vm@2', 'the head of vm'])
  t.true(report.repairs.some((each) => each.includes('the head stands on it')), report.repairs.join())
  t.is(fs.statSync(path).size, 150)
  await work.restart(() => fs.writeFileSync(path, whole))
  await work.open()
  t.is(work.read('disk').toString(), 'later on', 'the log was not touched')
})

test('of the newest epoch nothing names the id: a copy is taken from a history of this store alone', async (t) => {
  const work = await Work.start(t)
  await withEpochs(work, 2)
  const path = recordPath(work, 2)
  const [foreign, own] = [copyOf(work.store, 2), copyOf(work.store, 2, true)]
  await work.restart(() => fs.truncateSync(path, 0))
  t.deepEqual(places(await repaired(work, [foreign])), ['vm@2', 'the head of vm'])
  t.deepEqual(places(await repaired(work, [own])), [])
  await work.restart()
  await work.open()
  t.is(work.read('disk').toString(), 'epoch 2')
  work.write('disk', 'epoch 3')
  t.is((await work.commit('epoch')).epoch?.number, 3)
})

test('a record of another image, or of the same number in another history, is never taken', async (t) => {
  const work = await Work.start(t)
  await withEpochs(work, 1)
  await work.restart()
  const twin = join(work.rig.parent, 'twin')
  fs.cpSync(work.store, twin, { recursive: true })
  const other = await openLocalEngine(twin)
  t.is((await other.sealHead({ image: 'vm', note: 'of another writer' })).number, 2)
  await other.close()
  const strange = copyOf(twin, 2, true)
  await work.engine.createImage({ image: 'other', base: [] })
  await work.open()
  work.write('disk', 'epoch 2')
  await work.commit('epoch')
  const right = copyOf(work.store, 2, true)
  const path = recordPath(work, 2)
  const whole = fs.readFileSync(path)
  const files = new ImageFiles(systemEnv(), work.store, 'other', domainKeys)
  const stranger = { ...copyOf(work.store, 1, true), number: 2, record: identityOf(files.epoch(0)) }
  // The newest one: only what is left of the file can tell.
  await work.restart(() => fs.writeFileSync(path, Buffer.concat([whole.subarray(0, 100), Buffer.alloc(10), whole.subarray(110)])))
  if (!isEncrypted) t.deepEqual(places(await repaired(work, [strange, stranger])), ['vm@2', 'the head of vm'])
  t.deepEqual(places(await repaired(work, [right, strange])), isEncrypted ? ['vm@2', 'the head of vm'] : [], 'two that differ')
  await work.restart(() => fs.writeFileSync(path, whole))
  await work.open()
  await withEpochs(work, 1)
  await work.restart(() => fs.truncateSync(path, 0))
  t.deepEqual(places(await repaired(work, [strange, stranger])), ['vm@2'], 'epoch 3 names another one')
  t.deepEqual(places(await repaired(work, [stranger, strange, right])), [])
})
