/** Machines that are resumed while their epochs come from a replica. */
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { mkdirSync, mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import { readMounts } from '../../fuse/index.ts'
import type { Host } from '../../src/daemon/host.ts'
import { openHost } from '../../src/daemon/local-host.ts'
import { systemEnv } from '../../src/env/system.ts'
import { codeOf } from '../../src/errors.ts'
import { Superseded } from '../../src/machine/arrival.ts'
import { DirectoryReplica } from '../../src/replica/directory.ts'
import { initStore } from '../../src/store/identity.ts'
import { isUnbroken } from '../drivers/guests.ts'
import { seed } from '../remote/seed.ts'
import { MachineRig, until } from './rig.ts'
import { counting, smallGuest, spoken, spokenBytes } from './small-guest.ts'

const env = systemEnv()

/** A guest that counted, its checkpoint (and an epoch without a machine) on a replica, and nothing else of it. */
async function origin(t: ExecutionContext): Promise<{ rig: MachineRig; url: string }> {
  t.timeout(480_000)
  const rig = await MachineRig.open()
  t.teardown(() => rig[Symbol.asyncDispose]())
  await rig.machines.start(await smallGuest(rig, 'vm'))
  await counting(rig, 'vm')
  await rig.machines.checkpoint({ image: 'vm' })
  await rig.machines.stop({ image: 'vm', force: true })
  await rig.engine.sealHead({ image: 'vm' })
  await rig.machines.close()
  await rig.engine.close()
  const root = join(rig.directory, 'replica')
  mkdirSync(root)
  await using replica = new DirectoryReplica(env, root)
  await seed(replica, rig.store, 'vm')
  return { rig, url: replica.url }
}

async function node(t: ExecutionContext, rig: MachineRig): Promise<Host> {
  const store = mkdtempSync(join(rig.directory, 'node-'))
  initStore(env, store)
  const host = await openHost(store, { thread: true })
  t.teardown(() => host.close({ force: true }))
  return host
}

const request = { full: false, takeover: true, resume: true }

test.serial('a machine runs on an empty node with one call, and goes on making epochs', async (t) => {
  const { rig, url } = await origin(t)
  const host = await node(t, rig)
  const { epoch, generation, resumed } = await host.restore({ ...request, url, target: 'vm@1' })
  t.like(epoch, { image: 'vm', number: 1 })
  t.is(generation, 2)
  t.like(resumed!.machine, { image: 'vm', state: 'running' })
  t.deepEqual(resumed!.epoch, epoch)
  const before = spokenBytes(resumed!.machine)
  await until(() => spokenBytes(resumed!.machine) > before)
  t.true(isUnbroken(spoken(resumed!.machine)), spoken(resumed!.machine))
  t.is((await host.checkpoint({ image: 'vm' })).epoch.number, 3)
})

test.serial('as a fork it leaves the owner alone', async (t) => {
  const { rig, url } = await origin(t)
  const host = await node(t, rig)
  const { generation, resumed } = await host.restore({ ...request, takeover: false, url, target: 'vm@1', as: 'other' })
  t.is(generation, null)
  t.like(resumed!.epoch, { image: 'other', number: 0 })
  t.like((await host.machines())[0], { image: 'other', state: 'running' })
})

test.serial('an epoch without a machine is restored, and that nothing runs is said', async (t) => {
  const { rig, url } = await origin(t)
  const host = await node(t, rig)
  const error = await t.throwsAsync(host.restore({ ...request, url, target: 'vm' }), { code: 'NOT_FOUND' })
  t.regex(error.message, /vm@2 is restored, and its machine does not run: .*no machine/)
  t.like((await host.engine.images())[0], { image: 'vm' })
  t.deepEqual(await host.machines(), [])
})

test.serial('an epoch that is not there replaces nobody', async (t) => {
  const { rig, url } = await origin(t)
  const host = await node(t, rig)
  await t.throwsAsync(host.restore({ ...request, url, target: 'vm@7' }), { code: 'NOT_FOUND' })
  const { generation } = await host.restore({ ...request, resume: false, url, target: 'vm@1' })
  t.is(generation, 2)
})

const meetingsMax = 12

test.serial('of two nodes that bring one machine at once one runs it, and nothing of the other is left', async (t) => {
  for (let meeting = 0; meeting < meetingsMax; meeting += 1) {
    const { rig, url } = await origin(t)
    const hosts = [await node(t, rig), await node(t, rig)]
    const outcomes = await Promise.all(hosts.map((host) => {
      return host.restore({ ...request, url, target: 'vm@1' }).then(({ resumed }) => resumed?.machine.state, codeOf)
    }))
    // Whoever looks after the other is done takes it over, as it was told to: they have not met.
    if (outcomes.every((outcome) => outcome === 'running')) continue
    t.deepEqual([...outcomes].sort(), ['FENCED', 'running'])
    const running = (await Promise.all(hosts.map((host) => host.machines()))).map((machines) => machines.length)
    t.deepEqual(running, outcomes.map((outcome) => outcome === 'running' ? 1 : 0))
    t.is(readMounts().filter(({ mountPoint }) => mountPoint.startsWith(`${rig.directory}/`)).length, 1)
    return
  }
  t.fail('they never met')
})

test.serial('another epoch than was announced is not resumed in its place', async (t) => {
  t.timeout(480_000)
  await using rig = await MachineRig.open()
  await rig.machines.start(await smallGuest(rig, 'vm'))
  const { epoch } = await rig.machines.checkpoint({ image: 'vm' })
  await rig.machines.stop({ image: 'vm', force: true })
  const { facts, manifest } = await rig.engine.machineState({ epoch: 'vm@1' })
  const arriving = {
    image: 'vm', number: 1, isFork: false, manifest, facts, first: Promise.resolve({ parcels: [], workingSet: [] }),
    installed: Promise.resolve({ ...epoch, number: 2 }),
  }
  const error: unknown = await rig.machines.resumeArriving(arriving).catch((reason: unknown) => reason)
  t.true(error instanceof Superseded, String(error))
  t.is(rig.handles().length, 0)
  t.false(readMounts().some(({ mountPoint }) => mountPoint.startsWith(`${rig.directory}/`)))
  await rig.machines.resumeArriving({ ...arriving, installed: Promise.resolve(epoch) })
  await counting(rig, 'vm')
})
