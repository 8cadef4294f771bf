import test from 'ava'
import { existsSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Machine } from '../../drivers/index.ts'
import { linuxHost } from '../../drivers/linux.ts'
import { Collected, Rig, checkpoint, codeOf, counting, until } from './rig.ts'

const killed = (machine: { process: { pid: number } }): void => void process.kill(machine.process.pid, 'SIGKILL')

/** A kill at each step of a machine's life: what waits, and whatever is asked next, says GONE. */
const steps: Record<string, (machine: Machine) => Promise<unknown>> = {
  'quiesce after the kill': async (machine) => {
    killed(machine)
    return machine.quiesce()
  },
  'quiesce after the end is known': async (machine) => {
    killed(machine)
    await machine.exited
    return machine.quiesce()
  },
  'quiesce under way': async (machine) => {
    process.kill(machine.process.pid, 'SIGSTOP')
    const pausing = machine.quiesce()
    killed(machine)
    return pausing
  },
  'save after the kill': async (machine) => {
    const quiet = await machine.quiesce()
    killed(machine)
    return machine.saveState(quiet, new Collected())
  },
  'save under way': async (machine) => {
    const quiet = await machine.quiesce()
    process.kill(machine.process.pid, 'SIGSTOP')
    const saving = machine.saveState(quiet, new Collected())
    saving.catch(() => undefined)
    await sleep(20)
    killed(machine)
    return saving
  },
  'resume after the kill': async (machine) => {
    const quiet = await machine.quiesce()
    killed(machine)
    return machine.resume(quiet)
  },
  'announce after the kill': async (machine) => {
    killed(machine)
    return machine.identity.announce(true)
  },
  'plug after the kill': async (machine) => {
    killed(machine)
    return machine.ports[0]!.plug({ kind: 'user', hostForward: [] })
  },
}

for (const [step, run] of Object.entries(steps)) {
  test.serial(`a hypervisor that is killed: ${step}`, async (t) => {
    await using rig = new Rig()
    const machine = await rig.start(
      await rig.plan({ network: { mac: '52:54:00:00:00:01', attachment: null } }),
      rig.bind(),
    )
    t.is(await codeOf(t, run(machine)), 'GONE')
    t.is((await machine.exited).signal, 'SIGKILL')
    t.is(machine.state(), 'exited')
    t.is((await machine.kill()).signal, 'SIGKILL')
  })
}

test.serial('a hypervisor that is killed while it is prepared or loads', async (t) => {
  await using rig = new Rig()
  const plan = await rig.plan()
  const prepared = await rig.prepare(plan, rig.bind())
  killed(prepared)
  t.is(await codeOf(t, prepared.load(Buffer.alloc(100))), 'GONE')

  const second = await rig.prepare(plan, rig.bind())
  const never = new Readable({ read: () => undefined })
  const loading = second.load(never)
  never.push(Buffer.from('QEVM'))
  await sleep(20)
  killed(second)
  t.is(await codeOf(t, loading), 'GONE')
})

test.serial('state that is cut short or is no state is not loaded, and no process is left', async (t) => {
  await using rig = new Rig()
  const plan = await rig.plan()
  const binding = rig.bind()
  const machine = await rig.start(plan, binding)
  await counting(binding)
  const { state, memory } = await checkpoint(rig, machine, binding)
  const flipped = Buffer.from(state)
  flipped.writeUInt32BE(0xffffffff, 8)
  for (const bad of [state.subarray(0, state.length / 2), Buffer.from('no state at all'), flipped]) {
    const prepared = await rig.prepare(plan, rig.bind(memory))
    t.is(await codeOf(t, prepared.load(bad)), 'LOAD_FAILED')
    t.throws(() => process.kill(prepared.process.pid, 0), { code: 'ESRCH' })
    t.is(await codeOf(t, prepared.load(state)), 'WRONG_STATE')
  }
})

test.serial('a load that does not come to its end is given up at its deadline', async (t) => {
  await using rig = new Rig()
  const prepared = await rig.prepare(await rig.plan(), rig.bind())
  const never = new Readable({ read: () => undefined })
  t.is(await codeOf(t, prepared.load(never, { timeoutMs: 50 })), 'TIMEOUT')
  t.throws(() => process.kill(prepared.process.pid, 0), { code: 'ESRCH' })
})

test.serial('a prepared machine that is discarded leaves no process', async (t) => {
  await using rig = new Rig()
  const prepared = await rig.prepare(await rig.plan(), rig.bind())
  await prepared.discard()
  await prepared.discard()
  t.throws(() => process.kill(prepared.process.pid, 0), { code: 'ESRCH' })
})

for (const moment of ['before it is prepared', 'at the stop itself']) {
  test.serial(`a pause that takes too long is given up, and the guest goes on: ${moment}`, async (t) => {
    let freeze = (): void => undefined
    await using rig = new Rig({
      ...linuxHost,
      write: async (path, content) => {
        await linuxHost.write(path, content)
        if (path.endsWith('paused') && moment === 'at the stop itself') freeze()
      },
    })
    const binding = rig.bind()
    const machine = await rig.start(await rig.plan(), binding)
    await counting(binding)
    freeze = () => void process.kill(machine.process.pid, 'SIGSTOP')
    if (moment === 'before it is prepared') freeze()
    t.is(await codeOf(t, machine.quiesce({ timeoutMs: 300 })), 'TIMEOUT')
    process.kill(machine.process.pid, 'SIGCONT')
    freeze = () => undefined
    await until(() => !existsSync(join(binding.runDirectory, 'paused')))
    await counting(binding)
    t.is(machine.state(), 'running')
    t.true((await checkpoint(rig, machine, binding)).state.length > 1000)
  })
}

test.serial('a save that is too large or too slow is abandoned, and the next one works', async (t) => {
  await using rig = new Rig()
  const binding = rig.bind()
  const machine = await rig.start(await rig.plan(), binding)
  await counting(binding)
  const large = await machine.quiesce()
  t.is(await codeOf(t, machine.saveState(large, new Collected(), { bytesMax: 1000 })), 'TOO_LARGE')
  t.is(machine.state(), 'running')
  t.false(large.intact)
  await counting(binding)

  const slow = await machine.quiesce()
  process.kill(machine.process.pid, 'SIGSTOP')
  const saving = codeOf(t, machine.saveState(slow, new Collected(), { timeoutMs: 50 }))
  await sleep(100)
  process.kill(machine.process.pid, 'SIGCONT')
  t.is(await saving, 'TIMEOUT')
  t.is(machine.state(), 'running')

  const aborted = await machine.quiesce()
  t.is(await codeOf(t, machine.saveState(aborted, new Collected(), { signal: AbortSignal.abort() })), 'ABORTED')
  t.is(machine.state(), 'running')
  t.true((await checkpoint(rig, machine, binding)).state.length > 1000)
})

test.serial('a resume that takes too long may be tried again', async (t) => {
  await using rig = new Rig()
  const binding = rig.bind()
  const machine = await rig.start(await rig.plan(), binding)
  const quiet = await machine.quiesce()
  process.kill(machine.process.pid, 'SIGSTOP')
  t.is(await codeOf(t, machine.resume(quiet, { timeoutMs: 50 })), 'TIMEOUT')
  t.true(quiet.intact)
  process.kill(machine.process.pid, 'SIGCONT')
  await machine.resume(quiet)
  t.is(machine.state(), 'running')
  await counting(binding)
  t.true((await checkpoint(rig, machine, binding)).state.length > 1000)
})

test.serial('a sink that fails keeps the pause and the state', async (t) => {
  await using rig = new Rig()
  const machine = await rig.start(await rig.plan(), rig.bind())
  const quiet = await machine.quiesce()
  const broken = new Writable({ write: (_piece, _encoding, done) => done(new Error('no space')) })
  await t.throwsAsync(machine.saveState(quiet, broken), { message: 'no space' })
  t.true(quiet.intact)
  const sink = new Collected()
  t.true((await machine.saveState(quiet, sink)).repeated)
  t.true(sink.bytes.length > 1000)
})

test.serial('a hypervisor that does not start says why', async (t) => {
  await using rig = new Rig()
  const plan = await rig.plan()
  const binding = rig.bind()
  truncateSync(join(binding.root, 'memory'), 4096)
  await t.throwsAsync(rig.driver.start(plan, binding), {
    code: 'START_FAILED',
    message: /backing store size 0x1000 does not match/,
  })
  const refused = await rig.plan({ extraArguments: ['-mem-prealloc'] })
  t.is(await codeOf(t, rig.driver.start(refused, rig.bind())), 'REFUSED')
  const missing = { ...plan, binaryPath: join(rig.directory, 'nothing') }
  t.is(await codeOf(t, rig.driver.start(missing, rig.bind())), 'START_FAILED')
  const silent = join(rig.directory, 'silent')
  writeFileSync(silent, '#!/bin/sh\nexec sleep 60\n', { mode: 0o755 })
  t.is(await codeOf(t, rig.driver.start({ ...plan, binaryPath: silent }, rig.bind(), { timeoutMs: 100 })), 'TIMEOUT')
})
