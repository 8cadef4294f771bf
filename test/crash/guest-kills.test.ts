/**
 * The real thing with a hypervisor: a Debian guest inserts rows while its hypervisor, the serving process, or the daemon
 * with both are killed at random moments, also in the middle of checkpoints. Whatever it acknowledged on its serial line
 * is on the disk, and it goes on. `HOLDFAST_KILLS=N` kills so often; HOLDFAST_SEED repeats a run as far as anybody can.
 */
import process from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'ava'
import { Console } from '../../rig/guest/console.ts'
import { scratch } from '../mount/served.ts'
import { Random } from '../random.ts'
import { undone } from '../run/undone.ts'
import { judgeDisk } from './guest-disk.ts'
import { KilledGuest } from './killed-guest.ts'

const kills = Number(process.env.HOLDFAST_KILLS ?? 4)
const kinds = ['hypervisor', 'everything', 'server'] as const
const everyMs = 400
/** Of one kill and what follows: a guest under TCG on a busy machine counts in minutes, and one that hangs is to be told of. */
const killTimeoutMs = 1_200_000

test.serial('what a guest acknowledged is on its disk, whatever is killed', async (t) => {
  t.timeout(killTimeoutMs)
  const random = Random.announced(t)
  const guest = await KilledGuest.start(scratch((done) => t.teardown(undone(done))), everyMs, (done) => t.teardown(undone(done)))
  const counts = { hypervisor: 0, everything: 0, server: 0 }
  let rows = 0
  for (let kill = 0; kill < kills; kill += 1) {
    t.timeout(killTimeoutMs)
    await guest.counted(5)
    await sleep(random.below(2 * everyMs))
    const kind = kinds[kill % kinds.length]
    counts[kind] += 1
    if (kind === 'server') {
      const before = guest.counters.length
      await guest.daemon.kill()
      await guest.counted(before + 5)
      // It runs, or is being saved at this moment.
      t.regex(await guest.state(), /^(running|paused)$/, `kill ${kill}`)
      continue
    }
    if (kind === 'hypervisor') await guest.killHypervisor()
    else await guest.killAll()
    const { acknowledged } = guest
    const held = await guest.resume()
    t.deepEqual(judgeDisk(await guest.exportDisk(held, 'disk.raw'), acknowledged), [], `kill ${kill}: ${kind}`)
    rows += acknowledged
    await guest.counted(5)
    t.false(guest.hasBooted)
    t.true(guest.counters.every((number, index) => number === guest.counters[0] + index), 'no number is missing')
  }
  t.log(`${counts.hypervisor} hypervisors, ${counts.everything} daemons with theirs and ${counts.server} serving ` +
    `processes killed; ${rows} acknowledged rows looked for, all there`)
  t.timeout(killTimeoutMs)
  using serial = await Console.connect(guest.console)
  await serial.ready(killTimeoutMs)
  const { output } = await serial.run("sqlite3 /var/lib/workload/counter.db 'pragma integrity_check'", killTimeoutMs)
  t.is(output, 'ok')
  await guest.daemon.call('vm stop', { image: 'image', force: true })
  t.deepEqual(((await guest.daemon.call('check', { readData: true })) as { damaged: unknown[] }).damaged, [])
  await guest.daemon.stop()
})
