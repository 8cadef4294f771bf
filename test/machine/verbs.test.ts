/** What the verbs take, refuse and say. */
import test from 'ava'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Driver, Plan } from '../../drivers/index.ts'
import { linuxHost } from '../../drivers/linux.ts'
import { QmpClient } from '../../drivers/qemu/qmp.ts'
import { readMounts } from '../../fuse/index.ts'
import { ImageMount } from '../../src/mount/image-mount.ts'
import { isUnbroken } from '../drivers/guests.ts'
import { MachineRig, testDriver, until } from './rig.ts'
import { counting, smallGuest, spoken } from './small-guest.ts'

test.serial('five cycles of checkpoint, kill and resume: what the guest said has no gap', async (t) => {
  await using rig = await MachineRig.open()
  let summary = await rig.machines.start(await smallGuest(rig, 'vm'))
  for (let cycle = 0; cycle < 5; cycle += 1) {
    await counting(rig, 'vm')
    await rig.machines.checkpoint({ image: 'vm' })
    process.kill(summary.pid!, 'SIGKILL')
    await until(() => rig.machines.summaries('vm')[0].state === 'failed')
    summary = (await rig.machines.resume({ target: 'vm' })).machine
    await counting(rig, 'vm')
    t.true(isUnbroken(spoken(summary)), spoken(summary))
  }
  t.is(summary.checkpoints.completed, 5)
})

test.serial('disks: one file is the disk, several must be named, and all are in the epoch', async (t) => {
  await using rig = await MachineRig.open()
  const request = await smallGuest(rig, 'vm', ['a.raw', 'b.raw'])
  await t.throwsAsync(rig.machines.start(request), { code: 'USAGE', message: /2 files \(a\.raw, b\.raw\)/ })
  await t.throwsAsync(rig.machines.start({ ...request, disks: ['/c.raw'] }), { code: 'USAGE', message: /no \/c\.raw/ })
  t.deepEqual(rig.machines.summaries(), [])
  await rig.machines.start({ ...request, disks: ['/a.raw', '/b.raw'] })
  const { epoch } = await rig.machines.checkpoint({ image: 'vm' })
  const { machineFacts } = await rig.engine.show({ epoch: `vm@${epoch.number}` })
  t.like(machineFacts, { version: 1, disks: ['a.raw', 'b.raw'], spec: { accelerator: 'tcg', cpuModel: 'max' } })
  await rig.machines.resume({ target: `vm@${epoch.number}` })
  await counting(rig, 'vm')
})

test.serial('one machine an image, and none on a head that is mounted elsewhere', async (t) => {
  await using rig = await MachineRig.open()
  const request = await smallGuest(rig, 'vm')
  const directory = join(rig.directory, 'mnt')
  mkdirSync(directory)
  const mounted = await ImageMount.open({ engine: rig.engine, image: 'vm', directory })
  await t.throwsAsync(rig.machines.start(request), { code: 'BUSY' })
  await mounted.close()
  await rig.machines.start(request)
  await t.throwsAsync(rig.machines.start(request), { code: 'BUSY' })
  await t.throwsAsync(rig.machines.close(), { code: 'BUSY' })
  await t.throwsAsync(rig.engine.openHead({ image: 'vm' }), { code: 'BUSY' })
  t.is(rig.machines.mountOf('vm')?.directory, rig.machines.summaries('vm')[0].mount)
})

test.serial('refusals carry every sentence and leave nothing behind', async (t) => {
  await using rig = await MachineRig.open()
  const request = await smallGuest(rig, 'vm')
  const extraArguments = ['-mem-prealloc', '-device', 'vfio-pci,host=00:00.0']
  const error = await t.throwsAsync(rig.machines.start({ ...request, extraArguments }), { code: 'UNSUPPORTED' })
  t.regex(error.message, /mem-prealloc.*vfio-pci/)
  const memory = `memory-backend-file,id=more,size=1M,share=on,mem-path=${rig.directory}/more`
  await t.throwsAsync(rig.machines.start({ ...request, extraArguments: ['-object', memory] }),
    { code: 'UNSUPPORTED', message: /more, which no epoch holds/ })
  await t.throwsAsync(rig.machines.start({ ...request, network: 'user', hostForwards: ['22'] }), { code: 'USAGE' })
  await t.throwsAsync(rig.machines.start({ ...request, firmware: join(rig.directory, 'none') }), { code: 'NOT_FOUND' })
  t.deepEqual(rig.machines.summaries(), [])
  t.false(readMounts().some(({ mountPoint }) => mountPoint.startsWith(rig.directory)))
  await rig.machines.start(request)
})

test.serial('a guest that does not power down goes on, with its schedule, and its user is told', async (t) => {
  await using rig = await MachineRig.open({ limits: { powerdownTimeoutMs: 50 } })
  const { pid } = await rig.machines.start(await smallGuest(rig, 'vm'))
  await rig.machines.scheduleCheckpoints({ image: 'vm', everyMs: 100 })
  const error = await t.throwsAsync(rig.machines.stop({ image: 'vm' }), { code: 'MACHINE_TIMEOUT' })
  t.regex(error.message, /0.05 s; it goes on.*--force/)
  t.like(rig.machines.summaries('vm')[0], { state: 'running', pid, everyMs: 100 })
  await counting(rig, 'vm')
  const { completed } = rig.machines.summaries('vm')[0].checkpoints
  await until(() => rig.machines.summaries('vm')[0].checkpoints.completed > completed)
})

test.serial('who waits for a guest to power down may give up, or see it end', async (t) => {
  await using rig = await MachineRig.open()
  const { pid } = await rig.machines.start(await smallGuest(rig, 'vm'))
  const abort = new AbortController()
  const progress = (): void => abort.abort()
  await t.throwsAsync(rig.machines.stop({ image: 'vm' }, { signal: abort.signal, progress }), { code: 'ABORTED' })
  await counting(rig, 'vm')
  const stopped = await rig.machines.stop({ image: 'vm' }, { progress: () => setTimeout(() => process.kill(pid!), 20) })
  t.like(stopped, { state: 'stopped', pid: null, mount: '', lastError: null })
})

test.serial('a guest that somebody paused is not asked to power down, as it hears nothing', async (t) => {
  await using rig = await MachineRig.open()
  await rig.machines.start(await smallGuest(rig, 'vm'))
  const sockets = linuxHost.openSockets(rig.handles()[0].binding.runDirectory)
  const other = await QmpClient.open(await sockets.connect('qmp.sock'))
  try {
    await other.execute('stop')
    await until(() => rig.machines.summaries('vm')[0].state === 'paused')
    await t.throwsAsync(rig.machines.stop({ image: 'vm' }), { code: 'MACHINE', message: /paused.*--force/ })
    await other.execute('cont')
    await counting(rig, 'vm')
  } finally {
    other.close()
    sockets.close()
  }
})

test.serial('a start anew has empty memory, and a stop keeps the head', async (t) => {
  await using rig = await MachineRig.open()
  const request = await smallGuest(rig, 'vm')
  await rig.machines.start(request)
  await counting(rig, 'vm')
  const { checkpoints } = await rig.machines.stop({ image: 'vm', force: true })
  t.is(checkpoints.requested, 0)
  t.is((await rig.engine.log({ image: 'vm' })).length, 1, 'a stop seals nothing')
  const again = await rig.machines.start(request)
  await counting(rig, 'vm')
  t.is(spoken(again)[0], 'B', 'the guest began from the start')
  await t.throwsAsync(rig.machines.resume({ target: 'vm' }), { code: 'NOT_FOUND', message: /no epoch with a machine/ })
  await t.throwsAsync(rig.machines.resume({ target: 'vm@7' }), { code: 'NOT_FOUND' })
  await t.throwsAsync(rig.machines.resume({ target: 'vm@0' }), { code: 'NOT_FOUND' })
  t.is(rig.machines.summaries('vm')[0].state, 'running')
})

test.serial('a host that differs is refused before anything is touched', async (t) => {
  const real = testDriver()
  let differs = false
  const driver: Driver = {
    name: real.name,
    probe: (options) => real.probe(options),
    plan: (spec, facts) => differs ? otherHost(real.plan(spec, facts)) : real.plan(spec, facts),
    start: (...args) => real.start(...args),
    prepare: (...args) => real.prepare(...args),
    adopt: (...args) => real.adopt(...args),
    reap: (handle) => real.reap(handle),
  }
  await using rig = await MachineRig.open({ driver })
  const { pid } = await rig.machines.start(await smallGuest(rig, 'vm'))
  await rig.machines.checkpoint({ image: 'vm' })
  differs = true
  await t.throwsAsync(rig.machines.resume({ target: 'vm' }), { code: 'MISMATCH', message: /SHA-256.*CPU properties/ })
  t.is(rig.machines.summaries('vm')[0].pid, pid)
  await counting(rig, 'vm')
})

function otherHost(plan: Plan): Plan {
  const cpuProperties = plan.fingerprint.cpuProperties.slice(1)
  return { ...plan, fingerprint: { ...plan.fingerprint, binaryDigest: '00', cpuProperties } }
}

test.serial('a fork starts with its cable unplugged and says so', async (t) => {
  await using rig = await MachineRig.open()
  await rig.machines.start({ ...await smallGuest(rig, 'vm'), network: 'user' })
  await rig.machines.checkpoint({ image: 'vm' })
  await t.throwsAsync(rig.machines.resume({ target: 'vm', as: 'vm' }), { code: 'EXISTS' })
  const { machine } = await rig.machines.resume({ target: 'vm', as: 'copy' })
  t.true(machine.notices.some((sentence) => sentence.includes('unplugged')))
  const forked = rig.handles().find(({ binding }) => binding.runDirectory.includes('copy'))
  t.is(forked?.binding.attachment, null)
  await Promise.all([counting(rig, 'vm'), counting(rig, 'copy')])
  await rig.machines.checkpoint({ image: 'copy' })
  await rig.machines.resume({ target: 'copy' })
  const resumed = rig.handles().find(({ binding }) => binding.runDirectory.includes('copy'))
  t.is(resumed?.plan.spec.network?.attachment, null, 'it stays unplugged')
  await counting(rig, 'copy')
  const again = await rig.machines.resume({ target: 'vm' })
  t.false(again.machine.notices.some((sentence) => sentence.includes('unplugged')))
})

test.serial('a schedule that is too fast is refused, and one on no machine too', async (t) => {
  await using rig = await MachineRig.open()
  await t.throwsAsync(rig.machines.scheduleCheckpoints({ image: 'vm', everyMs: 1000 }), { code: 'NOT_FOUND' })
  await rig.machines.start(await smallGuest(rig, 'vm'))
  await t.throwsAsync(rig.machines.scheduleCheckpoints({ image: 'vm', everyMs: 99 }), { code: 'USAGE' })
  await rig.machines.scheduleCheckpoints({ image: 'vm', everyMs: 100 })
  await until(() => rig.machines.summaries('vm')[0].checkpoints.completed >= 3)
  t.is((await rig.machines.stop({ image: 'vm', force: true })).everyMs, null)
})

test.serial('the working set of a resume is recorded, and the next one pushes it', async (t) => {
  await using rig = await MachineRig.open({ limits: { workingSetMs: 50 } })
  await rig.machines.start(await smallGuest(rig, 'vm'))
  await counting(rig, 'vm')
  const { epoch } = await rig.machines.checkpoint({ image: 'vm' })
  const address = `vm@${epoch.number}`
  const recent = async (): Promise<number[]> => {
    const sets = await rig.engine.recentChunks({ epoch: address, paths: ['machine.memory'] })
    return sets.find(({ path }) => path === 'machine.memory')?.chunks ?? []
  }
  await rig.machines.resume({ target: address })
  for (let set = await recent(); !set.includes(0); set = await recent()) await counting(rig, 'vm')
  t.true((await recent()).includes(0), 'the counter lies in the first chunk')
  t.true((await recent()).length < 64, 'this guest touches little of its 256 chunks')
  const { machine } = await rig.machines.resume({ target: address })
  t.false(machine.notices.some((sentence) => sentence.includes('pushed')))
  await counting(rig, 'vm')
})

test.serial('a guest whose memory waits for space is paused, with an alarm, and goes on', async (t) => {
  await using rig = await MachineRig.open({ limits: { spaceCheckMs: 300 } })
  await rig.machines.start(await smallGuest(rig, 'vm'))
  await counting(rig, 'vm')
  rig.machines.noteMount({ type: 'parked', image: 'vm', memory: false })
  t.deepEqual(rig.machines.summaries('vm')[0].alarms, [])
  rig.machines.noteMount({ type: 'parked', image: 'vm', memory: true })
  rig.machines.noteMount({ type: 'parked', image: 'vm', memory: true })
  await until(() => rig.machines.summaries('vm')[0].state === 'paused')
  t.is(rig.machines.summaries('vm')[0].alarms.length, 1)
  t.regex(rig.machines.summaries('vm')[0].alarms[0], /store is full/)
  await t.throwsAsync(rig.machines.checkpoint({ image: 'vm' }), { code: 'NO_SPACE' })
  await until(() => rig.machines.summaries('vm')[0].state === 'running')
  await counting(rig, 'vm')
})

test.serial('closing waits for a start that is under way', async (t) => {
  await using rig = await MachineRig.open()
  const starting = rig.machines.start(await smallGuest(rig, 'vm'))
  await rig.machines.close({ force: true })
  const { pid } = await starting
  t.throws(() => process.kill(pid!, 0))
  await t.throwsAsync(rig.machines.resume({ target: 'vm' }), { code: 'NOT_FOUND' })
  await t.throwsAsync(rig.machines.start(await smallGuest(rig, 'other')), { code: 'FAILED_STATE' })
})
