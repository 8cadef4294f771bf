/** From what was asked for to what the driver plans. */
import { posix } from 'node:path'
import { machineSpec } from '../../drivers/index.ts'
import type { DiskSpec, HostForward, MachineSpec, Plan } from '../../drivers/index.ts'
import type { Env } from '../env/env.ts'
import { HoldfastError } from '../errors.ts'
import { unsharedBytesMax } from './limits.ts'
import type { ListedFile } from './flush-messages.ts'
import type { StartRequest } from './types.ts'

/** Our own files in an image's root; a machine brings what it needs to be started again. */
export const machineFiles = Object.freeze({
  memory: 'machine.memory',
  kernel: 'machine.kernel',
  initrd: 'machine.initrd',
  firmware: 'machine.firmware',
})

const ownNames = new Set<string>(Object.values(machineFiles))

/** Paths of the disks in the image, without their leading slash. Errors: USAGE. */
export function chooseDisks(request: StartRequest, root: readonly ListedFile[]): string[] {
  if (request.disks.length > 0) return request.disks.map((path) => posix.normalize(path).replace(/^\/+/, ''))
  const files = root.filter(({ kind }) => kind === 'file').map(({ path }) => posix.basename(path))
  const disks = files.filter((name) => !ownNames.has(name))
  if (disks.length === 1) return disks
  const found = disks.length === 0 ? 'no file' : `${disks.length} files (${disks.sort().slice(0, 5).join(', ')})`
  throw new HoldfastError('USAGE', `${request.image} has ${found} in its root: name its disks with --disk /PATH`)
}

export function specificationOf(env: Env, request: StartRequest, disks: readonly string[]): MachineSpec {
  const attachment = { kind: 'user' as const, hostForward: request.hostForwards.map(parseForward) }
  return machineSpec({
    name: guestName(request.image),
    memoryBytes: request.memoryBytes,
    memoryFile: machineFiles.memory,
    cpus: request.cpus,
    accelerator: request.accelerator,
    machineType: request.machineType,
    cpuModel: request.cpuModel ?? null,
    disks: disks.map(diskOf),
    kernel: request.kernel === undefined ? null : {
      image: machineFiles.kernel,
      initrd: request.initrd === undefined ? null : machineFiles.initrd,
      append: request.append ?? '',
    },
    firmware: request.firmware === undefined ? null : machineFiles.firmware,
    network: request.network === 'none' ? null : { mac: newMac(env), attachment },
    guestAgent: true,
    extraArguments: request.extraArguments,
  })
}

/** The hypervisor's own word for the machine; images have more letters than it takes. */
export function guestName(image: string): string {
  return image.replaceAll(/[^\w.@-]/g, '-').slice(0, 100)
}

/** What was left to choose at the first start is not chosen again: the spec of every later plan. */
export function pinned(plan: Plan): MachineSpec {
  const { spec, accelerator, cpuModel, machineType } = plan
  return { ...spec, accelerator, cpuModel, machineType }
}

/** Errors: UNSUPPORTED, with every refusal's sentence. */
export function refuse(plan: Plan): void {
  const reasons = [...plan.refusals.map(({ reason }) => reason), ...foreignMemory(plan)]
  if (reasons.length > 0) throw new HoldfastError('UNSUPPORTED', reasons.join(' '), { info: { reasons } })
}

/** Models to expand besides the accelerators' best, for `Driver.probe`. */
export function modelsOf(cpuModel: string | null | undefined): string[] {
  return cpuModel === null || cpuModel === undefined ? [] : [cpuModel]
}

/** Guest memory that no epoch would hold: a state without it looks complete and is not. */
function foreignMemory({ memory }: Plan): string[] {
  const sentences = memory.regions
    .filter(({ shared, file }) => shared && file !== machineFiles.memory)
    .map(({ id, file }) => `The memory ${id} lies in ${file ?? 'no file'}, which no epoch holds: leave it out.`)
  const unsharedBytes = memory.regions.reduce((sum, { shared, size }) => sum + (shared ? 0 : size), 0)
  if (unsharedBytes > unsharedBytesMax) {
    sentences.push(`${unsharedBytes} bytes of memory are not shared, and would be saved while the guest stands ` +
      `still: at most ${unsharedBytesMax} are taken.`)
  }
  return sentences
}

function diskOf(path: string, index: number): DiskSpec {
  return { path, format: 'raw', interface: 'virtio', readOnly: false, serial: `holdfast${index}` }
}

/** Errors: USAGE. */
function parseForward(text: string): HostForward {
  const match = /^(tcp|udp):([^:]*):(\d{1,5})-[^:]*:(\d{1,5})$/.exec(text)
  const [hostPort, guestPort] = [Number(match?.[3]), Number(match?.[4])]
  if (match === null || !isPort(hostPort) || !isPort(guestPort)) {
    const form = 'write PROTOCOL:ADDRESS:PORT-:PORT, as in tcp:127.0.0.1:2222-:22'
    throw new HoldfastError('USAGE', `"${text}" is no forward: ${form}`)
  }
  return { protocol: match[1] === 'udp' ? 'udp' : 'tcp', hostAddress: match[2], hostPort, guestPort }
}

function isPort(port: number): boolean {
  return port >= 1 && port <= 65_535
}

/** In QEMU's own range of locally administered addresses. */
function newMac(env: Env): string {
  const bytes = [0x52, 0x54, 0x00, ...env.randomBytes(3)]
  return bytes.map((byte) => byte.toString(16).padStart(2, '0')).join(':')
}
