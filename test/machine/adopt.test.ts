/** What becomes of machines whose daemon died. */
import test from 'ava'
import { spawn } from 'node:child_process'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Handle } from '../../drivers/index.ts'
import { linuxHost } from '../../drivers/linux.ts'
import { readMounts } from '../../fuse/index.ts'
import { openLocalEngine } from '../../src/image/local-engine.ts'
import { MachineRig } from './rig.ts'
import { counting, smallGuest } from './small-guest.ts'

interface Told {
  pid: number
  mount: string
}

test.serial('a daemon that dies takes its machines along: they are found, ended and can be resumed', async (t) => {
  await using rig = await MachineRig.open()
  const request = await smallGuest(rig, 'vm')
  await rig.engine.close()
  const entry = fileURLToPath(new URL('./daemon.ts', import.meta.url))
  const daemon = spawn(process.execPath, [entry, rig.store, JSON.stringify(request)], { stdio: ['ignore', 'pipe', 2] })
  const ended = new Promise((resolve) => daemon.once('close', resolve))
  let told: Told
  let hypervisor: Handle['process']
  try {
    told = JSON.parse(await new Promise<string>((resolve, reject) => {
      daemon.stdout!.setEncoding('utf8').once('data', resolve)
      daemon.once('close', () => reject(new Error('the daemon ended')))
    })) as Told
    hypervisor = rig.handles()[0].process
    t.is(hypervisor.pid, told.pid)
  } finally {
    daemon.kill('SIGKILL')
    await ended
  }

  rig.engine = await openLocalEngine(rig.store)
  rig.machines = rig.open()
  await rig.machines.adopt()
  t.deepEqual(rig.events, [])
  t.false(readMounts().some(({ mountPoint }) => mountPoint === told.mount))
  t.is(linuxHost.find(hypervisor), null)
  t.deepEqual(readdirSync(rig.runs).filter((name) => name.startsWith('vm.')), [])
  const [summary] = rig.machines.summaries()
  t.like(summary, { image: 'vm', state: 'failed', pid: null, accelerator: 'tcg', machineType: 'microvm' })
  t.regex(summary.lastError ?? '', /daemon died.*vm resume/)
  const { machine } = await rig.machines.resume({ target: 'vm' })
  t.is(machine.lastError, null)
  await counting(rig, 'vm')
})

test.serial('a journal whose process number means another process now kills nobody', async (t) => {
  await using rig = await MachineRig.open()
  await rig.machines.start(await smallGuest(rig, 'vm'))
  const [handle] = rig.handles()
  await rig.machines.stop({ image: 'vm', force: true })
  const bystander = spawn('sleep', ['60'], { stdio: 'ignore' })
  try {
    const runDirectory = join(rig.runs, 'vm.00000000')
    mkdirSync(join(runDirectory, 'mount'), { recursive: true })
    const stale = { ...handle, process: { ...handle.process, pid: bystander.pid! } }
    writeFileSync(join(runDirectory, 'journal.json'), JSON.stringify({ image: 'vm', handle: stale }))
    await rig.open().adopt()
    t.deepEqual(readdirSync(rig.runs).filter((name) => name.startsWith('vm.')), [])
    t.notThrows(() => process.kill(bystander.pid!, 0))
  } finally {
    bystander.kill('SIGKILL')
  }
})

test.serial('a hypervisor that no journal names yet is found by its run directory', async (t) => {
  await using rig = await MachineRig.open()
  const runDirectory = join(rig.runs, 'vm.00000000')
  mkdirSync(join(runDirectory, 'mount'), { recursive: true })
  const left = spawn('sleep', ['60'], { stdio: 'ignore', cwd: runDirectory })
  try {
    const signal = new Promise((resolve) => left.once('exit', (_, by) => resolve(by)))
    await rig.machines.adopt()
    t.is(await signal, 'SIGKILL')
    t.deepEqual(rig.machines.summaries(), [])
    t.deepEqual(readdirSync(rig.runs).filter((name) => name.startsWith('vm.')), [])
  } finally {
    left.kill('SIGKILL')
  }
})
