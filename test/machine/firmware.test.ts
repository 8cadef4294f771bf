/** A Debian guest on q35 that boots from its disk, as guests not made for us do. */
import test from 'ava'
import { guest } from '../../rig/guest/index.ts'
import { codeOf } from '../../src/errors.ts'
import { consoleOf, debianRequest, MachineRig, twoCounters, until } from './rig.ts'

test.serial('q35 with firmware: checkpoint, kill, resume twice over, and the guest shuts itself down', async (t) => {
  t.timeout(480_000)
  await using rig = await MachineRig.open()
  const { firmwareDisk } = await guest({ firmware: true })
  await rig.engine.createImage({ image: 'pc', base: [firmwareDisk!] })
  const { kernel: _kernel, initrd: _initrd, append: _append, ...request } = await debianRequest('pc', { q35: true })
  let summary = await rig.machines.start(request)
  t.regex(summary.machineType, /^pc-q35-\d/, 'the type is pinned to its version')
  let console = await consoleOf(summary)
  try {
    await console.ready()
    for (let cycle = 0; cycle < 2; cycle += 1) {
      await console.counter()
      const { epoch } = await rig.machines.checkpoint({ image: 'pc' })
      process.kill(summary.pid!, 'SIGKILL')
      await until(() => rig.machines.summaries('pc')[0].state === 'failed')
      console.close()
      const resumed = await rig.machines.resume({ target: 'pc' })
      summary = resumed.machine
      t.is(resumed.epoch.id, epoch.id)
      t.false(summary.notices.some((sentence) => sentence.includes('VMGenID')), 'q35 shows a new generation id')
      console = await consoleOf(summary)
      const [first, next] = await twoCounters(console)
      t.is(next.number, first.number + 1)
      const check = await console.run('python3 -c \'import sqlite3;' +
        'print(sqlite3.connect("/var/lib/workload/counter.db").execute("pragma integrity_check").fetchone()[0])\'')
      t.is(check.output, 'ok')
    }
    // The line may close before the answer comes.
    await console.run('systemctl --no-block poweroff').catch((error: unknown) => t.is(codeOf(error), 'CLOSED'))
    await until(() => rig.machines.summaries('pc')[0].state !== 'running')
    await until(() => rig.machines.summaries('pc')[0].mount === '')
    t.is(rig.machines.summaries('pc')[0].state, 'stopped')
    t.is(rig.machines.summaries('pc')[0].lastError, null)
  } finally {
    console.close()
  }
})
