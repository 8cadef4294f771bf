/** What a resume finds done, and what it leaves when it comes to nothing. */
import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { readMounts } from '../../fuse/index.ts'
import { ImageMount } from '../../src/mount/image-mount.ts'
import { MachineRig, until } from './rig.ts'
import { counting, smallGuest, spoken } from './small-guest.ts'

function mountsOf(rig: MachineRig): string[] {
  return readMounts().map(({ mountPoint }) => mountPoint).filter((path) => path.startsWith(rig.directory))
}

test.serial('a machine that died gives its head back at once; its console stays, and what it wrote is sealed', async (t) => {
  await using rig = await MachineRig.open()
  const summary = await rig.machines.start(await smallGuest(rig, 'vm'))
  await rig.machines.checkpoint({ image: 'vm' })
  await counting(rig, 'vm')
  process.kill(summary.pid!, 'SIGKILL')
  await until(() => rig.machines.summaries('vm')[0].mount === '')
  t.deepEqual(mountsOf(rig), [])
  t.like(rig.machines.summaries('vm')[0], { state: 'failed', pid: null, mount: '' })
  t.is(rig.machines.mountOf('vm'), null)
  t.true(spoken(summary).length > 0)
  await rig.engine.openHead({ image: 'vm' })
  await rig.engine.closeHead({ image: 'vm' })
  const { sealed, epoch, machine } = await rig.machines.resume({ target: 'vm' })
  t.is(epoch.number, 1)
  t.like(sealed, { number: 2, machine: false }, 'the memory that it had written since')
  t.deepEqual(mountsOf(rig), [machine.mount])
  t.is(readdirSync(rig.runs).filter((name) => name.startsWith('vm.')).length, 1, 'the dead one’s files are gone')
  await counting(rig, 'vm')
})

test.serial('a resume whose head cannot be made leaves neither mount nor process, and nothing changed', async (t) => {
  await using rig = await MachineRig.open()
  const { pid } = await rig.machines.start(await smallGuest(rig, 'vm'))
  await rig.machines.checkpoint({ image: 'vm' })
  await rig.engine.createImage({ image: 'taken', base: [] })
  const before = mountsOf(rig)
  await t.throwsAsync(rig.machines.resume({ target: 'vm', as: 'taken' }), { code: 'EXISTS' })
  t.deepEqual(mountsOf(rig), before)
  t.deepEqual((await rig.engine.images()).map(({ image }) => image).sort(), ['taken', 'vm'])
  t.like(rig.machines.summaries(), [{ image: 'vm', state: 'running', pid }])
  t.deepEqual(rig.handles().map(({ process: { pid } }) => pid), [pid])

  await rig.machines.stop({ image: 'vm', force: true })
  const directory = join(rig.directory, 'mnt')
  mkdirSync(directory)
  const mounted = await ImageMount.open({ engine: rig.engine, image: 'vm', directory })
  await t.throwsAsync(rig.machines.resume({ target: 'vm' }), { code: 'BUSY' })
  t.deepEqual(mountsOf(rig), [directory])
  t.deepEqual(rig.handles(), [])
  await mounted.close()
  await rig.machines.resume({ target: 'vm' })
  await counting(rig, 'vm')
})
