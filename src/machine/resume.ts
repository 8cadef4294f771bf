/**
 * A machine from an epoch, in two steps: `findEpoch` checks that this host can do it before anything is
 * touched; `resumeLife` does at once all that need not wait for one another. The hypervisor starts beside the mount and
 * waits at its gate until that is there, then in the kernel for its first file, while the head is made, is served, and
 * the chunks that the guest will want first are pushed.
 */
import type { Attachment, Machine, MachineSpec, Plan, Prepared, ResumeInfo } from '../../drivers/index.ts'
import { assert, messageOf } from '../errors.ts'
import type { FileChunks } from '../image/machine-state.ts'
import type { RecordParcel } from '../image/remote/messages.ts'
import type { CallOptions, EpochSummary } from '../image/types.ts'
import type { MachineContext } from './context.ts'
import { withDevices } from './device-chunks.ts'
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

/** What the store has of a machine's epoch. */
export interface StoredMachine {
  readonly summary: EpochSummary
  /** Of the devices. */
  readonly state: Uint8Array
}

/** What a resume reads first, as far as it is known; all of it only helps, and rejects nobody save `bootMade`. */
export interface FirstReads {
  /** Copies of files that the hypervisor reads whole, by path. */
  readonly boot: Promise<ReadonlyMap<string, string>>
  /** Where the copies are still to be made: when they are. Rejects where they cannot be. */
  readonly bootMade?: Promise<void>
  readonly likely: Promise<readonly FileChunks[]>
  /** Records of manifest nodes that the mount will want and the store may not have yet. */
  readonly nodes: Promise<readonly RecordParcel[]>
}

export interface ResumableEpoch {
  /** `IMAGE@N`. */
  readonly address: string
  readonly facts: MachineFacts
  readonly manifest: string
  readonly plan: Plan
  /** To be asked for once the head is made: an epoch may still be on its way into the store before. */
  stored(): Promise<StoredMachine>
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
  return { address, facts, manifest, plan, stored: async () => ({ summary, state }) }
}

/** Of an epoch that is in the store. */
export function firstReads({ engine, pusher }: MachineContext, epoch: ResumableEpoch): FirstReads {
  const { address, manifest, facts: { memoryFiles, spec } } = epoch
  const paths = memoryFiles.map(({ path }) => path)
  return {
    boot: pusher.find({ manifest, paths: bootFiles(spec), want: 'held' }),
    // An epoch whose likely chunks cannot be told is resumed without.
    likely: engine.recentChunks({ epoch: address, paths }).catch((): FileChunks[] => [])
      .then((recent) => withDevices(epoch.facts, recent)),
    nodes: Promise.resolve([]),
  }
}

export interface ResumeAs {
  readonly image: string
  /** What an earlier incarnation touched first. */
  readonly touchedBefore: readonly FileChunks[]
  readonly head: ResumedHead
  readonly first: FirstReads
}

export interface ResumedLife {
  readonly life: Incarnation
  /** The guest has run for so long; what was left to tidy up was done beside it. */
  readonly ranForMs: number
}

/**
 * The machine runs on return. Errors: as Incarnation.open and ResumedHead.make, and MACHINE, MACHINE_TIMEOUT,
 * MACHINE_GONE, ABORTED; no mount and no process is left then.
 */
export async function resumeLife(
  context: MachineContext, epoch: ResumableEpoch, as: ResumeAs, stopwatch: Stopwatch, { signal }: CallOptions,
): Promise<ResumedLife> {
  const { env, directory, mounting } = context
  await stopwatch.part('clear', as.head.clear())
  const heading = stopwatch.part('head', as.head.make())
  const life = await besides(heading, (async () => Incarnation.begin(env, directory, as.image, mounting))())
  try {
    const machine = await loaded(context, epoch, life, as, { heading, stopwatch, signal })
    const { contMs, settleMs } = await driving(`resuming ${as.image}`, goOn(machine))
    stopwatch.parts['cont'] = contMs
    return { life, ranForMs: settleMs }
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
  const mounting = besides(heading, stopwatch.part('mount', life.mounted))
  const serving = mounting.then(() => heading).then(() => stopwatch.part('serve', life.serve())).then(async () => {
    for (const parcel of await as.first.nodes) life.mount.admit(parcel)
  })
  serving.catch(() => vain.abort())
  const either = AbortSignal.any(signal === undefined ? [vain.signal] : [vain.signal, signal])
  const starting = as.first.boot.then((boot) => {
    return stopwatch.part('prepare', prepare(context, epoch, life, as, boot, either))
  })
  const pushing = serving.then(() => stopwatch.part('push', push(context, epoch, life, as, starting)))
  const storing = serving.then(() => epoch.stored())
  const [served, preparing, , stored] = await Promise.allSettled([serving, starting, pushing, storing])
  await using prepared = preparing.status === 'fulfilled' ? preparing.value : null
  if (served.status === 'rejected') throw served.reason
  if (prepared === null) throw (preparing as PromiseRejectedResult).reason
  if (stored.status === 'rejected') throw stored.reason
  writeJournal(context.env, life.runDirectory, { image: as.image, handle: prepared.handle() })
  const loading = prepared.load(stored.value.state, { timeoutMs: context.limits.loadTimeoutMs, signal })
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
  const after = Promise.all([life.mounted, as.first.bootMade])
  after.catch(() => undefined)
  const limit = { timeoutMs: limits.startTimeoutMs, signal, after }
  const preparing = driver.prepare(epoch.plan, binding, limit)
  return driving(`preparing ${as.image}`, preparing)
}

async function push(
  { pusher }: MachineContext, epoch: ResumableEpoch, life: Incarnation, { touchedBefore, first }: ResumeAs,
  enough: Promise<unknown>,
): Promise<void> {
  const { descriptor } = life.mount
  assert(descriptor !== null, 'machines are mounted by the kernel transport')
  const [boot, likely] = await Promise.all([first.boot, first.likely])
  const whole = bootFiles(epoch.facts.spec).filter((path) => !boot.has(path))
  const files = merged(touchedBefore, likely, pushChunksMax)
  // The kernel takes pages only for an inode that it knows.
  const known = life.mount.lookUpFiles([...new Set([...whole, ...files.map(({ path }) => path)])])
  const failed = await known.then(() => null, messageOf)
  const { failure } = failed === null
    ? await pusher.push({ descriptor, manifest: epoch.manifest, whole, files }, enough) : { failure: failed }
  if (failure !== null) life.notices.push(`no pages were pushed ahead, the guest waits for what it reads: ${failure}`)
}

async function goOn(machine: Machine): Promise<ResumeInfo['timings']> {
  return (await machine.resume(await machine.quiesce())).timings
}
