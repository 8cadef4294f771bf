/**
 * The facts of a machine that an epoch holds beside its device state: all that a resume needs besides the
 * epoch's files and a hypervisor. JSON; `version` grows when a reader of before would go wrong.
 */
import { mismatch } from '../../drivers/index.ts'
import type { Binding, Driver, Fingerprint, Handle, MachineSpec, Plan } from '../../drivers/index.ts'
import { HoldfastError } from '../errors.ts'
import type { FileChunks } from '../image/machine-state.ts'
import { driving } from './driver-errors.ts'
import { modelsOf, pinned, refuse } from './specification.ts'

const factsVersion = 1

export interface MachineFacts {
  readonly version: number
  readonly driver: string
  /** With nothing left to choose: accelerator, model and type are those that ran. */
  readonly spec: MachineSpec
  readonly fingerprint: Fingerprint
  readonly memoryFiles: readonly { readonly path: string; readonly bytes: number }[]
  /** Paths in the image. */
  readonly disks: readonly string[]
  readonly wallClockMs: number
  /** Whether the guest has a device that tells it of a copy. */
  readonly generationId: boolean
  /** What of the memory the hypervisor reads when it loads device state, as far as it is known. */
  readonly deviceChunks?: readonly FileChunks[]
}

export function factsOf(
  { plan, binding }: Handle, wallClockMs: number, deviceChunks: readonly FileChunks[],
): MachineFacts {
  const spec = withCable(pinned(plan), binding)
  return {
    version: factsVersion,
    driver: plan.driver,
    spec,
    fingerprint: plan.fingerprint,
    memoryFiles: [{ path: spec.memoryFile, bytes: spec.memoryBytes }],
    disks: spec.disks.map(({ path }) => path),
    wallClockMs,
    generationId: plan.fingerprint.devices.includes('vmgenid'),
    deviceChunks,
  }
}

/** The cable as it is plugged now: what a fork's epochs bring back is unplugged, as the fork is. */
function withCable(spec: MachineSpec, { attachment }: Binding): MachineSpec {
  if (spec.network === null || attachment === undefined) return spec
  return { ...spec, network: { ...spec.network, attachment } }
}

/** Errors: DAMAGED, NEWER_VERSION. */
export function readFacts(value: unknown, epoch: string): MachineFacts {
  if (typeof value !== 'object' || value === null || !('version' in value) || typeof value.version !== 'number') {
    throw new HoldfastError('DAMAGED', `the machine of ${epoch} has no readable facts: choose another epoch`)
  }
  if (value.version > factsVersion) {
    const newer = `the machine of ${epoch} was saved by a newer Holdfast`
    throw new HoldfastError('NEWER_VERSION', `${newer}: resume it with that`)
  }
  const facts = value as Partial<MachineFacts>
  if (facts.spec === undefined || facts.fingerprint === undefined || !Array.isArray(facts.memoryFiles)) {
    throw new HoldfastError('DAMAGED', `the machine of ${epoch} has incomplete facts: choose another epoch`)
  }
  return value as MachineFacts
}

/**
 * Plans the saved machine anew on this host; a plan is never taken from an epoch. Errors: MISMATCH with all
 * that differs, UNSUPPORTED.
 */
export async function planAgain(driver: Driver, facts: MachineFacts, name: string, epoch: string): Promise<Plan> {
  const known = await driving(`probing for ${epoch}`, driver.probe({ cpuModels: modelsOf(facts.spec.cpuModel) }))
  const plan = driver.plan({ ...facts.spec, name }, known)
  const sentences = mismatch(facts.fingerprint, plan.fingerprint)
  if (sentences.length > 0) {
    const info = { reasons: sentences }
    throw new HoldfastError('MISMATCH', `${epoch} cannot be resumed here. ${sentences.join(' ')}`, { info })
  }
  refuse(plan)
  return plan
}
