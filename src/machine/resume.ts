/**
 * A machine from an epoch, in two steps: `findEpoch` checks that this host can do it before anything is
 * touched; `resumeLife` does at once all that need not wait for one another. The mount is there first; the
 * hypervisor starts on it and waits in the kernel for its first file, while the head is made, is served, and the
 * chunks that the guest will want first are pushed.
 */
import type { Attachment, Machine, MachineSpec, Plan, Prepared } from '../../drivers/index.ts'
import { assert } from '../errors.ts'
import type { FileChunks } from '../image/machine-state.ts'
import type { CallOptions, EpochSummary } from '../image/types.ts'
import type { MachineContext } from './context.ts'
import { driving } from './driver-errors.ts'
import { planAgain, readFacts } from './facts.ts'
import type { MachineFacts } from './facts.ts'
import { bootFiles } from './boot-files.ts'
import { merged } from './file-chunks.ts'
import { Incarnation } from './incarnation.ts'
import { writeJournal } from './journal.ts'
import { pushChunksMax } from './limits.ts'
import type { ResumedHead } from './resumed-head.ts'
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
  const { epoch: summary, state, facts: stored, manifest } = await engine.machineState({ epoch: target })
  const address = `${summary.image}@${summary.number}`
  const facts = readFacts(stored, address)
  const plan = await planAgain(driver, facts, guestName(as ?? summary.image), address)
  return { summary, address, facts, state, manifest, plan }
}

export interface ResumeAs {
  readonly image: string
  /** What an earlier incarnation touched first. */
  readonly touchedBefore: readonly FileChunks[]
  readonly head: ResumedHead
}

/**
 * The machine runs on return. Errors: as Incarnation.open and ResumedHead.make, and MACHINE, MACHINE_TIMEOUT,
 * MACHINE_GONE, ABORTED; no mount and no process is left then.
 */
export async function resumeLife(
  context: MachineContext, epoch: ResumableEpoch, as: ResumeAs, stopwatch: Stopwatch, { signal }: CallOptions,
): Promise<Incarnation> {
  const { env, directory, engine, mounting, pusher } = context
  await stopwatch.part('clear', as.head.clear())
  const heading = stopwatch.part('head', as.head.make())
  const opening = stopwatch.part('mount', Incarnation.open(env, directory, as.image, mounting))
  // It only helps: an epoch whose likely chunks cannot be told is resumed without.
  const paths = epoch.facts.memoryFiles.map(({ path }) => path)
  const boot = pusher.find({ manifest: epoch.manifest, paths: bootFiles(epoch.facts.spec), isToHold: false })
  const likely = engine.recentChunks({ epoch: epoch.address, paths }).catch((): FileChunks[] => [])
  const life = await besides(heading, opening)
  try {
    const machine = await loaded(context, epoch, life, as, { heading, likely, boot: await boot, stopwatch, signal })
    await stopwatch.part('cont', driving(`resuming ${as.image}`, goOn(machine)))
    return life
  } catch (error) {
    await life.close()
    throw error
  }
}
/** The outcome of `step`; should it fail, not before the other has come to its end as well. */
async function besides<T>(other: Promise<unknown>, step: Promise<T>): Promise<T> {
  const ended = other.catch(() => undefined)
  try {
    return await step
  } catch (error) {
    await ended
    throw error
  }
}

interface Feeding {
  heading: Promise<void>
  likely: Promise<FileChunks[]>
  /** Copies of files that the hypervisor reads whole, by path. */
  boot: ReadonlyMap<string, string>
  stopwatch: Stopwatch
  signal?: AbortSignal
}

/**
 * The hypervisor starts while the head is made, served and pushed into the page cache; then its state is loaded:
 * nothing may be pushed into a guest's memory once it is in use.
 */
async function loaded(
  context: MachineContext, epoch: ResumableEpoch, life: Incarnation, as: ResumeAs, feeding: Feeding,
): Promise<Machine> {
  const { heading, stopwatch, signal } = feeding
  // A hypervisor that waits for a head which will not come is not waited for.
  const vain = new AbortController()
  const serving = heading.then(() => stopwatch.part('serve', life.serve()))
  serving.catch(() => vain.abort())
  const either = AbortSignal.any(signal === undefined ? [vain.signal] : [vain.signal, signal])
  const starting = stopwatch.part('prepare', prepare(context, epoch, life, as, feeding.boot, either))
  const pushing = serving.then(() => stopwatch.part('push', push(context, epoch, life, as, feeding, starting)))
  const [served, preparing] = await Promise.allSettled([serving, starting, pushing])
  await using prepared = preparing.status === 'fulfilled' ? preparing.value : null
  if (served.status === 'rejected') throw served.reason
  if (prepared === null) throw (preparing as PromiseRejectedResult).reason
  writeJournal(context.env, life.runDirectory, { image: as.image, handle: prepared.handle() })
  const loading = prepared.load(epoch.state, { timeoutMs: context.limits.loadTimeoutMs, signal })
  const machine = await stopwatch.part('load', driving(`loading the device state of ${epoch.address}`, loading))
  life.take(machine)
  if (as.head.isFork) await unplug(context, life)
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
  { driver, limits }: MachineContext, epoch: ResumableEpoch, life: Incarnation, as: ResumeAs,
  boot: ReadonlyMap<string, string>, signal: AbortSignal,
): Promise<Prepared> {
  const plain = { ...life.binding, bootFiles: Object.fromEntries(boot) }
  const binding = as.head.isFork ? { ...plain, attachment: forkAttachment(epoch.facts.spec) } : plain
  const preparing = driver.prepare(epoch.plan, binding, { timeoutMs: limits.startTimeoutMs, signal })
  return driving(`preparing ${as.image}`, preparing)
}

async function push(
  { pusher }: MachineContext, epoch: ResumableEpoch, life: Incarnation, { touchedBefore }: ResumeAs,
  { likely, boot }: Feeding, enough: Promise<unknown>,
): Promise<void> {
  const { descriptor, directory } = life.mount
  assert(descriptor !== null, 'machines are mounted by the kernel transport')
  const whole = bootFiles(epoch.facts.spec).filter((path) => !boot.has(path))
  const files = merged(touchedBefore, await likely, pushChunksMax)
  const { failure } = await pusher.push({ descriptor, root: directory, manifest: epoch.manifest, whole, files }, enough)
  if (failure !== null) life.notices.push(`no pages were pushed ahead, the guest waits for what it reads: ${failure}`)
}

async function goOn(machine: Machine): Promise<void> {
  await machine.resume(await machine.quiesce())
}
