/**
 * A machine's epoch that is on its way here from a replica, and is resumed as it comes: the hypervisor starts with the
 * first files, beside the fetching of the rest and the change of owners. The guest runs when its image is here, that is
 * when this store owns it.
 */
import { HoldfastError } from '../errors.ts'
import type { FileChunks } from '../image/machine-state.ts'
import { type RecordParcel, nodesOf } from '../image/remote/messages.ts'
import type { EpochSummary } from '../image/types.ts'
import { bootFiles } from './boot-files.ts'
import type { MachineContext } from './context.ts'
import { planAgain, readFacts } from './facts.ts'
import type { FirstReads, ResumableEpoch, StoredMachine } from './resume.ts'
import type { ResumedHead } from './resumed-head.ts'
import { guestName } from './specification.ts'

export interface ArrivingEpoch {
  /** What the image will be called here, and the number of its epoch. */
  readonly image: string
  readonly number: number
  /** Beside its original, which goes on. */
  readonly isFork: boolean
  /** Hex. */
  readonly manifest: string
  /** As its record has them. */
  readonly facts: unknown
  /** Records that are needed first, as they come (null for what did not), and the working set. Rejects nobody. */
  readonly first: Promise<{ parcels: readonly Promise<RecordParcel | null>[]; workingSet: readonly FileChunks[] }>
  /** The epoch as it is here; another than the one that was announced, should its owner have made one meanwhile. */
  readonly installed: Promise<EpochSummary>
}

/** The epoch that came is not the one that was announced. */
export class Superseded extends Error {}

/** Errors: MISMATCH, UNSUPPORTED, DAMAGED, NEWER_VERSION. */
export async function arrivingEpoch(context: MachineContext, arriving: ArrivingEpoch): Promise<ResumableEpoch> {
  const { image, number, manifest } = arriving
  const address = `${image}@${number}`
  const facts = readFacts(arriving.facts, address)
  const plan = await planAgain(context.driver, facts, guestName(image), address)
  let stored: Promise<StoredMachine> | null = null
  return { address, facts, manifest, plan, stored: () => (stored ??= storedMachine(context, address)) }
}

async function storedMachine({ engine }: MachineContext, address: string): Promise<StoredMachine> {
  const { epoch: summary, state } = await engine.machineState({ epoch: address })
  return { summary, state }
}

/** They come from the pushing thread, which is given what arrives. */
export function arrivingReads(
  { pusher }: MachineContext, { manifest, facts: { spec } }: ResumableEpoch, { first }: ArrivingEpoch,
): FirstReads {
  const admitted = first.then(({ parcels }) => parcels.map(async (parcel) => {
    const given = await parcel
    if (given !== null) pusher.admit(given)
    return given
  }))
  // The nodes come first, then what the hypervisor starts with.
  const nodes = admitted.then(async ([parcel]) => await parcel ?? null)
  const begun = admitted.then((parcels) => Promise.all(parcels.slice(0, 2)))
  const all = admitted.then((parcels) => Promise.all(parcels))
  const paths = bootFiles(spec)
  const boot = nodes.then(() => pusher.find({ manifest, paths, want: 'reserved' }))
  const made = Promise.all([boot, begun]).then(() => pusher.find({ manifest, paths, want: 'made' }))
  const bootMade = Promise.all([boot, made]).then(([reserved, held]) => requireHeld(reserved, held))
  // Whoever starts a hypervisor is told.
  bootMade.catch(() => undefined)
  return {
    boot, bootMade,
    likely: Promise.all([first, all]).then(([{ workingSet }]) => workingSet),
    nodes: nodes.then((given) => given === null ? [] : [nodesOf(given)]),
  }
}

/** Errors: MACHINE. */
function requireHeld(reserved: ReadonlyMap<string, string>, held: ReadonlyMap<string, string>): void {
  for (const [path, place] of reserved) {
    if (held.get(path) === place) continue
    throw new HoldfastError('MACHINE', `${path}, which the hypervisor starts with, could not be read: try again`)
  }
}

/** Made by whoever brings it. */
export class ArrivingHead implements ResumedHead {
  readonly isFork: boolean
  readonly sealed = null
  readonly #arriving: ArrivingEpoch

  constructor(arriving: ArrivingEpoch) {
    this.isFork = arriving.isFork
    this.#arriving = arriving
  }

  async clear(): Promise<void> {}

  async make(): Promise<void> {
    const { image, number, installed } = this.#arriving
    const epoch = await installed
    if (epoch.number === number) return
    throw new Superseded(`${image}@${epoch.number} came instead of ${image}@${number}`)
  }

  /** The image is here, whatever becomes of the machine. */
  async undo(): Promise<void> {}
}

/** What is said when the image came and its machine does not run. */
export function notResumed(address: string, error: unknown): unknown {
  if (!(error instanceof HoldfastError)) return error
  const message = `${address} is restored, and its machine does not run: ${error.message}`
  return new HoldfastError(error.code, message, { cause: error, info: error.info })
}
