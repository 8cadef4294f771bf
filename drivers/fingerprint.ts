/** What must be the same for device state saved by one hypervisor to be loaded by another. */
import type { Accelerator } from './spec.ts'

export interface Fingerprint {
  readonly driver: string
  readonly binaryVersion: string
  /** SHA-256 of the hypervisor's file, in hexadecimal. */
  readonly binaryDigest: string
  readonly machineType: string
  /** True for a type that later versions of the hypervisor keep as it was; else only the same binary will do. */
  readonly machineVersioned: boolean
  readonly accelerator: Accelerator
  readonly cpuModel: string
  /** The model's properties as this host expands them, sorted. */
  readonly cpuProperties: readonly string[]
  readonly cpus: number
  readonly memoryBytes: number
  /** Every device in order, without paths. */
  readonly devices: readonly string[]
}

const namesListedMax = 12

/**
 * Sentences that say what differs between the machine that was saved and the one at hand, and what to do.
 * Empty: it will load.
 */
export function mismatch(saved: Fingerprint, here: Fingerprint): string[] {
  if (saved.driver !== here.driver)
    return [`The state was saved by ${saved.driver} and this is ${here.driver}: resume it with ${saved.driver}.`]
  return [
    ...binaryMismatch(saved, here),
    ...different('machine type', saved.machineType, here.machineType, 'ask for the first'),
    ...different(
      'accelerator',
      saved.accelerator,
      here.accelerator,
      'state does not move between accelerators, so resume on a host that has the first',
    ),
    ...cpuMismatch(saved, here),
    ...different('number of processors', saved.cpus, here.cpus, 'ask for the first'),
    ...different('memory in bytes', saved.memoryBytes, here.memoryBytes, 'ask for the first'),
    ...deviceMismatch(saved.devices, here.devices),
  ]
}

function different(what: string, saved: string | number, here: string | number, remedy: string): string[] {
  return saved === here ? [] : [`The ${what} was ${saved} and is ${here} here: ${remedy}.`]
}

function binaryMismatch(saved: Fingerprint, here: Fingerprint): string[] {
  if (!saved.machineVersioned) {
    if (saved.binaryDigest === here.binaryDigest) return []
    return [
      `Machine type ${saved.machineType} has no versions, so only the binary that saved it can load it: ` +
        `version ${saved.binaryVersion}, SHA-256 ${saved.binaryDigest}; this one is ${here.binaryVersion}, ` +
        `${here.binaryDigest}. Install that binary, or use q35 for machines that must outlive an upgrade.`,
    ]
  }
  if (compareVersions(here.binaryVersion, saved.binaryVersion) >= 0) return []
  return [
    `The state was saved by version ${saved.binaryVersion} and this is ${here.binaryVersion}, which is older: ` +
      `install ${saved.binaryVersion} or newer.`,
  ]
}

/** Compares dotted numbers; what follows the numbers does not count. */
function compareVersions(a: string, b: string): number {
  const [left, right] = [a, b].map((version) => version.split('.').map((part) => Number.parseInt(part, 10) || 0))
  for (let index = 0; index < Math.max(left.length, right.length); index++) {
    const difference = (left[index] ?? 0) - (right[index] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

function cpuMismatch(saved: Fingerprint, here: Fingerprint): string[] {
  const sentences = different('CPU model', saved.cpuModel, here.cpuModel, 'ask for the first')
  const missing = without(saved.cpuProperties, here.cpuProperties)
  const added = without(here.cpuProperties, saved.cpuProperties)
  if (missing.length > 0)
    sentences.push(
      `The guest was given CPU properties that this host does not have (${listed(missing)}): resume on a host ` +
        'that has them, or start the machine with a plainer CPU model that both have.',
    )
  if (added.length > 0)
    sentences.push(
      `This host would give the guest CPU properties that it did not have (${listed(added)}): ` +
        'name a CPU model without them.',
    )
  return sentences
}

function deviceMismatch(saved: readonly string[], here: readonly string[]): string[] {
  const missing = without(saved, here)
  const added = without(here, saved)
  if (missing.length + added.length > 0) {
    return [
      ...missing.map((device) => `The machine had the device ${device}, which is not planned here: add it.`),
      ...added.map((device) => `The machine did not have the device ${device}, which is planned here: take it away.`),
    ]
  }
  return saved.every((device, index) => device === here[index]) && saved.length === here.length
    ? []
    : ['The machine has the same devices in another order or number: give them as they were.']
}

function without(list: readonly string[], excluded: readonly string[]): string[] {
  const set = new Set(excluded)
  return list.filter((item) => !set.has(item))
}

function listed(names: readonly string[]): string {
  const rest = names.length - namesListedMax
  return names.slice(0, namesListedMax).join(', ') + (rest > 0 ? ` and ${rest} more` : '')
}
