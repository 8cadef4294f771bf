/**
 * Starts hypervisors for the serving process: a fork copies page tables, which takes a process of the
 * supervisor's size a millisecond and the serving one twenty, during which it does nothing else.
 */
import type { Socket } from 'node:net'
import { HoldfastError } from '../../errors.ts'
import { driving } from '../../machine/driver-errors.ts'
import { spawnHere } from '../../machine/spawner.ts'
import type { ProcessIdentity, SpawnRequest } from '../../machine/spawner.ts'
import type { Child } from './child.ts'

/**
 * The process's sockets are on their way to `child` when this resolves, its end is told when it comes. One whose
 * asker died meanwhile is ended: nobody would know of it.
 */
export async function spawnFor(child: Child, id: number, request: SpawnRequest): Promise<ProcessIdentity> {
  const spawned = await driving('starting a hypervisor', spawnHere(request))
  const channels = spawned.channels as readonly Socket[]
  // What was read here would be missing there.
  const isUntouched = channels.every(({ bytesRead }) => bytesRead === 0)
  if (!child.isConnected || !isUntouched) {
    spawned.kill('SIGKILL')
    throw new HoldfastError('DAEMON', `${request.binary} could not be handed over: try again`)
  }
  for (const channel of channels) child.sendSocket({ type: 'channel', id }, channel)
  void spawned.exited.then((exit) => child.send({ type: 'exited', id, exit }))
  return spawned.identity
}
