/**
 * A machine from an epoch, in three steps: `findEpoch` checks that this host can do it before anything is
 * touched; `resumeLife` mounts, and while the hypervisor starts pushes the chunks that the guest will want first;
 * `settle` does what need not be waited for once the guest runs.
 */
import type { Attachment, Machine, MachineSpec, Plan, Prepared } from '../../drivers/index.ts'
import { assert, HoldfastError } from '../errors.ts'
import type { FileChunks } from '../image/machine-state.ts'
import type { CallOptions, EpochSummary } from '../image/types.ts'
import type { MachineContext } from './context.ts'
import { driving } from './driver-errors.ts'
import { planAgain, readFacts } from './facts.ts'
import type { MachineFacts } from './facts.ts'
import { merged } from './file-chunks.ts'
import { Incarnation } from './incarnation.ts'
import { writeJournal } from './journal.ts'
import { pushChunksMax } from './limits.ts'
import { guestName } from './specification.ts'
import type { Stopwatch } from './stopwatch.ts'

export interface ResumableEpoch {
  readonly summary: EpochSummary
  readonly address: string
  readonly facts: MachineFacts
  readonly state: Uint8Array
  readonly manifest: string
  readonly plan: Plan
}

/**
 * `IMAGE@N`, or the newest epoch of `IMAGE` that has a machine. `name` is the image that it will run as.
 * Errors: NOT_FOUND, MISMATCH, UNSUPPORTED, DAMAGED, NEWER_VERSION.
 */
export async function findEpoch(context: MachineContext, target: string, as?: string): Promise<ResumableEpoch> {
  const { engine, driver } = context
  const [image, number] = target.split('@')
  const epochs = await engine.log({ image })
  const summary = number === undefined
    ? epochs.findLast(({ machine }) => machine)
    : epochs.find((epoch) => epoch.number === Number(number))
  if (summary === undefined) throw notThere(image, number)
  const address = `${image}@${summary.number}`
  const { state, facts: stored, manifest } = await engine.machineState({ epoch: address })
  const facts = readFacts(stored, address)
  const plan = await planAgain(driver, facts, guestName(as ?? image), address)
  return { summary, address, facts, state, manifest, plan }
}

export interface ResumeAs {
  readonly image: string
  /** Beside its original: no cable is plugged in. */
  readonly isFork: boolean
  /** What an earlier incarnation touched first. */
  readonly touchedBefore: readonly FileChunks[]
}

/**
 * The machine runs on return. Errors: as Incarnation.open, and MACHINE, MACHINE_TIMEOUT, MACHINE_GONE, ABORTED;
 * nothing is left then.
 */
export async function resumeLife(
  context: MachineContext, epoch: ResumableEpoch, as: ResumeAs, stopwatch: Stopwatch, { signal }: CallOptions,
): Promise<Incarnation> {
  const { env, directory, engine, openMount } = context
  const paths = epoch.facts.memoryFiles.map(({ path }) => path)
  // It only helps: an epoch whose likely chunks cannot be told is resumed without.
  const likely = engine.recentChunks({ epoch: epoch.address, paths }).catch((): FileChunks[] => [])
  const life = await stopwatch.part('mount', Incarnation.open(env, directory, as.image, openMount))
  try {
    const pushed = merged(as.touchedBefore, await likely, pushChunksMax)
    const machine = await loaded(context, epoch, life, as, { pushed, stopwatch, signal })
    await stopwatch.part('cont', driving(`resuming ${as.image}`, goOn(machine)))
    return life
  } catch (error) {
    await life.close()
    throw error
  }
}

interface Feeding {
  pushed: FileChunks[]
  stopwatch: Stopwatch
  signal?: AbortSignal
}

/** Prepare and push side by side, then load: nothing may be pushed into a guest's memory once it is in use. */
async function loaded(
  context: MachineContext, epoch: ResumableEpoch, life: Incarnation, as: ResumeAs, feeding: Feeding,
): Promise<Machine> {
  const { stopwatch, signal } = feeding
  const starting = stopwatch.part('prepare', prepare(context, epoch, life, as, signal))
  const pushing = stopwatch.part('push', push(context, epoch, life, feeding.pushed, starting))
  const [preparing] = await Promise.allSettled([starting, pushing])
  if (preparing.status === 'rejected') throw preparing.reason
  await using prepared = preparing.value
  writeJournal(context.env, life.runDirectory, { image: as.image, handle: prepared.handle() })
  const loading = prepared.load(epoch.state, { timeoutMs: context.limits.loadTimeoutMs, signal })
  const machine = await stopwatch.part('load', driving(`loading the device state of ${epoch.address}`, loading))
  life.take(machine)
  if (as.isFork) await unplug(context, life)
  return machine
}

/** A state that was saved with the user network loads only where there is one: the cable is pulled after the load. */
async function unplug({ env }: MachineContext, life: Incarnation): Promise<void> {
  const { machine, image } = life
  const plugged = machine.ports.filter(({ attachment }) => attachment !== null)
  for (const port of plugged) await driving(`unplugging ${image}`, port.unplug())
  if (plugged.length > 0) writeJournal(env, life.runDirectory, { image, handle: machine.handle() })
}

/** No forwards: the original has those ports. */
function forkAttachment({ network }: MachineSpec): Attachment | null {
  return network?.attachment?.kind === 'user' ? { kind: 'user', hostForward: [] } : null
}

function prepare(
  { driver, limits }: MachineContext, epoch: ResumableEpoch, life: Incarnation, as: ResumeAs, signal?: AbortSignal,
): Promise<Prepared> {
  const binding = as.isFork ? { ...life.binding, attachment: forkAttachment(epoch.facts.spec) } : life.binding
  const preparing = driver.prepare(epoch.plan, binding, { timeoutMs: limits.startTimeoutMs, signal })
  return driving(`preparing ${as.image}`, preparing)
}

async function push(
  { pusher }: MachineContext, epoch: ResumableEpoch, life: Incarnation, files: FileChunks[],
  enough: Promise<unknown>,
): Promise<void> {
  const { descriptor, directory } = life.mount
  assert(descriptor !== null, 'machines are mounted by the kernel transport')
  const whole = readAtStart(epoch.facts.spec)
  const { failure } = await pusher.push({ descriptor, root: directory, manifest: epoch.manifest, whole, files }, enough)
  if (failure !== null) life.notices.push(`no pages were pushed ahead, the guest waits for what it reads: ${failure}`)
}

/** The hypervisor reads these while it starts, 64 KiB at a time where they are not there yet. */
function readAtStart({ kernel, firmware }: MachineSpec): string[] {
  return [kernel?.image, kernel?.initrd, firmware].filter((path) => typeof path === 'string')
}

async function goOn(machine: Machine): Promise<void> {
  await machine.resume(await machine.quiesce())
}

function notThere(image: string, number: string | undefined): HoldfastError {
  if (number !== undefined) {
    return new HoldfastError('NOT_FOUND', `there is no epoch ${image}@${number}: see 'holdfast log ${image}'`)
  }
  const remedy = `start it with 'holdfast vm start ${image}' and take a checkpoint`
  return new HoldfastError('NOT_FOUND', `image ${image} has no epoch with a machine: ${remedy}`)
}
