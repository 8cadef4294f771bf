/** A replica keeps what a store put there, also when the store is not any more what it was then. */
import test from 'ava'
import { randomBytes } from 'node:crypto'
import fs from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ExecutionContext } from 'ava'
import { openLocalEngine } from '../../src/image/local-engine.ts'
import { StoreLayout } from '../../src/store/layout.ts'
import { Work } from '../image/work.ts'
import { type Place, directoryNode } from './places.ts'
import { ReplicatedNode, isWhole, levelOf, publishedNumbers, until } from './node.ts'

const packBytesMax = 2 ** 20

test('a store that was put back from an older copy changes nothing of what is newer on its replica', async (t) => {
  const { made, at, key, copy } = await copiedNode(t)
  await made.restart(t)
  made.work.write('noise', randomBytes(100_000))
  await made.seal('two')
  await until('two epochs', async () => (await levelOf(made, 2)).have === 1)
  await made.replicator.close()
  await reopen(made, () => {
    fs.rmSync(made.work.store, { recursive: true })
    fs.cpSync(copy, made.work.store, { recursive: true })
  })
  await goOn(made, 'another two')
  await made.restart(t)
  await refused(t, made)
  t.deepEqual(await publishedNumbers(at.replica, key), [0, 1, 2])
  await isWhole(t, made, at, { 'vm@1': 'one', 'vm@2': 'two' })
})

test('a copy of a store that goes on beside the original costs it nothing on their replica', async (t) => {
  const { made, at, key, copy } = await copiedNode(t)
  const engine = await openLocalEngine(copy, { packBytesMax })
  const work = new Work({ ...made.work.rig, directory: copy, engine }, 'vm')
  t.teardown(async () => { await work.abandon(); await work.engine.close() })
  await work.open()
  await made.restart(t)
  made.work.write('noise', randomBytes(100_000))
  await made.seal('of the original')
  await until('two epochs', async () => (await levelOf(made, 2)).have === 1)
  const other = await ReplicatedNode.start(t, [], work)
  await goOn(other, 'of the copy')
  await refused(t, other)
  t.deepEqual(await publishedNumbers(at.replica, key), [0, 1, 2])
  await isWhole(t, made, at, { 'vm@2': 'of the original' })
  await goOn(made, 'and on')
  await until('the original goes on', async () => (await levelOf(made, 10)).have === 1)
  await settled(made, at)
  await isWhole(t, made, at, { 'vm@2': 'of the original', 'vm@10': 'and on' })
})

test('a pack that lost its last record with the index costs its replica nothing', async (t) => {
  const { node: made, places: [at] } = await directoryNode(t)
  await reopen(made)
  await made.seal('one')
  const file = join(made.work.rig.parent, 'base')
  fs.writeFileSync(file, 'of the other')
  await made.work.engine.createImage({ image: 'other', base: [file] })
  made.replicator.poke()
  await until('both', async () => (await levelOf(made, 1)).have === 1 && (await made.work.engine.log({ image: 'other' }))[0].level === 'replicated')
  await made.replicator.close()
  const layout = new StoreLayout(made.work.store)
  await reopen(made, () => {
    const pack = join(layout.packs, fs.readdirSync(layout.packs).sort().at(-1)!)
    const bytes = fs.readFileSync(pack)
    bytes[bytes.length - 2] ^= 0xff
    fs.writeFileSync(pack, bytes)
    fs.rmSync(layout.index, { recursive: true })
  })
  t.true((await made.work.engine.check({ readData: false })).damaged.length > 0, 'the last record is lost')
  await made.restart(t)
  await goOn(made, 'after')
  await until('after', async () => (await levelOf(made, 9)).have === 1)
  for (let times = 0; times < 20; times++) {
    made.replicator.poke()
    await sleep(50)
  }
  await isWhole(t, made, at, { 'vm@1': 'one', 'vm@9': 'after' })
})

test('a pack that was cut off on a replica is told of, and brought again once it was moved away', async (t) => {
  const { node: made, places: [at] } = await directoryNode(t)
  await reopen(made)
  await goOn(made, 'many')
  await until('many', async () => (await levelOf(made, 8)).have === 1)
  await settled(made, at)
  const pack = fs.readdirSync(join(at.root, 'packs')).find((name) => fs.existsSync(join(at.root, 'packs', name, 'whole')))!
  const whole = join(at.root, 'packs', pack, 'whole')
  fs.truncateSync(whole, fs.statSync(whole).size >> 1)
  await t.throwsAsync(made.replicator.sync('r0', {}), { code: 'FENCED', message: new RegExp(`other bytes in packs/${pack}.*damaged`) })
  fs.renameSync(join(at.root, 'packs', pack), join(at.root, 'moved away'))
  await made.replicator.sync('r0', {})
  await isWhole(t, made, at, { 'vm@1': 'many', 'vm@8': 'many' })
})

/** A store with an epoch that its replica has, and a copy of it beside it; its replicator is closed. */
async function copiedNode(t: ExecutionContext): Promise<{ made: ReplicatedNode; at: Place; key: string; copy: string }> {
  const { node: made, places: [at], key } = await directoryNode(t)
  await reopen(made)
  await made.seal('one')
  await until('one epoch', async () => (await levelOf(made, 1)).have === 1)
  await made.replicator.close()
  const copy = `${made.work.store}.copy`
  await reopen(made, () => fs.cpSync(made.work.store, copy, { recursive: true }))
  return { made, at, key, copy }
}

/** With packs so small that some are closed in a test. */
async function reopen(made: ReplicatedNode, change?: () => void): Promise<void> {
  await made.work.restart(change, { packBytesMax })
  await made.work.open()
}

/** Seals until packs are closed. */
async function goOn(made: ReplicatedNode, text: string): Promise<void> {
  for (let times = 0; times < 8; times++) {
    made.work.write('noise', randomBytes(300_000))
    await made.seal(text)
  }
}

async function refused(t: ExecutionContext, made: ReplicatedNode): Promise<void> {
  await until('it is said', () => made.replicator.status()[0].lastError !== null)
  t.regex(made.replicator.status()[0].lastError ?? '', /older copy/)
}

/** Closed packs of the store are one object each there. */
async function settled(made: ReplicatedNode, at: Place): Promise<void> {
  const own = fs.readdirSync(new StoreLayout(made.work.store).packs).map((name) => name.split('.')[1])
  await until('ranges of closed packs are gone', () => {
    made.replicator.poke()
    return own.filter((pack) => fs.readdirSync(join(at.root, 'packs', pack)).join() !== 'whole').length <= 1
  })
}
