/**
 * `npm run demo -- --hdfs`: node A checkpoints to a real HDFS and is lost with all that it had; node B, whose store is
 * empty, resumes the guest from there.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { HdfsCluster } from '../hdfs/index.ts'
import { takeCheckpoints } from './checkpoints.ts'
import { cleanUp, killProcessesOf, mountsBelow } from './cleanup.ts'
import { databaseIsSound, goesOn } from './crash.ts'
import type { Resumption } from './crash.ts'
import type { DemoResult } from './demo.ts'
import { DemoFailure } from './failure.ts'
import { Holdfast } from './holdfast.ts'
import type { Checkpointed, Epoch, ReplicaImage, Restored, Resumed } from './records.ts'
import { IMAGE, machineEpochs } from './stage.ts'
import type { Running, Stage } from './stage.ts'
import { commandBootId, buildGuest, createImage, guestOutput, startMachine } from './start.ts'
import { bytesText, timeText } from './story.ts'
import { rowsOf, tableText } from './table.ts'

const REPLICA = 'hdfs'
const DATA_NODES = 2

/** @throws DemoFailure when anything is not as it must be. */
export async function runHdfsDemo(stage: Stage): Promise<DemoResult> {
  const { story, options, directory, signal } = stage
  const guest = await story.step('A Debian guest', () => buildGuest(stage))
  await using cluster = await story.step('A real HDFS on this host', () => startCluster(stage))
  const url = `webhdfs://${cluster.address}/holdfast?user=${cluster.superuser}`
  await story.step('Node A: a store, and an image made from the guest’s disk', () => createImage(stage, guest))
  const running = await story.step('Node A: a machine that runs from the image', () => startMachine(stage, guest))
  await story.step('Node A: HDFS is to have every epoch', () => addReplica(stage, url))
  const title = `Node A: checkpoints every ${options.every}`
  await story.step(title, () => takeCheckpoints(stage, running.machine))
  await story.step('All of them are in HDFS', () => synced(stage))
  const newest = await story.step('Node A is lost: hypervisor, daemon and store', () => loseNode(stage))
  const store = join(directory, 'node-b')
  const nodeB: Stage = { ...stage, holdfast: new Holdfast(store, story, signal) }
  try {
    const resumed = await story.step('Node B: an empty store resumes it from HDFS', () =>
      resumeElsewhere(nodeB, running, newest, url))
    await story.step('Node B goes on where node A was', () => goOnElsewhere(nodeB, url))
    const { result: epochs } = await nodeB.holdfast.ask<Epoch[]>('log', IMAGE)
    const rows = rowsOf(epochs, [resumed])
    story.say(`\n${tableText(rows)}\n`)
    story.say(`All ${story.checks.length} expectations held.`)
    return { epochs: rows, checks: story.checks, steps: story.steps }
  } finally {
    for (const what of await cleanUp(new Holdfast(store, story), store, false)) story.seen(`by force: ${what}`)
  }
}

async function startCluster({ story }: Stage): Promise<HdfsCluster> {
  story.seen('NameNode and DataNodes of Apache Hadoop, as processes of this host (some seconds)')
  const cluster = await HdfsCluster.start({ dataNodes: DATA_NODES })
  const made = await fetch(
    `http://${cluster.address}/webhdfs/v1/holdfast?op=MKDIRS&user.name=${cluster.superuser}`, { method: 'PUT' },
  )
  if (!made.ok) throw new DemoFailure(`HDFS made no directory: ${made.status}`)
  story.seen(`a NameNode at ${cluster.address} and ${cluster.dataNodes.length} DataNodes`)
  return cluster
}

async function addReplica({ holdfast }: Stage, url: string): Promise<void> {
  await holdfast.run('replica', 'add', REPLICA, url)
}

async function synced({ holdfast, story }: Stage): Promise<void> {
  const { commandMs } = await holdfast.run('replica', 'sync')
  story.seen(`nothing was left to send, or has been sent now (${timeText(commandMs)})`)
}

/** Returns the newest epoch that could be resumed there. */
async function loseNode(stage: Stage): Promise<Epoch> {
  const { story, holdfast } = stage
  await holdfast.run('vm', 'checkpoint', IMAGE, '--every', 'off')
  const { result } = await holdfast.run<Checkpointed>('vm', 'checkpoint', IMAGE, '--wait-replicas', '1')
  const newest = (await machineEpochs(stage, IMAGE)).at(-1) ?? result.epoch
  const { store } = holdfast
  const pids = await killProcessesOf(store)
  story.command(['kill', '-KILL', ...pids.map(String)])
  for (const point of mountsBelow(store)) spawnSync('umount', ['-l', point])
  story.command(['rm', '-r', store])
  rmSync(store, { recursive: true, force: true })
  story.expect(!existsSync(store), 'nothing of node A is left', `${pids.length} processes killed, its store removed`)
  return newest
}

async function resumeElsewhere(stage: Stage, running: Running, newest: Epoch, url: string): Promise<Resumption> {
  const { story, holdfast } = stage
  const { result: images } = await holdfast.run<ReplicaImage[]>('replica', 'images', url)
  story.seen(images.map(({ image, epochs }) => `${image}: ${epochs} epochs`).join(', '))
  // The daemon of a node runs before it is needed.
  await holdfast.ask('init')
  await holdfast.ask('daemon', 'start')
  const restored = await holdfast.run<Restored>('restore', url, IMAGE, '--takeover')
  story.seen(`${bytesText(restored.result.fetchedBytes)} fetched in ${timeText(restored.commandMs)}`)
  for (const notice of restored.result.notices) story.seen(`note: ${notice}`)
  const { result, commandMs } = await holdfast.run<Resumed>('vm', 'resume', IMAGE)
  const holds = result.epoch.number === newest.number
  story.expect(holds, 'the newest epoch of node A is resumed', `${IMAGE}@${result.epoch.number}`)
  story.seen(`the guest runs ${timeText(restored.commandMs + result.resumeMs)} after it was asked for`)
  await goesOn(stage, result)
  const bootId = await guestOutput(result.machine, commandBootId)
  story.expect(bootId === running.bootId, "the kernel's boot id is that of the first start, on node A", bootId)
  await databaseIsSound(story, result.machine)
  story.proves('what was on node A is of no importance: HDFS had all of it')
  return { ...result, commandMs: restored.commandMs + commandMs }
}

async function goOnElsewhere({ holdfast, story }: Stage, url: string): Promise<void> {
  await holdfast.run('replica', 'add', REPLICA, url)
  const { result } = await holdfast.run<Checkpointed>('vm', 'checkpoint', IMAGE, '--wait-replicas', '1')
  const { epoch, replicas } = result
  story.expect(replicas?.have === 1, 'node B’s epochs go to HDFS', `${IMAGE}@${epoch.number}`)
}
