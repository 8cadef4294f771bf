/**
 * A place early in a hypervisor's start, before it reads any file of its machine, at which it waits for us: a character
 * device that wants a client before the start goes on. It is started while its files are still on their way here.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { handled, within } from '../deadline.ts'
import type { CallLimit } from '../deadline.ts'
import { DriverError, isDriverError } from '../errors.ts'
import type { SocketDirectory, SpawnedProcess } from '../host.ts'
import { limits } from '../limits.ts'
import { runFiles } from './rundir.ts'

const start = 'The start of the hypervisor'

export function gateArguments(): string[] {
  return ['-chardev', `socket,id=gate,path=${runFiles.gateSocket},server=on,wait=on`]
}

/** Lets the hypervisor go on once `after` has come. Errors: as `after`; START_FAILED, TIMEOUT, ABORTED. */
export async function passGate(
  process: SpawnedProcess,
  sockets: SocketDirectory,
  after: Promise<unknown>,
  { timeoutMs = limits.startTimeoutMs, signal }: CallLimit,
): Promise<void> {
  const ended = handled(
    process.exited.then(() => {
      throw new DriverError('START_FAILED', 'The hypervisor ended before it had its files.')
    }),
  )
  await within(Promise.race([after, ended]), null, start, signal)
  const stop = new AbortController()
  try {
    const knocking = handled(knock(sockets, stop.signal))
    await within(Promise.race([knocking, ended]), timeoutMs, start, signal)
  } finally {
    stop.abort()
  }
}

/** Mostly it listens already: its files took longer than its way to the gate. */
async function knock(sockets: SocketDirectory, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      const socket = await sockets.connect(runFiles.gateSocket)
      socket.on('error', () => undefined)
      socket.destroy()
      return
    } catch (error) {
      if (!isDriverError(error, 'DISCONNECTED')) throw error
      await sleep(limits.gatePollMs)
    }
  }
}
