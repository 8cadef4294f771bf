/** What the machines of a store are opened with, and what is made of it. */
import { join } from 'node:path'
import { linuxHost, QemuDriver } from '../../drivers/index.ts'
import type { Driver } from '../../drivers/index.ts'
import type { Secret } from '../crypto/secret.ts'
import type { Env } from '../env/env.ts'
import { systemEnv } from '../env/system.ts'
import type { Engine } from '../image/engine.ts'
import type { FetcherPort } from '../image/remote/messages.ts'
import type { MachineContext, MachineNotice, ReplicasOf } from './context.ts'
import type { Mounting, ReopenMount } from './incarnation.ts'
import { machineLimits } from './limits.ts'
import type { MachineLimits } from './limits.ts'
import { PageCachePusher } from './push.ts'
import { spawnHere } from './spawner.ts'
import type { Spawn } from './spawner.ts'

export interface MachinesOptions {
  engine: Engine
  /** Exists, of mode 0700, for this object alone. */
  directory: string
  /** Where what a probe of the hypervisor found is kept; in `directory` unless another place is named. */
  factsPath?: string
  mounting: Mounting
  /** Opens an encrypted store, for the thread that pushes pages. */
  secret?: Secret
  /** A connection to what reads from replicas, for the thread that pushes pages; undefined where nothing does. */
  connect?: () => FetcherPort | undefined
  /** Mounts that outlived the process that served them, for `adopt`. */
  reopenMount?: ReopenMount
  /** Schedules are stretched while replicas lag; without it nothing lags. */
  replicasOf?: ReplicasOf
  onEvent?: (event: MachineNotice) => void
  driver?: Driver
  /** Who starts hypervisors; this process unless another is named. */
  spawn?: Spawn
  limits?: Partial<MachineLimits>
  env?: Env
}

export function machineContext(options: MachinesOptions): MachineContext {
  const { engine, directory, mounting, env = systemEnv() } = options
  const { reopenMount = () => null, onEvent = () => undefined, spawn = spawnHere } = options
  const { replicasOf = () => ({ have: 0, of: 0 }) } = options
  const { factsPath = join(directory, 'facts.json') } = options
  const limits = Object.freeze({ ...machineLimits, ...options.limits })
  const host = { ...linuxHost, spawn }
  const driver = options.driver ?? new QemuDriver({ cachePath: factsPath, host })
  const pusher = new PageCachePusher(engine.directory, options.secret, options.connect)
  return { env, engine, driver, directory, mounting, reopenMount, replicasOf, onEvent, pusher, limits }
}
