/** Every file that a QEMU machine has in its run directory. Names are short: they end up in socket addresses. */
import { join } from 'node:path'

export const runFiles = Object.freeze({
  /** A second control socket, for a daemon that comes after the one that started the machine. */
  adoptSocket: 'qmp.sock',
  consoleSocket: 'console.sock',
  consoleLog: 'console.log',
  agentSocket: 'agent.sock',
  /** Where the device state of a save arrives. */
  saveSocket: 'save.sock',
  /** Where a hypervisor waits that is started before its files are there. */
  gateSocket: 'gate.sock',
  /** What the hypervisor says on standard error. */
  log: 'qemu.log',
  /** There while a pause is ours: it is written before `stop` and removed after `cont`. */
  pauseMark: 'paused',
})

export function runPath(runDirectory: string, file: keyof typeof runFiles): string {
  return join(runDirectory, runFiles[file])
}
