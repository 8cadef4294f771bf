/** Replicas through the command line, with a daemon and without. */
import test from 'ava'
import fs from 'node:fs'
import { join } from 'node:path'
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { CheckpointResult, MachineSummary, ReplicaSummary, SealResult } from '../../src/daemon/host.ts'
import type { GarbageOutcome } from '../../src/daemon/garbage-run.ts'
import type { DaemonStatus } from '../../src/daemon/verb.ts'
import type { EpochSummary } from '../../src/image/types.ts'
import type { ReplicaStatus } from '../../src/replica/replicator.ts'
import { writeBootDisk } from '../drivers/guests.ts'
import { RealStore } from './real-store.ts'

test('replicas are added, brought up to the store, shown and removed without a daemon', async (t) => {
  t.timeout(480_000)
  const store = await RealStore.make(t)
  await store.run(['create', 'web', '--base', store.file('disk.raw', Buffer.alloc(300_000, 7))])
  const [near, far] = [store.mountPoint('near'), store.mountPoint('far')]
  t.like(await store.json<ReplicaSummary>(['replica', 'add', 'near', `file://${near}`]), { name: 'near', isAuthority: true })
  t.like(await store.json<ReplicaSummary>(['replica', 'add', 'far', `file://${far}`, '--bandwidth', '1M']), { isAuthority: false, bytesPerSecondMax: 2 ** 20 })
  t.is((await store.run(['replica', 'add', 'near', `file://${far}`])).code, 1)
  const other = store.mountPoint('other')
  const refused = await store.run(['replica', 'add', 'other', `file://${other}`, '--authority'])
  t.is(refused.code, 1)
  t.regex(refused.err, /near decides who may write, for all nodes/)
  t.deepEqual(fs.readdirSync(other), [], 'it was not touched')
  t.is((await store.run(['replica', 'add', 'nowhere', `file://${near}-nowhere`])).code, 3)
  t.is((await store.run(['replica', 'add', 'odd', 'ftp://x/y'])).code, 2)
  t.is((await store.run(['replica', 'add', '../odd', `file://${far}`])).code, 2)
  t.deepEqual((await store.json<EpochSummary[]>(['log', 'web']))[0].replicas, { have: 0, of: 2 })
  const synced = await store.json<ReplicaStatus[]>(['replica', 'sync'])
  t.deepEqual(synced.map(({ name, state, epochsBehind }) => [name, state, epochsBehind]), [['near', 'current', 0], ['far', 'current', 0]])
  t.like((await store.json<EpochSummary[]>(['log', 'web']))[0], { level: 'replicated', replicas: { have: 2, of: 2 } })
  t.regex((await store.run(['replica', 'list'])).out, /near .*authority/)
  t.is((await store.run(['replica', 'remove', 'near'])).code, 1)
  t.is((await store.run(['replica', 'remove', 'unheard'])).code, 3)
  t.is((await store.run(['replica', 'sync', 'unheard'])).code, 3)
  await store.json(['replica', 'remove', 'far'])
  t.deepEqual((await store.json<ReplicaSummary[]>(['replica', 'list'])).map(({ name }) => name), ['near'])
  t.true(fs.existsSync(join(far, 'domain.json')))
})

test('a seal waits for replicas, and is incomplete where they do not get it', async (t) => {
  t.timeout(480_000)
  const store = await RealStore.make(t)
  await store.run(['create', 'web'])
  const near = store.mountPoint('near')
  await store.json(['replica', 'add', 'near', `file://${near}`])
  const sealed = await store.json<SealResult>(['seal', 'web', '--wait-replicas', '1'])
  t.deepEqual(sealed.replicas, { have: 1, of: 1, wanted: 1 })
  t.is(sealed.epoch.level, 'replicated')
  t.is((await store.run(['seal', 'web', '--wait-replicas', '2'])).code, 2)
  fs.rmSync(near, { recursive: true })
  const refused = await store.run(['seal', 'web', '--wait-replicas', '1'])
  t.is(refused.code, 6)
  t.regex(refused.out, /on 0 of 1 replica/)
})

test('a daemon brings what is sealed by itself, says how far it is, and when a replica lags', async (t) => {
  t.timeout(480_000)
  const store = await RealStore.make(t)
  await store.run(['create', 'web'])
  const near = store.mountPoint('near')
  await store.json(['daemon', 'start'])
  await store.json(['replica', 'add', 'near', `file://${near}`])
  const mount = store.mountPoint()
  await store.json(['mount', 'web', mount])
  fs.writeFileSync(join(mount, 'file'), 'one')
  const { epoch } = await store.json<SealResult>(['seal', 'web'])
  const levelOf = async (number: number): Promise<string> => (await store.json<EpochSummary[]>(['log', 'web'])).find((each) => each.number === number)!.level
  while (await levelOf(epoch.number) !== 'replicated') await sleep(50)
  fs.renameSync(near, `${near}.away`)
  fs.writeFileSync(join(mount, 'file'), 'two')
  await store.json(['seal', 'web'])
  const alarm = async (): Promise<string | null> => (await store.json<DaemonStatus>(['daemon', 'status'])).replicas[0].alarm
  while (await alarm() === null) await sleep(50)
  t.regex(await alarm() ?? '', /replica near lags/)
  while (!/replica near lags/.test(fs.readFileSync(join(store.directory, 'daemon', 'log'), 'utf8'))) await sleep(50)
  // What is sealed meanwhile is durable all the same.
  t.is(await levelOf(2), 'durable')
  fs.renameSync(`${near}.away`, near)
  await store.json(['replica', 'sync', 'near'])
  t.is(await levelOf(2), 'replicated')
  await store.json(['unmount', mount])
  await store.json(['daemon', 'stop'])
})

test('a checkpoint waits for replicas as long as it is told, and is incomplete where they do not get it', async (t) => {
  t.timeout(480_000)
  const store = await RealStore.make(t)
  writeBootDisk(store.path('disk.raw'))
  await store.run(['create', 'vm', '--base', store.path('disk.raw')])
  const near = store.mountPoint('near')
  await store.json(['replica', 'add', 'near', `file://${near}`])
  await store.json(['daemon', 'start'])
  const machine = await store.json<MachineSummary>(['vm', 'start', 'vm', '--accel', 'tcg', '--memory', '16M'])
  try {
    const taken = await store.json<CheckpointResult>(['vm', 'checkpoint', 'vm', '--wait-replicas', '1'])
    t.deepEqual(taken.replicas, { have: 1, of: 1, wanted: 1 })
    t.is(taken.epoch.level, 'replicated')
    t.true(fs.readdirSync(join(near, 'epochs')).length > 0)
    fs.renameSync(near, `${near}.away`)
    const late = await store.run(['vm', 'checkpoint', 'vm', '--wait-replicas', '1', '--wait-time', '300ms', '--json'])
    t.is(late.code, 6, late.err)
    const { epoch, replicas } = JSON.parse(late.out) as CheckpointResult
    t.deepEqual([epoch.number, epoch.level, replicas], [taken.epoch.number + 1, 'durable', { have: 0, of: 1, wanted: 1 }])
    const said = await store.run(['vm', 'checkpoint', 'vm', '--wait-replicas', '1', '--wait-time', '10ms'])
    t.is(said.code, 6)
    t.regex(said.out, /on 0 of 1 replica/)
    t.is((await store.run(['vm', 'checkpoint', 'vm', '--wait-time', '1s'])).code, 2)
    t.is((await store.run(['vm', 'checkpoint', 'vm', '--wait-replicas', '2'])).code, 2, 'there is one only')
    fs.renameSync(`${near}.away`, near)
    const back = await store.json<CheckpointResult>(['vm', 'checkpoint', 'vm', '--wait-replicas', '1', '--wait-time', '1m'])
    t.is(back.epoch.level, 'replicated')
  } finally {
    await store.run(['vm', 'stop', 'vm', '--force'])
    await store.run(['daemon', 'stop'])
    try {
      process.kill(machine.pid ?? 0, 'SIGKILL')
    } catch {
      // It has ended, as it should.
    }
  }
})

test('a repair brings lost packs back from the replicas of the store', async (t) => {
  t.timeout(480_000)
  const store = await RealStore.make(t)
  await store.json(['create', 'one', '--base', store.file('one', randomBytes(400_000))])
  await store.json(['seal', 'one'])
  await store.json(['replica', 'add', 'near', `file://${store.mountPoint('near')}`])
  await store.json(['replica', 'sync'])
  const packs = join(store.directory, 'packs')
  for (const name of fs.readdirSync(packs)) fs.rmSync(join(packs, name))
  t.is((await store.run(['check'])).code, 5)
  t.is((await store.run(['check', '--read-data'])).code, 5, 'a check alone changes nothing')
  const repaired = await store.run(['check', '--read-data', '--repair'])
  t.is(repaired.code, 0, repaired.out)
  t.regex(repaired.out, /repair: found \d+ chunks in replicas/)
  fs.rmSync(store.path('near'), { recursive: true })
  t.is((await store.run(['check', '--read-data'])).code, 0)
  t.is((await store.run(['export', 'one@1:/one', store.path('out')])).code, 0)
  t.true(fs.readFileSync(store.path('out')).equals(fs.readFileSync(store.path('one'))))
})

test('gc collects in the store and on its replicas, and tells of those that are away', async (t) => {
  t.timeout(480_000)
  const store = await RealStore.make(t)
  const [near, far] = [store.mountPoint('near'), store.mountPoint('far')]
  for (const [name, url] of [['near', near], ['far', far]]) await store.json(['replica', 'add', name, `file://${url}`])
  for (const image of ['one', 'two']) await store.run(['create', image, '--base', store.file(image, randomBytes(400_000))])
  for (let times = 0; times < 3; times++) await store.json(['seal', 'two'])
  await store.json(['replica', 'sync'])
  await store.json(['rm', 'one'])
  const packsOf = (at: string): string[] => fs.readdirSync(join(at, 'packs'))
  const before = packsOf(near)
  const dry = await store.json<GarbageOutcome>(['gc', '--keep-last', '2', '--dry-run'])
  t.deepEqual(dry.replicas.map(({ name, error, removedEpochs }) => [name, error, removedEpochs]), [
    ['near', null, ['two@0', 'two@1']], ['far', null, ['two@0', 'two@1']],
  ])
  t.deepEqual(packsOf(near), before)
  t.like(await store.json<GarbageOutcome>(['gc', '--keep-last', '2', '--local-only']), { removedEpochs: { length: 2 }, replicas: [] })
  fs.renameSync(far, `${far}.away`)
  const ran = await store.run(['gc', '--keep-last', '2'])
  t.is(ran.code, 6, ran.err)
  t.regex(ran.out, /replica near: removed 2 epochs, kept 2[^]*replica far: .*far/)
  t.regex(ran.out, /replica near: [0-9a-f]{32} is left alone: it is not in this store/)
  fs.renameSync(`${far}.away`, far)
  const [first, second] = (await store.json<GarbageOutcome>(['gc', '--keep-last', '2'])).replicas
  t.like(first, { name: 'near', error: null, removedEpochs: [] })
  t.like(second, { name: 'far', error: null, removedEpochs: ['two@0', 'two@1'], keptEpochs: 2 })
  t.is((await store.run(['gc', '--forget', 'one', '--every', '1h'])).code, 2)
  const forgotten = await store.run(['gc', '--forget', 'one'])
  t.is(forgotten.code, 0, forgotten.err)
  t.regex(forgotten.out, /replica near: removed 1 epoch[^]*replica far: removed 1 epoch/)
  const images = await store.json<{ image: string }[]>(['replica', 'images', `file://${near}`])
  t.deepEqual(images.map(({ image }) => image), ['two'])
  const again = await store.run(['gc', '--forget', 'one'])
  t.is(again.code, 6)
  t.regex(again.out, /replica near: one is not forgotten: it is not there/)
})
