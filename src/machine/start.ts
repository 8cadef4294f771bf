/**
 * The first start of a machine: its disks are the head's, its memory is new. A memory file that an earlier
 * machine left in the head is removed and made again, empty: epochs keep theirs, and a machine that starts
 * from its disks has no use for it.
 */
import type { Machine, Plan } from '../../drivers/index.ts'
import { HoldfastError } from '../errors.ts'
import type { CallOptions } from '../image/types.ts'
import type { MachineContext } from './context.ts'
import { driving } from './driver-errors.ts'
import { Incarnation } from './incarnation.ts'
import { writeJournal } from './journal.ts'
import { chooseDisks, machineFiles, modelsOf, pinned, refuse, specificationOf } from './specification.ts'
import type { StartRequest } from './types.ts'

const steps = 4

/** Errors: BUSY, NOT_FOUND, USAGE, UNSUPPORTED, NO_SPACE, MACHINE, MACHINE_TIMEOUT, ABORTED. Nothing is left then. */
export async function startLife(
  context: MachineContext, request: StartRequest, call: CallOptions,
): Promise<Incarnation> {
  const { env, directory, driver } = context
  const facts = await driving('probing the hypervisor', driver.probe({ cpuModels: modelsOf(request.cpuModel) }))
  const life = await Incarnation.open(env, directory, request.image, context.mounting)
  try {
    await life.serve()
    call.progress?.({ step: 'preparing files', done: 1, total: steps, unit: 'steps' })
    const disks = chooseDisks(request, await life.flush.list(life.root, context.limits.startTimeoutMs))
    const first = driver.plan(specificationOf(env, request, disks), facts)
    refuse(first)
    const plan = driver.plan(pinned(first), facts)
    await checkDisks(context, life, disks)
    await bringFiles(context, life, request, call)
    call.progress?.({ step: 'starting the hypervisor', done: 3, total: steps, unit: 'steps' })
    await run(context, life, plan, call)
    return life
  } catch (error) {
    await life.close()
    throw error
  }
}

async function checkDisks({ limits }: MachineContext, life: Incarnation, disks: readonly string[]): Promise<void> {
  for (const file of await life.flush.stat(disks.map((disk) => life.path(disk)), limits.startTimeoutMs)) {
    const path = file.path.slice(life.root.length)
    if (file.kind === 'none') throw new HoldfastError('USAGE', `there is no ${path} in ${life.image}: name its disks`)
    if (file.kind !== 'file') throw new HoldfastError('USAGE', `${path} in ${life.image} is no file, so no disk`)
  }
}

/** Copied by the flush process: from here it could wait for our own thread. */
async function bringFiles(
  { limits }: MachineContext, life: Incarnation, request: StartRequest, { signal }: CallOptions,
): Promise<void> {
  const { startTimeoutMs } = limits
  await life.flush.remove(life.path(machineFiles.memory), startTimeoutMs)
  for (const name of ['kernel', 'initrd', 'firmware'] as const) {
    const from = request[name]
    const to = life.path(machineFiles[name])
    if (from === undefined) await life.flush.remove(to, startTimeoutMs)
    else await life.flush.copy(from, to, startTimeoutMs, signal)
  }
  await life.mount.makeMemory(machineFiles.memory, request.memoryBytes)
}

async function run(context: MachineContext, life: Incarnation, plan: Plan, { signal }: CallOptions): Promise<void> {
  const starting = context.driver.start(plan, life.binding, { timeoutMs: context.limits.startTimeoutMs, signal })
  const machine: Machine = await driving(`starting ${life.image}`, starting)
  life.take(machine)
  writeJournal(context.env, life.runDirectory, { image: life.image, handle: machine.handle() })
}
