import test from 'ava'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Handle } from '../../drivers/index.ts'
import { Collected, Rig, checkpoint, codeOf, counter, counting, until } from './rig.ts'

test.serial('a machine is found again after its client let go, as often as need be', async (t) => {
  await using rig = new Rig()
  const binding = rig.bind()
  const machine = await rig.start(await rig.plan(), binding)
  const handle = JSON.parse(JSON.stringify(machine.handle())) as Handle
  await machine.close()
  await machine.close()
  t.is(await codeOf(t, machine.quiesce()), 'CLOSED')
  for (let round = 0; round < 3; round++) {
    await using again = await rig.driver.adopt(handle)
    t.is(again.state(), 'running')
    t.is(again.process.pid, handle.process.pid)
    await counting(binding)
    t.true((await checkpoint(rig, again, binding)).state.length > 1000)
    await counting(binding)
  }
})

test.serial('a pause of ours is known again and undone; the state of a save before is spent', async (t) => {
  await using rig = new Rig()
  const binding = rig.bind()
  const machine = await rig.start(await rig.plan(), binding)
  await counting(binding)
  await machine.saveState(await machine.quiesce(), new Collected())
  await machine.close()
  const paused = counter(binding)

  const again = rig.keep(await rig.driver.adopt(machine.handle()))
  t.is(again.state(), 'pausedByUs')
  t.is(counter(binding), paused)
  const quiet = await again.quiesce()
  t.true(quiet.ours)
  t.is(await codeOf(t, again.saveState(quiet, new Collected())), 'STATE_SPENT')
  t.true((await again.resume(quiet)).resumed)
  await counting(binding)
  t.true((await checkpoint(rig, again, binding)).state.length > 1000)
})

test.serial('a process that is gone, or another one with its number, is not adopted and not killed', async (t) => {
  await using rig = new Rig()
  const machine = await rig.start(await rig.plan(), rig.bind())
  const handle = machine.handle()
  const impostor: Handle = { ...handle, process: { ...handle.process, startTicks: handle.process.startTicks - 1 } }
  t.is(await codeOf(t, rig.driver.adopt(impostor)), 'GONE')
  await rig.driver.reap(impostor)
  t.is(machine.state(), 'running')
  await rig.driver.reap(handle)
  await machine.exited
  t.is(await codeOf(t, rig.driver.adopt(handle)), 'GONE')
})

test.serial('a machine that was prepared and not loaded is told as such', async (t) => {
  await using rig = new Rig()
  const prepared = await rig.prepare(await rig.plan(), rig.bind())
  t.is(await codeOf(t, rig.driver.adopt(prepared.handle())), 'WRONG_STATE')
})

test.serial('the end of an adopted machine is seen', async (t) => {
  await using rig = new Rig()
  const machine = await rig.start(await rig.plan(), rig.bind())
  const handle = machine.handle()
  const again = rig.keep(await rig.driver.adopt(handle))
  const pausing = codeOf(
    t,
    (async () => {
      process.kill(handle.process.pid, 'SIGSTOP')
      const quiesce = again.quiesce()
      process.kill(handle.process.pid, 'SIGKILL')
      await quiesce
    })(),
  )
  t.is(await pausing, 'GONE')
  t.deepEqual(await again.exited, { exitCode: null, signal: null })
  t.is(again.state(), 'exited')
})

for (const moment of ['running', 'paused', 'saving']) {
  test.serial(
    `a daemon that is killed with its machine ${moment}: the guest lives, and the next daemon has it running again`,
    async (t) => {
      await using rig = new Rig()
      const binding = rig.bind()
      const plan = await rig.plan()
      const daemon = spawn(process.execPath, [new URL('./daemon.ts', import.meta.url).pathname, moment], {
        stdio: ['pipe', 'pipe', 'inherit'],
      })
      t.teardown(() => daemon.kill('SIGKILL'))
      daemon.stdin.end(JSON.stringify({ plan, binding }))
      let said = ''
      daemon.stdout.setEncoding('utf8').on('data', (text: string) => {
        said += text
      })
      await until(() => said.endsWith('\n') || daemon.exitCode !== null)
      const handle = JSON.parse(said) as Handle
      t.teardown(() => rig.driver.reap(handle))
      daemon.kill('SIGKILL')
      await once(daemon, 'exit')

      const machine = rig.keep(await rig.driver.adopt(handle))
      t.is(machine.state(), moment === 'running' ? 'running' : 'pausedByUs')
      if (machine.state() === 'pausedByUs') t.true((await machine.resume(await machine.quiesce())).resumed)
      await counting(binding)
      t.true((await checkpoint(rig, machine, binding)).state.length > 1000)
      await counting(binding)
    },
  )
}
