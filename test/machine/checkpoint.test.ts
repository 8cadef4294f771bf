/**
 * Machines with a real Debian guest: what a checkpoint holds, and that resuming goes on from it. One boot serves
 * the tests of this file, which run in order.
 */
import test from 'ava'
import type { Console } from '../../rig/guest/console.ts'
import { guest } from '../../rig/guest/index.ts'
import { consoleOf, debianRequest, MachineRig, twoCounters, until } from './rig.ts'
import { spoken } from './small-guest.ts'

let rig: MachineRig
let console: Console

/** The counter's rows have no gap, each payload is right, and the database is whole. */
const databaseCheck = [
  'import sqlite3,hashlib', 'd=sqlite3.connect("/var/lib/workload/counter.db")',
  'r=d.execute("select n,payload from counter order by n").fetchall()',
  'ok=all(n==i+1 and p==hashlib.shake_128(str(n).encode()).digest(len(p)) for i,(n,p) in enumerate(r))',
  'print(d.execute("pragma integrity_check").fetchone()[0],ok,len(r)>0)',
].join(';')

test.before(async () => {
  rig = await MachineRig.open()
  const { disk } = await guest()
  await rig.engine.createImage({ image: 'vm', base: [disk] })
  const summary = await rig.machines.start(await debianRequest('vm'))
  console = await consoleOf(summary)
  await console.ready()
  await console.counter()
})

test.after.always(async () => {
  console?.close()
  await rig?.[Symbol.asyncDispose]()
})

async function checkDatabase(line: Console): Promise<string> {
  return (await line.run(`python3 -c '${databaseCheck}'`, 60_000)).output
}

async function killHypervisor(image: string): Promise<void> {
  process.kill(rig.machines.summaries(image)[0].pid!, 'SIGKILL')
  await until(() => rig.machines.summaries(image)[0].state === 'failed')
}

test.serial('three times over: checkpoint, kill -9, resume goes on at the next number without a boot', async (t) => {
  for (let cycle = 1; cycle <= 3; cycle += 1) {
    const { epoch, parts } = await rig.machines.checkpoint({ image: 'vm', note: `cycle ${cycle}` })
    t.true(epoch.machine)
    t.is(epoch.note, `cycle ${cycle}`)
    t.true((epoch.pauseMs ?? 0) > 0)
    t.deepEqual(Object.keys(parts).sort(),
      ['arm', 'barrier', 'commit', 'cont', 'flush', 'liveFlush', 'saveState', 'stop'])
    await console.counter()
    await killHypervisor('vm')
    t.regex(rig.machines.summaries('vm')[0].lastError ?? '', /SIGKILL.*vm resume/)
    console.close()

    const resumed = await rig.machines.resume({ target: 'vm' })
    t.is(resumed.epoch.id, epoch.id)
    t.is(resumed.machine.state, 'running')
    t.is(resumed.machine.lastError, null)
    console = await consoleOf(resumed.machine)
    const [first, next] = await twoCounters(console)
    t.is(next.number, first.number + 1)
    t.true(first.guestMs > 0)
    t.is(await checkDatabase(console), 'ok True True')
    t.notRegex(console.tail, /Linux version|login:|systemd/)
  }
})

test.serial('a resumed guest goes on within what it counted until the kill', async (t) => {
  await rig.machines.checkpoint({ image: 'vm' })
  const atCheckpoint = await console.counter()
  await console.counter(atCheckpoint.number + 5)
  await killHypervisor('vm')
  console.close()
  const { machine, sealed } = await rig.machines.resume({ target: 'vm' })
  console = await consoleOf(machine)
  await console.counter()
  // Its log has all that it said, the console what it says since somebody listens.
  const [after] = spoken(machine).matchAll(/^counter (\d+) /gm)
  t.true(Number(after[1]) <= atCheckpoint.number, `${after[1]} after ${atCheckpoint.number}`)
  t.true(sealed !== null && !sealed.machine, 'what the head held was sealed, without a machine')
  const log = await rig.engine.log({ image: 'vm' })
  t.true(log.some(({ id }) => id === sealed!.id))
})

test.serial('a fork runs beside its original, and neither sees the other', async (t) => {
  const { epoch } = await rig.machines.checkpoint({ image: 'vm' })
  const fork = await rig.machines.resume({ target: `vm@${epoch.number}`, as: 'beside' })
  using line = await consoleOf(fork.machine)
  t.not(fork.machine.pid, rig.machines.summaries('vm')[0].pid)
  t.true(fork.machine.notices.some((sentence) => sentence.includes('VMGenID')))
  const [original, copy] = [await console.counter(), await line.counter()]
  t.true(original.number > 0 && copy.number > 0)
  await line.run('echo fork > /root/who; sync')
  await console.run('echo original > /root/who; sync')
  t.is((await line.run('cat /root/who')).output, 'fork')
  t.is((await console.run('cat /root/who')).output, 'original')
  t.is(await checkDatabase(line), 'ok True True')

  const second = await rig.machines.checkpoint({ image: 'beside' })
  t.is(second.epoch.image, 'beside')
  t.is((await rig.machines.stop({ image: 'beside', force: true })).state, 'stopped')
  t.is(rig.machines.summaries('vm')[0].state, 'running')
  await console.counter()
})

test.serial('an older epoch is resumed in place, and what came after it is still there', async (t) => {
  const early = await rig.machines.checkpoint({ image: 'vm' })
  await console.run('echo later > /root/later; sync')
  const late = await rig.machines.checkpoint({ image: 'vm' })
  console.close()

  const back = await rig.machines.resume({ target: `vm@${early.epoch.number}`, discard: true })
  t.is(back.sealed, null)
  console = await consoleOf(back.machine)
  t.not((await console.run('cat /root/later')).code, 0)
  const third = await rig.machines.checkpoint({ image: 'vm' })
  t.is(third.epoch.parent?.number, early.epoch.number)
  t.true(third.epoch.number > late.epoch.number)
  console.close()

  const forward = await rig.machines.resume({ target: `vm@${late.epoch.number}` })
  console = await consoleOf(forward.machine)
  t.is((await console.run('cat /root/later')).output, 'later')
  t.is(await checkDatabase(console), 'ok True True')
})

test.serial('a schedule takes checkpoints until it is ended, one at a time', async (t) => {
  const before = rig.machines.summaries('vm')[0].checkpoints.completed
  const scheduled = await rig.machines.scheduleCheckpoints({ image: 'vm', everyMs: 150 })
  t.is(scheduled.everyMs, 150)
  await until(() => rig.machines.summaries('vm')[0].checkpoints.completed >= before + 3)
  await killHypervisor('vm')
  console.close()
  const { machine } = await rig.machines.resume({ target: 'vm' })
  t.is(machine.everyMs, 150, 'the schedule outlives a resume')
  console = await consoleOf(machine)
  const resumed = machine.checkpoints.completed
  await until(() => rig.machines.summaries('vm')[0].checkpoints.completed >= resumed + 2)
  t.is((await rig.machines.scheduleCheckpoints({ image: 'vm', everyMs: null })).everyMs, null)
  t.is(await checkDatabase(console), 'ok True True')
})

test.serial('checkpoints asked for together are taken one after another', async (t) => {
  const taken = await Promise.all([1, 2, 3].map(() => rig.machines.checkpoint({ image: 'vm' })))
  const numbers = taken.map(({ epoch }) => epoch.number)
  t.deepEqual(numbers, [numbers[0], numbers[0] + 1, numbers[0] + 2])
})

test.serial('stop ends the hypervisor and gives the image back', async (t) => {
  const { pid } = rig.machines.summaries('vm')[0]
  console.close()
  const stopped = await rig.machines.stop({ image: 'vm', force: true })
  t.is(stopped.state, 'stopped')
  t.is(stopped.pid, null)
  t.throws(() => process.kill(pid!, 0))
  await t.throwsAsync(rig.machines.checkpoint({ image: 'vm' }), { code: 'NOT_FOUND' })
  const sealed = await rig.engine.sealHead({ image: 'vm' })
  t.false(sealed.machine)
})
