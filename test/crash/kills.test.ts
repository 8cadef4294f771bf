/**
 * The real thing: a daemon, its mounts and machines, killed at random under load. The serving process: its users
 * notice a pause and nothing else. The whole daemon: what was synced is there when it is started again.
 * `HOLDFAST_KILLS=N` kills so often; HOLDFAST_SEED repeats a run as far as anybody can.
 */
import process from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'ava'
import { KilledDaemon } from '../../bench/rig/killed-daemon.ts'
import { isCode } from '../../src/errors.ts'
import { scratch } from '../mount/served.ts'
import { Random } from '../random.ts'
import { undone } from '../run/undone.ts'
import { judge, prepare, SyncedWriter } from './synced-writes.ts'

const kills = Number(process.env.HOLDFAST_KILLS ?? 16)
/** Of one kill and what follows. */
const killTimeoutMs = 600_000

test.serial('nothing that was synced is lost, whatever of the daemon is killed', async (t) => {
  t.timeout(killTimeoutMs)
  const random = Random.announced(t)
  const daemon = await KilledDaemon.start(scratch((done) => t.teardown(undone(done))))
  t.teardown(undone(() => daemon.abandon()))
  prepare(daemon.mountPoint)
  let writer = new SyncedWriter(daemon.mountPoint, 1)
  t.teardown(undone(() => writer.kill()))
  const counts = { serving: 0, whole: 0, seals: 0 }
  let isOver = false
  t.teardown(() => (isOver = true))
  const seals = sealOften(daemon, () => isOver, counts)
  for (let kill = 0; kill < kills; kill += 1) {
    t.timeout(killTimeoutMs)
    await writer.hasWritten()
    await sleep(random.below(400))
    if (random.below(3) > 0) {
      await daemon.kill()
      counts.serving += 1
      t.is(writer.failure, null, `kill ${kill}`)
      continue
    }
    await daemon.killAll()
    counts.whole += 1
    await writer.end()
    const synced = writer.synced(writer.first - 1)
    await daemon.restart()
    const { newest, faults } = judge(daemon.mountPoint, writer.first, synced)
    t.deepEqual(faults.slice(0, 5), [], `kill ${kill}`)
    writer = new SyncedWriter(daemon.mountPoint, Math.max(newest, synced) + 1)
  }
  await writer.hasWritten()
  await writer.end()
  t.is(writer.failure, null)
  t.deepEqual(judge(daemon.mountPoint, writer.first, writer.synced(0)).faults, [])
  isOver = true
  await seals
  t.log(`${counts.serving} serving processes and ${counts.whole} daemons killed, ${counts.seals} seals done meanwhile, nothing lost`)
  t.deepEqual(((await daemon.call('check', { readData: true })) as { damaged: unknown[] }).damaged, [])
  await daemon.stop()
})

/** Segments end, commits run, and epochs come about while things are killed. */
async function sealOften(daemon: KilledDaemon, isOver: () => boolean, counts: { seals: number }): Promise<void> {
  while (!isOver()) {
    try {
      await daemon.call('seal', { image: 'image' })
      counts.seals += 1
    } catch (error) {
      // Between two daemons there is none, or no mount yet.
      if (!isCode(error, 'DAEMON', 'NOT_FOUND', 'LOCKED', 'BUSY') && !String(error).includes('the daemon is gone')) throw error
    }
    await sleep(100)
  }
}
