/** A machine whose checkpoints go to a real HDFS that is away for a while, or full. */
import type { ExecutionContext } from 'ava'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Host } from '../../src/daemon/host.ts'
import { openHost } from '../../src/daemon/local-host.ts'
import { imageKey } from '../../src/replica/layout.ts'
import type { WebHdfsReplica } from '../../src/replica/webhdfs/webhdfs-replica.ts'
import { hdfs, hdfsReplica, hdfsTest, shareCluster, whyNot } from '../replica/hdfs.ts'
import { publishedNumbers } from '../replica/node.ts'
import { MachineRig } from './rig.ts'
import { smallGuest } from './small-guest.ts'

shareCluster(2)

interface Case {
  readonly host: Host
  readonly replica: WebHdfsReplica
  readonly key: string
}

/** A guest that counts, a checkpoint of it each second, and HDFS as its replica. */
async function counted(t: ExecutionContext): Promise<Case> {
  t.timeout(480_000)
  const rig = await MachineRig.open()
  t.teardown(() => rig[Symbol.asyncDispose]())
  const request = await smallGuest(rig, 'vm')
  await rig.machines.close()
  await rig.engine.close()
  const host = await openHost(rig.store, { thread: true })
  t.teardown(() => host.close({ force: true }))
  const replica = await hdfsReplica(t)
  await host.replicas.add({ name: 'far', url: replica.url, authority: false, bytesPerSecondMax: null })
  await host.startMachine(request)
  await host.scheduleCheckpoints({ image: 'vm', everyMs: 1000 })
  const [{ id }] = await host.engine.images()
  return { host, replica, key: imageKey(Buffer.from(id, 'hex')) }
}

async function newest({ host }: Case): Promise<number> {
  return (await host.machines())[0].newest?.number ?? 0
}

async function untilNewest(made: Case, number: number): Promise<void> {
  while (await newest(made) < number) await sleep(50)
}

/** It runs, or is being saved at this moment. */
async function isAlive(t: ExecutionContext, { host }: Case): Promise<void> {
  t.regex((await host.machines())[0].state, /^(running|paused)$/)
}

/** Ends the schedule and waits until all is on HDFS: each epoch that is here, and nothing else. */
async function isAllThere(t: ExecutionContext, made: Case): Promise<void> {
  const { host, replica, key } = made
  await host.scheduleCheckpoints({ image: 'vm', everyMs: null })
  const [status] = await host.replicas.sync({})
  t.is(status.alarm, null)
  const here = (await host.engine.log({ image: 'vm' })).map(({ number }) => number)
  t.deepEqual(await publishedNumbers(replica, key), here)
  t.is((await host.machines())[0].checkpoints.failed, 0)
}

hdfsTest(`hdfs: the NameNode is away for ten seconds while a checkpoint is taken each second${whyNot}`, async (t) => {
  const made = await counted(t)
  await untilNewest(made, 3)
  await hdfs().nameNode.kill()
  const before = await newest(made)
  try {
    // Checkpoints go on.
    await Promise.all([sleep(10_000), untilNewest(made, before + 1)])
    await isAlive(t, made)
  } finally {
    hdfs().nameNode.start()
    await hdfs().waitReady()
  }
  await untilNewest(made, await newest(made) + 2)
  await isAllThere(t, made)
})

/** Of a directory, with all that lies below; -1 lifts it. */
async function setQuota({ url }: WebHdfsReplica, bytes: number): Promise<void> {
  const path = new URL(url.replace('webhdfs:', 'http:')).pathname
  const query = `op=SETQUOTA&storagespacequota=${bytes}&namespacequota=-1&user.name=${hdfs().superuser}`
  const response = await fetch(`http://${hdfs().address}/webhdfs/v1${path}?${query}`, { method: 'PUT' })
  if (!response.ok) throw new Error(`SETQUOTA: ${response.status} ${await response.text()}`)
}

hdfsTest(`hdfs: a directory that is full takes nothing, says so, and catches up once there is space${whyNot}`, async (t) => {
  const made = await counted(t)
  await untilNewest(made, 2)
  await setQuota(made.replica, 1)
  const before = await newest(made)
  const state = async (): Promise<{ lastError: string | null }> => (await made.host.replicas.status())[0]
  while (!/quota/i.test((await state()).lastError ?? '')) await sleep(50)
  await untilNewest(made, before + 3)
  const there = await publishedNumbers(made.replica, made.key)
  t.true(Math.max(...there) < await newest(made), 'nothing more got there')
  await isAlive(t, made)
  await setQuota(made.replica, -1)
  await isAllThere(t, made)
})
