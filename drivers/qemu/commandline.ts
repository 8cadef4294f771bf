/** The arguments of one incarnation of a planned machine. Pure. */
import type { Binding, Plan } from '../driver.ts'
import {
  agentArguments,
  attachmentOf,
  diskArguments,
  generationArguments,
  networkArguments,
  resolveBootFile,
  resolveFile,
} from './devices.ts'
import { gateArguments } from './gate.ts'
import { isMicrovm } from './plan.ts'
import { runFiles } from './rundir.ts'

/** `start` runs at once; `prepare` waits for device state and then for `cont`. */
export type Role = 'start' | 'prepare'

/** Descriptors that the process inherits: connected sockets, so that nothing has to be waited for. */
export const channels = Object.freeze({ qmp: 3, incoming: 4 })
export const channelsCount: Readonly<Record<Role, number>> = Object.freeze({ start: 1, prepare: 2 })

/**
 * Every argument after the binary's name. Socket names are resolved in the run directory, where the process starts.
 * `isGated`: it waits at its gate (`gate.ts`).
 */
export function commandLine(plan: Plan, binding: Binding, role: Role, isGated = false): string[] {
  const { spec, machineType } = plan
  return [
    ...['-name', `${spec.name},debug-threads=on`, '-msg', 'timestamp=on'],
    ...(isGated ? gateArguments() : []),
    ...['-no-user-config', '-nodefaults', '-only-migratable', '-display', 'none'],
    ...[
      '-machine',
      machineValue(plan),
      '-accel',
      plan.accelerator,
      '-cpu',
      plan.cpuModel,
      '-smp',
      `cpus=${spec.cpus}`,
    ],
    ...memoryArguments(plan, binding),
    ...monitorArguments(),
    ...consoleArguments(),
    ...bootArguments(plan, binding),
    ...diskArguments(spec, machineType, binding),
    ...networkArguments(spec, machineType, attachmentOf(plan, binding)),
    ...generationArguments(spec, machineType, binding),
    ...agentArguments(spec, machineType),
    ...spec.extraArguments,
    ...(role === 'prepare' ? ['-S', '-incoming', 'defer'] : []),
  ]
}

function machineValue({ machineType }: Plan): string {
  return isMicrovm(machineType) ? 'microvm,memory-backend=memory' : `${machineType},memory-backend=memory,vmport=off`
}

function memoryArguments({ spec }: Plan, binding: Binding): string[] {
  const backend = {
    'qom-type': 'memory-backend-file',
    id: 'memory',
    size: spec.memoryBytes,
    'mem-path': resolveFile(spec.memoryFile, binding),
    share: true,
    prealloc: false,
  }
  return ['-m', `size=${spec.memoryBytes / 1024}k`, '-object', JSON.stringify(backend)]
}

/** Two control connections: an inherited one, there from the first instant, and one that a later daemon finds. */
function monitorArguments(): string[] {
  return [
    '-chardev',
    `socket,id=qmp,fd=${channels.qmp}`,
    '-mon',
    'chardev=qmp,mode=control',
    '-chardev',
    `socket,id=adopt,path=${runFiles.adoptSocket},server=on,wait=off`,
    '-mon',
    'chardev=adopt,mode=control',
  ]
}

function consoleArguments(): string[] {
  return [
    '-chardev',
    `socket,id=console,path=${runFiles.consoleSocket},server=on,wait=off,logfile=${runFiles.consoleLog},logappend=on`,
    '-serial',
    'chardev:console',
  ]
}

function bootArguments({ spec }: Plan, binding: Binding): string[] {
  const kernel =
    spec.kernel === null
      ? []
      : [
          '-kernel',
          resolveBootFile(spec.kernel.image, binding),
          '-append',
          spec.kernel.append,
          ...(spec.kernel.initrd === null ? [] : ['-initrd', resolveBootFile(spec.kernel.initrd, binding)]),
        ]
  return spec.firmware === null ? kernel : [...kernel, '-bios', resolveBootFile(spec.firmware, binding)]
}
