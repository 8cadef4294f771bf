/** What fails in the middle: no epoch comes of it, the last one is untouched, and the guest goes on if it lives. */
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { codeOf } from '../../src/errors.ts'
import { consoleOf, MachineRig, until } from './rig.ts'
import { counting, flushProcesses, interferingDriver, smallGuest } from './small-guest.ts'
import type { MachineStep } from './small-guest.ts'

async function rejection(work: Promise<unknown>): Promise<string> {
  return work.then(() => 'no error', (error: unknown) => codeOf(error) ?? String(error))
}

async function epochs(rig: MachineRig, image: string): Promise<string[]> {
  return (await rig.engine.log({ image })).map(({ id }) => id)
}

const moments: [MachineStep, 'before' | 'after'][] = [
  ['quiesce', 'before'], ['quiesce', 'after'], ['saveState', 'before'], ['saveState', 'after'], ['resume', 'before'],
]

for (const [step, when] of moments) {
  test.serial(`the hypervisor killed ${when} ${step}: no epoch, and the last one resumes`, async (t) => {
    let armed = false
    const driver = interferingDriver(async (machine, now, at) => {
      if (!armed || now !== step || at !== when) return
      armed = false
      await machine.kill()
    })
    await using rig = await MachineRig.open({ driver })
    await rig.machines.start(await smallGuest(rig, 'vm'))
    await counting(rig, 'vm')
    const { epoch } = await rig.machines.checkpoint({ image: 'vm' })
    const before = await epochs(rig, 'vm')
    await counting(rig, 'vm')
    armed = true
    t.is(await rejection(rig.machines.checkpoint({ image: 'vm' })), 'MACHINE_GONE')
    await until(() => rig.machines.summaries('vm')[0].state === 'failed')
    t.deepEqual(rig.machines.summaries('vm')[0].checkpoints, { requested: 2, completed: 1, failed: 1, aborted: 0 })
    t.deepEqual(await epochs(rig, 'vm'), before)
    t.is(await rejection(rig.machines.checkpoint({ image: 'vm' })), 'MACHINE_GONE')

    const resumed = await rig.machines.resume({ target: 'vm' })
    t.is(resumed.epoch.id, epoch.id)
    await counting(rig, 'vm')
    t.true((await rig.machines.checkpoint({ image: 'vm' })).epoch.machine)
  })
}

test.serial('the hypervisor killed after the guest went on: the epoch is whole', async (t) => {
  let armed = false
  const driver = interferingDriver(async (machine, step, when) => {
    if (!armed || step !== 'resume' || when !== 'after') return
    armed = false
    await machine.kill()
  })
  await using rig = await MachineRig.open({ driver })
  await rig.machines.start(await smallGuest(rig, 'vm'))
  await counting(rig, 'vm')
  armed = true
  const { epoch } = await rig.machines.checkpoint({ image: 'vm' })
  await until(() => rig.machines.summaries('vm')[0].state === 'failed')
  t.is((await rig.machines.resume({ target: 'vm' })).epoch.id, epoch.id)
  await counting(rig, 'vm')
})

test.serial('a save that fails lets the guest go on, and the next checkpoint works', async (t) => {
  let armed = true
  const driver = interferingDriver((_, step, when) => {
    if (step !== 'saveState' || when !== 'before' || !armed) return
    armed = false
    throw new Error('made to fail')
  })
  await using rig = await MachineRig.open({ driver })
  await rig.machines.start(await smallGuest(rig, 'vm'))
  t.is(await rejection(rig.machines.checkpoint({ image: 'vm' })), 'MACHINE')
  t.regex(rig.machines.summaries('vm')[0].lastError ?? '', /made to fail/)
  t.is((await epochs(rig, 'vm')).length, 1)
  await counting(rig, 'vm')
  await rig.machines.checkpoint({ image: 'vm' })
  t.is(rig.machines.summaries('vm')[0].lastError, null)
})

test.serial('a flush process that dies fails the checkpoint alone', async (t) => {
  let armed = true
  const driver = interferingDriver((_, step, when) => {
    if (step !== 'quiesce' || when !== 'after' || !armed) return
    armed = false
    for (const pid of flushProcesses()) process.kill(pid, 'SIGKILL')
  })
  await using rig = await MachineRig.open({ driver })
  await rig.machines.start(await smallGuest(rig, 'vm'))
  t.is(await rejection(rig.machines.checkpoint({ image: 'vm' })), 'MACHINE')
  await counting(rig, 'vm')
  await rig.machines.checkpoint({ image: 'vm' })
  await counting(rig, 'vm')
  t.is(flushProcesses().length, 1)
})

test.serial('a hypervisor that does not answer: the checkpoint times out, and the guest goes on when it does', async (t) => {
  await using rig = await MachineRig.open({ limits: { quiesceTimeoutMs: 300 } })
  const { pid } = await rig.machines.start(await smallGuest(rig, 'vm'))
  await counting(rig, 'vm')
  process.kill(pid!, 'SIGSTOP')
  try {
    t.is(await rejection(rig.machines.checkpoint({ image: 'vm' })), 'MACHINE_TIMEOUT')
  } finally {
    process.kill(pid!, 'SIGCONT')
  }
  await counting(rig, 'vm')
  t.is((await epochs(rig, 'vm')).length, 1)
  t.true(await eventually(t, rig))
})

/** The first pause is undone when the hypervisor gets to it; until then another one may still time out. */
async function eventually(t: ExecutionContext, rig: MachineRig): Promise<boolean> {
  for (;;) {
    const code = await rejection(rig.machines.checkpoint({ image: 'vm' }))
    if (code === 'no error') return true
    t.is(code, 'MACHINE_TIMEOUT')
  }
}

test.serial('an aborted checkpoint counts as aborted and leaves nothing', async (t) => {
  const abort = new AbortController()
  const driver = interferingDriver((_, step, when) => {
    if (step === 'quiesce' && when === 'after') abort.abort()
  })
  await using rig = await MachineRig.open({ driver })
  await rig.machines.start(await smallGuest(rig, 'vm'))
  t.is(await rejection(rig.machines.checkpoint({ image: 'vm' }, { signal: abort.signal })), 'ABORTED')
  t.deepEqual(rig.machines.summaries('vm')[0].checkpoints, { requested: 1, completed: 0, failed: 0, aborted: 1 })
  t.is((await epochs(rig, 'vm')).length, 1)
  await counting(rig, 'vm')
})

test.serial('a stop in the middle of a checkpoint ends both', async (t) => {
  let reached: () => void = () => undefined
  const inPause = new Promise<void>((resolve) => (reached = resolve))
  const driver = interferingDriver((_, step, when) => {
    if (step === 'saveState' && when === 'before') reached()
  })
  await using rig = await MachineRig.open({ driver })
  await rig.machines.start(await smallGuest(rig, 'vm'))
  const taking = rejection(rig.machines.checkpoint({ image: 'vm' }))
  await inPause
  t.is((await rig.machines.stop({ image: 'vm', force: true })).state, 'stopped')
  t.true(['ABORTED', 'no error', 'MACHINE_GONE'].includes(await taking))
  // One that was given up in a flush has been killed, and ends when it can.
  await until(() => flushProcesses().length === 0)
})

test.serial('a resume that fails leaves a failed machine, which another resume brings back', async (t) => {
  let armed = false
  const driver = interferingDriver((_, step, when) => {
    if (step === 'quiesce' && when === 'before' && armed) throw new Error('made to fail')
  })
  await using rig = await MachineRig.open({ driver })
  await rig.machines.start(await smallGuest(rig, 'vm'))
  await rig.machines.checkpoint({ image: 'vm' })
  armed = true
  t.is(await rejection(rig.machines.resume({ target: 'vm' })), 'MACHINE')
  t.is(rig.machines.summaries('vm')[0].state, 'failed')
  t.is(await rejection(rig.machines.resume({ target: 'vm', as: 'fork' })), 'MACHINE')
  t.deepEqual((await rig.engine.images()).map(({ image }) => image), ['vm'], 'the fork that did not run is gone')
  armed = false
  using line = await consoleOf((await rig.machines.resume({ target: 'vm' })).machine)
  t.truthy(line)
  await counting(rig, 'vm')
})
