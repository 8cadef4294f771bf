/** The devices of a machine: their arguments for the command line, and their names for the fingerprint. */
import { isAbsolute, resolve } from 'node:path'
import type { Binding, Plan } from '../driver.ts'
import type { Attachment, DiskSpec, MachineFile, MachineSpec } from '../spec.ts'
import type { JsonObject } from './json.ts'
import { runFiles } from './rundir.ts'

/**
 * The network cable, which is a hub so that it can be plugged again while the guest runs:
 * card - `h0` - hub 0 - `h1` - `s0` - the attachment.
 */
export const cable = Object.freeze({ card: 'net0', cardPort: 'h0', farPort: 'h1', far: 's0', hub: 0 })

export const generationDevice = 'vmgenid0'

/** One string per device in the order QEMU makes them, without paths, addresses of this host or ids that change. */
export function deviceNames(spec: MachineSpec, machineType: string): string[] {
  const suffix = busSuffix(machineType)
  const serialBus = spec.guestAgent ? [`virtio-serial-${suffix} guest agent`] : []
  return [
    'serial',
    ...spec.disks.map((disk) => `virtio-blk-${suffix} ${disk.serial}${disk.readOnly ? ' read-only' : ''}`),
    ...(spec.network === null ? [] : [`virtio-net-${suffix} ${spec.network.mac.toLowerCase()}`]),
    ...(hasGenerationId(spec, machineType) ? ['vmgenid'] : []),
    ...serialBus,
    ...(spec.extraArguments.length === 0 ? [] : [`extra ${JSON.stringify(spec.extraArguments)}`]),
  ]
}

/** The generation id is an ACPI table that microvm guests do not get. */
export function hasGenerationId(spec: MachineSpec, machineType: string): boolean {
  return spec.generationId && machineType !== 'microvm'
}

/** Where the cable goes in this incarnation. */
export function attachmentOf({ spec }: Pick<Plan, 'spec'>, binding: Binding): Attachment | null {
  return binding.attachment === undefined ? (spec.network?.attachment ?? null) : binding.attachment
}

export function resolveFile(file: MachineFile, binding: Pick<Binding, 'root'>): string {
  return isAbsolute(file) ? file : resolve(binding.root, file)
}

export function resolveBootFile(file: MachineFile, binding: Binding): string {
  return binding.bootFiles?.[file] ?? resolveFile(file, binding)
}

/** `-blockdev` and `-device` for each disk. JSON, so that no path needs quoting. */
export function diskArguments(spec: MachineSpec, machineType: string, binding: Binding): string[] {
  return spec.disks.flatMap((disk, index) => [
    '-blockdev',
    JSON.stringify(diskNode(disk, index, binding)),
    '-device',
    JSON.stringify({
      driver: `virtio-blk-${busSuffix(machineType)}`,
      id: `disk${index}`,
      drive: `file${index}`,
      serial: disk.serial,
      ...(isFirmwareBoot(spec) && { bootindex: index }),
    }),
  ])
}

function isFirmwareBoot(spec: MachineSpec): boolean {
  return spec.kernel === null && spec.firmware === null
}

function diskNode(disk: DiskSpec, index: number, binding: Binding): JsonObject {
  return {
    'node-name': `file${index}`,
    driver: 'raw',
    'read-only': disk.readOnly,
    discard: 'unmap',
    file: { driver: 'file', filename: resolveFile(disk.path, binding), discard: 'unmap', 'read-only': disk.readOnly },
  }
}

export function networkArguments(spec: MachineSpec, machineType: string, attachment: Attachment | null): string[] {
  if (spec.network === null) return []
  const ends = attachment === null ? [] : [attachmentNode(attachment), farPortNode()]
  const nodes: JsonObject[] = [...ends, { type: 'hubport', id: cable.cardPort, hubid: cable.hub }]
  const suffix = busSuffix(machineType)
  const card: JsonObject = {
    driver: `virtio-net-${suffix}`,
    id: cable.card,
    netdev: cable.cardPort,
    mac: spec.network.mac,
  }
  // Boot firmware for the card would be one more piece of state, and one more package that a host must have.
  if (suffix === 'pci') card['romfile'] = ''
  return [...nodes.flatMap((node) => ['-netdev', JSON.stringify(node)]), '-device', JSON.stringify(card)]
}

/** The properties of the far end of the cable, as `netdev_add` and `-netdev` take them. */
export function attachmentNode(attachment: Attachment): JsonObject {
  // As a server QEMU 7.2 blocks its main loop when the peer does not read: it is only ever the client.
  if (attachment.kind === 'stream')
    return { type: 'stream', id: cable.far, server: false, addr: { type: 'unix', path: attachment.path } }
  const forwards = attachment.hostForward.map(({ protocol, hostAddress, hostPort, guestPort }) => ({
    str: `${protocol}:${hostAddress}:${hostPort}-:${guestPort}`,
  }))
  return { type: 'user', id: cable.far, hostfwd: forwards }
}

export function farPortNode(): JsonObject {
  return { type: 'hubport', id: cable.farPort, hubid: cable.hub, netdev: cable.far }
}

export function generationArguments(spec: MachineSpec, machineType: string, binding: Binding): string[] {
  if (!hasGenerationId(spec, machineType)) return []
  return [
    '-device',
    JSON.stringify({ driver: 'vmgenid', id: generationDevice, guid: binding.generationId ?? 'auto' }),
  ]
}

export function agentArguments(spec: MachineSpec, machineType: string): string[] {
  if (!spec.guestAgent) return []
  return [
    '-chardev',
    `socket,id=agent,path=${runFiles.agentSocket},server=on,wait=off`,
    '-device',
    JSON.stringify({ driver: `virtio-serial-${busSuffix(machineType)}`, id: 'serial0' }),
    '-device',
    JSON.stringify({ driver: 'virtserialport', bus: 'serial0.0', chardev: 'agent', name: 'org.qemu.guest_agent.0' }),
  ]
}

function busSuffix(machineType: string): string {
  return machineType === 'microvm' ? 'device' : 'pci'
}
