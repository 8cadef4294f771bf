/** A guest runs on, its memory on a mount, while the process that serves the mount is killed. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'ava'
import { KilledDaemon } from '../../bench/rig/killed-daemon.ts'
import type { MachineSummary } from '../../src/daemon/host.ts'
import { isUnbroken, writeBootDisk } from '../drivers/guests.ts'
import { scratch } from '../mount/served.ts'
import { Random } from '../random.ts'
import { until } from './rig.ts'

const kills = 5

/** The fields follow the command's name in brackets: proc_pid_stat(5). */
function parentOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
}

test.serial('a guest and its checkpoints go on when the serving process is killed', async (t) => {
  const random = Random.announced(t)
  const directory = scratch((done) => t.teardown(done))
  const disk = join(directory, 'disk.raw')
  writeBootDisk(disk)
  const daemon = await KilledDaemon.over(directory, [disk])
  t.teardown(() => daemon.abandon())
  const started = (await daemon.call('vm start', { image: 'image', accel: 'tcg', memory: 16 * 2 ** 20 })) as MachineSummary
  t.teardown(() => {
    try {
      process.kill(started.pid ?? 0, 'SIGKILL')
    } catch {
      // It has ended, as it should.
    }
  })
  const letters = (): string => readFileSync(join(dirname(started.console), 'console.log'), 'latin1').replace(/[^A-P]/g, '')
  const summary = async (): Promise<MachineSummary> =>
    ((await daemon.call('vm status', {})) as MachineSummary[]).find(({ image }) => image === 'image')!
  const files = readdirSync(`/proc/${started.pid}/fd`).map((fd) => readlinkSync(`/proc/${started.pid}/fd/${fd}`))
  t.false(files.includes('/dev/fuse'), 'the hypervisor holds no connection of the kernel')
  t.true(parentOf(started.pid!) === (await daemon.status()).pid, 'a small process starts it')
  await until(() => letters().length > 3)
  await daemon.call('vm checkpoint', { image: 'image', every: 300 })
  for (let kill = 0; kill < kills; kill += 1) {
    await sleep(random.below(1000))
    await daemon.kill()
    const before = letters().length
    const after = await summary()
    t.like(after, { pid: started.pid, everyMs: 300, mount: started.mount })
    t.regex(after.state, /^(running|paused)$/, 'it runs, or is being saved at this moment')
    await until(() => letters().length > before + 3)
    while ((await summary()).checkpoints.completed === 0) await sleep(20)
  }
  t.true(isUnbroken(letters()), letters())
  const { epoch } = (await daemon.call('vm checkpoint', { image: 'image' })) as { epoch: { number: number } }
  t.true(epoch.number > kills)
  await daemon.call('vm stop', { image: 'image', force: true })
  t.deepEqual(((await daemon.call('check', { readData: true })) as { damaged: unknown[] }).damaged, [])
  await daemon.stop()
})

test.serial('the end of a hypervisor is known to the process that had it started, and to the one after that', async (t) => {
  const directory = scratch((done) => t.teardown(done))
  const disk = join(directory, 'disk.raw')
  writeBootDisk(disk)
  const daemon = await KilledDaemon.over(directory, [disk])
  t.teardown(() => daemon.abandon())
  const state = async (): Promise<string> => ((await daemon.call('vm status', {})) as MachineSummary[])[0].state
  const started = (await daemon.call('vm start', { image: 'image', accel: 'tcg', memory: 16 * 2 ** 20 })) as MachineSummary
  await daemon.call('vm checkpoint', { image: 'image' })
  process.kill(started.pid!, 'SIGKILL')
  while (await state() !== 'failed') await sleep(5)
  const { machine } = (await daemon.call('vm resume', { target: 'image' })) as { machine: MachineSummary }
  await daemon.kill()
  process.kill(machine.pid!, 'SIGKILL')
  while (await state() !== 'failed') await sleep(5)
  const again = (await daemon.call('vm resume', { target: 'image' })) as { machine: MachineSummary }
  t.is(again.machine.state, 'running')
  await daemon.call('vm stop', { image: 'image', force: true })
  await daemon.stop()
})
