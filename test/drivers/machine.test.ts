import test from 'ava'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { MachineEvent } from '../../drivers/index.ts'
import { QmpClient } from '../../drivers/qemu/qmp.ts'
import { linuxHost } from '../../drivers/linux.ts'
import { isUnbroken } from './guests.ts'
import { Collected, Rig, checkpoint, codeOf, consoleText, counter, counting, until } from './rig.ts'

for (const machineType of ['microvm', 'q35']) {
  test.serial(`${machineType}: a guest goes on where it was saved, five times over`, async (t) => {
    await using rig = new Rig()
    const plan = await rig.plan({ machineType })
    let binding = rig.bind()
    let machine = await rig.start(plan, binding)
    let spoken = ''
    for (let cycle = 1; cycle <= 5; cycle++) {
      await counting(binding)
      await until(() => consoleText(machine).length > 1)
      const taken = await checkpoint(rig, machine, binding)
      const saved = counter(taken.memory)
      await machine.kill()
      await machine.close()
      spoken += taken.console
      machine = await rig.load(plan, taken.memory, taken.state)
      t.is(machine.state(), 'pausedByUs')
      t.is(counter(taken.memory), saved, 'a loaded guest does not run')
      t.true((await machine.resume(await machine.quiesce())).resumed)
      t.is(machine.state(), 'running')
      await until(() => counter(taken.memory) > saved)
      binding = taken.memory
    }
    await until(() => consoleText(machine).length > 1)
    spoken += consoleText(machine)
    t.true(isUnbroken(spoken), spoken)
  })
}

test.serial('a paused guest does not count, and its state is given again from memory', async (t) => {
  await using rig = new Rig()
  const binding = rig.bind()
  const machine = await rig.start(await rig.plan(), binding)
  await counting(binding)
  const quiet = await machine.quiesce()
  t.is(machine.state(), 'pausedByUs')
  t.true(quiet.ours && quiet.intact)
  const paused = counter(binding)
  const [first, second] = [new Collected(), new Collected()]
  const info = await machine.saveState(quiet, first)
  t.false(info.repeated)
  t.is(info.bytes, first.bytes.length)
  t.true((await machine.saveState(quiet, second)).repeated)
  t.deepEqual(second.bytes, first.bytes)
  t.is(await machine.quiesce(), quiet)
  await sleep(20)
  t.is(counter(binding), paused)
  t.true((await machine.resume(quiet)).resumed)
  await counting(binding)
  t.false(quiet.intact)
  t.false((await machine.resume(quiet)).resumed)
  t.is(await codeOf(t, machine.saveState(quiet, new Collected())), 'WRONG_STATE')
})

test.serial('a fork runs beside its original', async (t) => {
  await using rig = new Rig()
  const plan = await rig.plan()
  const binding = rig.bind()
  const machine = await rig.start(plan, binding)
  await counting(binding)
  const taken = await checkpoint(rig, machine, binding)
  const fork = await rig.load(plan, taken.memory, taken.state)
  await fork.resume(await fork.quiesce())
  await Promise.all([counting(binding), counting(taken.memory)])
  t.not(fork.process.pid, machine.process.pid)
  t.is(machine.state(), 'running')
  t.is(fork.state(), 'running')
})

test.serial('abandon goes back to a running guest, which can be saved again', async (t) => {
  await using rig = new Rig()
  const binding = rig.bind()
  const machine = await rig.start(await rig.plan(), binding)
  const quiet = await machine.quiesce()
  await machine.abandon(quiet)
  await machine.abandon(quiet)
  await counting(binding)
  t.true((await checkpoint(rig, machine, binding)).state.length > 1000)
})

test.serial('what others paused stays paused, and what others resumed breaks the pause', async (t) => {
  await using rig = new Rig()
  const binding = rig.bind()
  const machine = await rig.start(await rig.plan(), binding)
  const sockets = linuxHost.openSockets(binding.runDirectory)
  const other = await QmpClient.open(await sockets.connect('qmp.sock'))
  t.teardown(() => {
    other.close()
    sockets.close()
  })

  await other.execute('stop')
  await until(() => machine.state() === 'pausedByOthers')
  const theirs = await machine.quiesce()
  t.false(theirs.ours)
  const sink = new Collected()
  await machine.saveState(theirs, sink)
  t.true(sink.bytes.length > 1000)
  t.false((await machine.resume(theirs)).resumed)
  t.is(machine.state(), 'pausedByOthers')
  t.true(
    (await machine.saveState(await machine.quiesce(), new Collected())).repeated,
    'nothing ran, so the state is still right',
  )
  await machine.resume(theirs)
  await other.execute('cont')
  await until(() => machine.state() === 'running')

  const ours = await machine.quiesce()
  await other.execute('cont')
  await until(() => !ours.intact)
  t.is(await codeOf(t, machine.saveState(ours, new Collected())), 'WRONG_STATE')
  const next = await machine.quiesce()
  t.false((await machine.resume(ours)).resumed)
  t.is(machine.state(), 'pausedByUs', 'the old pause does not end the new one')
  t.true(next.intact)
  t.true((await machine.resume(next)).resumed)
  await counting(binding)
})

test.serial('shared memory is left out only while we save', async (t) => {
  await using rig = new Rig()
  const binding = rig.bind()
  const machine = await rig.start(await rig.plan(), binding)
  const sockets = linuxHost.openSockets(binding.runDirectory)
  const other = await QmpClient.open(await sockets.connect('qmp.sock'))
  t.teardown(() => {
    other.close()
    sockets.close()
  })
  const ignores = async (): Promise<unknown> => {
    const all = (await other.execute('query-migrate-capabilities')) as { capability: string; state: boolean }[]
    return all.find(({ capability }) => capability === 'x-ignore-shared')?.state
  }
  t.is(await ignores(), false)
  const quiet = await machine.quiesce()
  t.is(await ignores(), true)
  await machine.resume(quiet)
  t.is(await ignores(), false)
})

test.serial('stop ends the hypervisor in its own way, and the events tell it in order', async (t) => {
  await using rig = new Rig()
  const machine = await rig.start(await rig.plan(), rig.bind())
  const kinds: MachineEvent['kind'][] = []
  const reading = (async () => {
    for await (const event of machine.events) kinds.push(event.kind)
  })()
  await machine.resume(await machine.quiesce())
  const { how, exit } = await machine.stop({ powerdownTimeoutMs: 20 })
  await reading
  t.is(how, 'quit')
  t.is(exit.exitCode, 0)
  t.deepEqual(kinds, ['stop', 'resume', 'shutdown', 'exited'])
  t.is(machine.state(), 'exited')
})

test.serial('the console is a socket both ways and a log', async (t) => {
  await using rig = new Rig()
  const binding = rig.bind()
  const machine = await rig.start(await rig.plan(), binding)
  const sockets = linuxHost.openSockets(binding.runDirectory)
  t.teardown(() => sockets.close())
  const console = await sockets.connect('console.sock')
  const heard = await new Promise<string>((resolve) =>
    console.once('data', (bytes: Buffer) => resolve(bytes.toString('latin1'))),
  )
  console.destroy()
  t.regex(heard, /^[A-P]+$/)
  t.true(machine.consoleSocketPath.startsWith(binding.runDirectory))
  await until(() => consoleText(machine).includes(heard.slice(0, 16)))
})

test.serial('a run directory may have any length of path', async (t) => {
  await using rig = new Rig()
  const binding = rig.bind()
  const runDirectory = join(binding.root, 'x'.repeat(100), 'y'.repeat(100))
  mkdirSync(runDirectory, { recursive: true })
  const machine = await rig.start(await rig.plan(), { ...binding, runDirectory })
  t.true((await checkpoint(rig, machine, binding)).state.length > 1000)
  await machine.close()
  await using again = await rig.driver.adopt(machine.handle())
  t.is(again.state(), 'running')
})

test.serial('the OOM score is set, or a warning says why not', async (t) => {
  await using rig = new Rig()
  const plan = await rig.plan()
  const machine = await rig.start(plan, rig.bind(undefined, { oomScoreAdjust: 123 }))
  t.is(readFileSync(`/proc/${machine.process.pid}/oom_score_adj`, 'utf8'), '123\n')
  t.deepEqual(machine.warnings, [])
  const other = await rig.start(plan, rig.bind(undefined, { oomScoreAdjust: 5000 }))
  t.regex(other.warnings.join(), /could not be set to 5000/)
})
