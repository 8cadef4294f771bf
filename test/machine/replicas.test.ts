/** Machines of a store with replicas: checkpoints that wait for them, and schedules while they lag. */
import test from 'ava'
import { mkdirSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { Replication } from '../../src/daemon/replication.ts'
import { systemEnv } from '../../src/env/system.ts'
import type { EpochSummary } from '../../src/image/types.ts'
import { ReplicaLag, stretchedMs } from '../../src/machine/replica-lag.ts'
import { machineLimits } from '../../src/machine/limits.ts'
import { counting, smallGuest } from './small-guest.ts'
import { MachineRig, until } from './rig.ts'

const epochOf = (number: number): EpochSummary => ({ number } as EpochSummary)

test('a lag is that of the oldest epoch that is waited for, however many there are', (t) => {
  let published = 0
  const lag = new ReplicaLag(({ number }) => ({ have: number <= published ? 2 : 1, of: 2 }))
  t.is(lag.ms(null, 5), 0)
  t.is(lag.ms(epochOf(0), 10), 0)
  t.is(lag.ms(epochOf(1), 20), 0)
  for (let number = 2; number < 50; number++) t.is(lag.ms(epochOf(number), 20 + number), number)
  published = 10
  t.is(lag.ms(epochOf(50), 100), 0, 'it is another epoch that is waited for')
  t.is(lag.ms(epochOf(51), 130), 30)
  published = 51
  t.is(lag.ms(epochOf(51), 200), 0)
})

test('where there are no replicas nothing lags', (t) => {
  const lag = new ReplicaLag(() => ({ have: 0, of: 0 }))
  for (const nowMs of [0, 1e6]) t.is(lag.ms(epochOf(7), nowMs), 0)
})

test('a schedule is stretched with the lag, within bounds', (t) => {
  t.is(stretchedMs(30_000, machineLimits), null)
  t.is(stretchedMs(40_000, machineLimits), 5_000)
  t.is(stretchedMs(86_400_000, machineLimits), 60_000)
  // A day without a replica: what waits for it is counted in thousands at most, not in hundreds of thousands.
  let taken = 0
  for (let lagMs = 0; lagMs < 86_400_000; lagMs += stretchedMs(lagMs, machineLimits) ?? 100) taken++
  t.true(taken < 2_000, `${taken} checkpoints`)
})

test.serial('while a replica is away, scheduled checkpoints are rare, and that is said until it is back', async (t) => {
  t.timeout(480_000)
  await using rig = await MachineRig.open()
  const request = await smallGuest(rig, 'vm')
  const place = join(rig.directory, 'replica')
  mkdirSync(place)
  const replication = new Replication({ env: systemEnv(), engine: rig.engine, isBackground: true, onEvent: () => undefined })
  try {
    await replication.add({ name: 'near', url: `file://${place}`, authority: false, bytesPerSecondMax: null })
    const machines = rig.machines = rig.open({
      replicasOf: (epoch) => replication.asKnown(epoch).replicas,
      limits: { replicaLagMs: 1_500, stretchedMsMax: 600_000 },
    })
    await machines.start(request)
    const { epoch } = await machines.checkpoint({ image: 'vm' })
    await replication.sync({})
    t.is(replication.asKnown(epoch).level, 'replicated')
    const state = () => machines.summaries('vm')[0]
    renameSync(place, `${place}.away`)
    await machines.scheduleCheckpoints({ image: 'vm', everyMs: 100 })
    await until(() => state().alarms.some((each) => /replicas lag by .* is taken every .* only/.test(each)))
    t.true(state().stretchedMs! > 100)
    const { everyMs } = state()
    t.is(everyMs, 100, 'what was asked for stays')
    await until(() => rig.events.some((event) => 'message' in event && /replicas lag/.test(String(event.message))))
    await counting(rig, 'vm')
    // One that somebody asks for is taken all the same, and says where it is not.
    const asked = await machines.checkpoint({ image: 'vm' })
    t.deepEqual(await replication.reach(asked.epoch, { wanted: 1, timeMs: 50 }, {}), { have: 0, of: 1, wanted: 1 })
    renameSync(`${place}.away`, place)
    await replication.sync({})
    await until(() => {
      replication.poke()
      return state().alarms.length === 0 && state().stretchedMs === null
    })
    await until(() => rig.events.some((event) => 'message' in event && /caught up/.test(String(event.message))))
    const { completed } = state().checkpoints
    await until(() => state().checkpoints.completed > completed + 2)
  } finally {
    await rig.machines.close({ force: true })
    await replication.close()
  }
})
