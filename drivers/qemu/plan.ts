/** What will be started, decided without touching anything. */
import type { DriverFacts, MemoryRegion, Plan, Refusal } from '../driver.ts'
import type { Fingerprint } from '../fingerprint.ts'
import { limits } from '../limits.ts'
import type { Accelerator, MachineSpec } from '../spec.ts'
import { deviceNames } from './devices.ts'
import { extraRegions, parseExtra, refuseExtra } from './extra.ts'

const versionOldest = '7.2'
const gibibyte = 1024 ** 3

/** The model that has all that the accelerator can give and still migrate. */
export const bestModels: Readonly<Record<Accelerator, string>> = Object.freeze({ kvm: 'host', tcg: 'max' })

export function plan(spec: MachineSpec, facts: DriverFacts): Plan {
  const accelerator = chooseAccelerator(spec, facts)
  const machineType = facts.machineTypes.find((type) => type.alias === spec.machineType)?.name ?? spec.machineType
  const cpuModel = spec.cpuModel ?? bestModels[accelerator]
  const extra = parseExtra(spec.extraArguments)
  const refusals = [
    ...refuseSpec(spec, facts),
    ...refuseHost(facts, accelerator, machineType, cpuModel),
    ...refuseExtra(extra),
  ]
  return {
    driver: 'qemu',
    spec,
    binaryPath: facts.binary.path,
    machineType,
    accelerator,
    cpuModel,
    fingerprint: fingerprint(spec, facts, accelerator, machineType, cpuModel),
    refusals,
    memory: { regions: [...mainRegions(spec, machineType), ...extraRegions(extra)], capture: 'writeback' },
  }
}

/** Whether later versions of QEMU keep the type as it was: `pc-q35-7.2` they do, `microvm` has no such promise. */
export function isVersioned(machineType: string): boolean {
  return /-\d+\.\d+$/.test(machineType)
}

export function isMicrovm(machineType: string): boolean {
  return machineType === 'microvm'
}

function chooseAccelerator(spec: MachineSpec, facts: DriverFacts): Accelerator {
  if (spec.accelerator !== 'auto') return spec.accelerator
  return facts.accelerators.kvm.proven ? 'kvm' : 'tcg'
}

function fingerprint(
  spec: MachineSpec,
  facts: DriverFacts,
  accelerator: Accelerator,
  machineType: string,
  cpuModel: string,
): Fingerprint {
  return {
    driver: 'qemu',
    binaryVersion: facts.binary.version,
    binaryDigest: facts.binary.digest,
    machineType,
    machineVersioned: isVersioned(machineType),
    accelerator,
    cpuModel,
    cpuProperties: facts.cpuModels[`${accelerator}:${cpuModel}`] ?? [],
    cpus: spec.cpus,
    memoryBytes: spec.memoryBytes,
    devices: deviceNames(spec, machineType),
  }
}

/**
 * Where the machine type puts its memory: up to a limit below 4 GiB, the rest above.
 * Source: pc_q35_init in hw/i386/pc_q35.c and microvm_memory_init in hw/i386/microvm.c of QEMU 7.2.
 */
function mainRegions(spec: MachineSpec, machineType: string): MemoryRegion[] {
  const [limit, low] = isMicrovm(machineType)
    ? [3 * gibibyte, 3 * gibibyte]
    : machineType.includes('q35')
      ? [0xb0000000, 2 * gibibyte]
      : [0xe0000000, 3 * gibibyte]
  const region = (id: string, gpa: number, size: number, offset: number): MemoryRegion => ({
    id,
    gpa,
    size,
    file: spec.memoryFile,
    offset,
    shared: true,
  })
  if (spec.memoryBytes < limit) return [region('low', 0, spec.memoryBytes, 0)]
  const all = [region('low', 0, low, 0), region('high', 4 * gibibyte, spec.memoryBytes - low, low)]
  return all.filter(({ size }) => size > 0)
}

function refuseHost(facts: DriverFacts, accelerator: Accelerator, machineType: string, cpuModel: string): Refusal[] {
  const refusals: Refusal[] = []
  const { version } = facts.binary
  const proof = facts.accelerators[accelerator]
  if (Number.parseFloat(version) < Number.parseFloat(versionOldest))
    refusals.push({ reason: `QEMU ${version} is too old: install ${versionOldest} or newer.` })
  if (!facts.capabilities.includes('x-ignore-shared'))
    refusals.push({
      reason: `QEMU ${version} cannot leave shared memory out of its state (x-ignore-shared): install one that can.`,
    })
  if (!proof.proven)
    refusals.push({
      reason: `The accelerator ${accelerator} runs no guest here (${proof.reason}) Use another accelerator.`,
    })
  if (!facts.machineTypes.some(({ name }) => name === machineType))
    refusals.push({ reason: `QEMU ${version} has no machine type ${machineType}.` })
  if (facts.cpuModels[`${accelerator}:${cpuModel}`] === undefined)
    refusals.push({
      reason:
        `The CPU model ${cpuModel} was not expanded with ${accelerator}: ` +
        `name it in the probe, or use ${bestModels[accelerator]}.`,
    })
  return refusals
}

function refuseSpec(spec: MachineSpec, facts: DriverFacts): Refusal[] {
  const refusals: Refusal[] = []
  const refuse = (wrong: boolean, reason: string): void => {
    if (wrong) refusals.push({ reason })
  }
  refuse(facts.driver !== 'qemu', `These facts are about ${facts.driver}, not QEMU.`)
  refuse(!/^[\w.@-]{1,100}$/.test(spec.name), "A machine's name has 1 to 100 letters, digits, dots, dashes or @.")
  refuse(
    !Number.isSafeInteger(spec.memoryBytes) ||
      spec.memoryBytes < limits.memoryBytesMin ||
      spec.memoryBytes % 4096 !== 0,
    `Memory is a whole number of 4 KiB pages, at least ${limits.memoryBytesMin} bytes.`,
  )
  refuse(
    !Number.isInteger(spec.cpus) || spec.cpus < 1 || spec.cpus > limits.cpusMax,
    `A machine has 1 to ${limits.cpusMax} processors.`,
  )
  refuse(
    spec.disks.some((disk) => !/^[\w-]{1,20}$/.test(disk.serial)),
    "A disk's serial number has 1 to 20 letters, digits, dashes or underscores.",
  )
  refuse(
    new Set(spec.disks.map((disk) => disk.serial)).size !== spec.disks.length,
    'Two disks have the same serial number.',
  )
  refuse(
    spec.disks.some((disk) => disk.format !== 'raw' || disk.interface !== 'virtio'),
    'Disks are raw and attached by virtio.',
  )
  refuse(
    spec.network !== null && !/^[\da-f][02468ace](:[\da-f]{2}){5}$/i.test(spec.network.mac),
    "A card's address is six bytes such as 52:54:00:12:34:56, of no group.",
  )
  refuse(
    spec.cpuModel !== null && !/^[\w.-]+$/.test(spec.cpuModel),
    'A CPU model is a name without features: name a model that has the right ones.',
  )
  refuse(
    [spec.memoryFile, ...spec.disks.map((disk) => disk.path)].some((path) => path === '' || path.includes('\0')),
    'A file name is missing.',
  )
  return refusals
}
