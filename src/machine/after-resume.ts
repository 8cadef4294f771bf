/** What follows a resume while the guest runs: telling it that time has passed, and learning what it reads first. */
import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf } from '../errors.ts'
import type { FileChunks } from '../image/machine-state.ts'
import type { MachineContext } from './context.ts'
import { merged } from './file-chunks.ts'
import type { Incarnation } from './incarnation.ts'
import { workingSetChunksMax } from './limits.ts'
import type { ResumableEpoch } from './resume.ts'
import { touchedChunks } from './touched.ts'

/** Sentences about what cannot be renewed in a copy of a machine. */
export async function renewalNotices(life: Incarnation, isFork: boolean): Promise<string[]> {
  const { machine } = life
  const notices: string[] = []
  if (!await machine.identity.newGenerationId()) {
    notices.push(`the guest is not told that it was resumed: machine type ${machine.plan.machineType} shows it no ` +
      'generation id (VMGenID), so random numbers that it drew ahead may come twice')
  }
  if (isFork && machine.plan.spec.network !== null) {
    notices.push('the network cable of the fork is unplugged: its address is that of the original')
  }
  return notices
}

/** Sets the guest's clock and announces its card; a notice where no agent in the guest does it. */
export async function renew(context: MachineContext, life: Incarnation): Promise<void> {
  const { machine } = life
  const plugged = machine.ports.some(({ attachment }) => attachment !== null)
  try {
    await machine.identity.announce(plugged)
    if (await machine.identity.setWallClock(Math.round(context.env.wallMs()))) return
    life.notices.push("the guest's clock was not set: no guest agent (qemu-ga) answers in it, so it runs late until " +
      'the guest asks a time server')
  } catch (error) {
    if (!life.isEnding) life.notices.push(`the guest's clock was not set: ${messageOf(error)}`)
  }
}

/**
 * What the hypervisor and the guest touch of the memory: first that of the load, then that of the first seconds.
 * `learn` is told of both; the second is kept with the epoch.
 */
export async function recordWorkingSet(
  context: MachineContext, life: Incarnation, epoch: ResumableEpoch, learn: (set: FileChunks[]) => void,
): Promise<void> {
  const { engine, limits, onEvent } = context
  try {
    const first = await touched(context, life, epoch)
    learn(first)
    await sleep(limits.workingSetMs, undefined, { ref: false })
    if (life.isEnding) return
    const later = await touched(context, life, epoch)
    const set = merged(first, later, workingSetChunksMax)
    learn(set)
    await engine.saveWorkingSet({ epoch: epoch.address, set })
  } catch (error) {
    // A set that could not be recorded costs the next resume a few reads, no more.
    if (!life.isEnding) onEvent({ type: 'machine', image: life.image, message: `no working set: ${messageOf(error)}` })
  }
}

async function touched({ env }: MachineContext, life: Incarnation, epoch: ResumableEpoch): Promise<FileChunks[]> {
  const { pid } = life.machine.process
  const files: FileChunks[] = []
  for (const { path } of epoch.facts.memoryFiles) {
    files.push({ path, chunks: await touchedChunks(env, pid, life.path(path), workingSetChunksMax) })
  }
  return files
}
