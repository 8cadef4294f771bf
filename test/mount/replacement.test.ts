/** The serving process is killed under load: its mount's users see a pause, never an error nor wrong data. */
import { mkdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { FioVerify } from '../../bench/rig/fio-verify.ts'
import { KilledDaemon } from '../../bench/rig/killed-daemon.ts'
import { NamespaceLoad } from '../../bench/rig/namespace-load.ts'
import { Random } from '../tree/random.ts'
import { scratch } from './served.ts'

const kills = 20

async function started(t: ExecutionContext): Promise<KilledDaemon> {
  const daemon = await KilledDaemon.start(scratch((done) => t.teardown(done)))
  t.teardown(() => daemon.abandon())
  return daemon
}

async function killOften(t: ExecutionContext, daemon: KilledDaemon, random: Random): Promise<void> {
  for (let kill = 0; kill < kills; kill += 1) {
    await sleep(random.below(400))
    await daemon.kill()
  }
  const takeovers = daemon.takeovers()
  const unanswered = takeovers.filter(({ resent }) => resent > 0).length
  const repeated = takeovers.reduce((sum, each) => sum + each.repeated, 0)
  t.log(`${kills} kills, ${unanswered} left requests unanswered, ${repeated} of these requests had been carried out`)
  t.true(unanswered > 0)
}

test.serial('names change as if nothing happened while the serving process is killed', async (t) => {
  const random = Random.announced(t)
  const daemon = await started(t)
  const load = new NamespaceLoad(daemon.mountPoint, random.below(2 ** 31))
  t.teardown(() => load.kill())
  await killOften(t, daemon, random)
  const report = await load.finish()
  t.deepEqual(report.faults, [])
  t.true(report.operations > kills)
  t.is((await daemon.status()).replacements, kills)
  await daemon.stop()
})

test.serial('fio verifies all that it wrote while the serving process is killed', async (t) => {
  const random = Random.announced(t)
  const daemon = await started(t)
  mkdirSync(`${daemon.mountPoint}/data`)
  const fio = new FioVerify(`${daemon.mountPoint}/data`)
  t.teardown(() => fio.kill())
  await killOften(t, daemon, random)
  t.is(await fio.finish(), null)
  await daemon.stop()
})
