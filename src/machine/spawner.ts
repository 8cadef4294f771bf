/** How hypervisors are started: by this process, or by one so small that a fork of it costs little. */
export { processOf } from '../../drivers/index.ts'
export type { ProcessExit, ProcessIdentity, SpawnedProcess, SpawnRequest } from '../../drivers/index.ts'
import { linuxHost } from '../../drivers/index.ts'
import type { Host } from '../../drivers/index.ts'

export type Spawn = Host['spawn']

export const spawnHere: Spawn = (request) => linuxHost.spawn(request)
