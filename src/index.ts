/**
 * The library. A store is opened in this process (`openStore`) or reached through its daemon (`connect`);
 * both give the same object.
 *
 *   await using store = await openStore('/var/lib/holdfast', { create: true })
 *   const image = await store.createImage('web', { base: ['disk.raw'] })
 *   const { epoch } = await image.seal({ note: 'first' })
 */
import { resolve } from 'node:path'
import { localAccess, openInProcess } from './daemon/access.ts'
import { ControlClient } from './daemon/client.ts'
import { AsideCaller } from './daemon/aside-caller.ts'
import { DaemonCaller } from './daemon/daemon-caller.ts'
import { startDaemon } from './daemon/launch.ts'
import type { ReplicaImageSummary } from './daemon/replica-images.ts'
import { Store } from './daemon/store.ts'
import type { SecretSource } from './daemon/secrets.ts'
import { systemEnv } from './env/system.ts'
import { HoldfastError } from './errors.ts'
import type { CallOptions } from './image/types.ts'

export type {
  CheckpointResult, MachineSummary, MountSummary, ReplicaSummary, RestoreResult, ResumeResult, SealResult,
} from './daemon/host.ts'
export { Image, type MachineOptions } from './daemon/image.ts'
export type { ReplicaImageSummary } from './daemon/replica-images.ts'
export { Store, type CheckOptions, type GcOptions, type NewSecret, type RestoreOptions } from './daemon/store.ts'
export { version } from './daemon/version.ts'
export { AssertionFailure, HoldfastError, type ErrorCode } from './errors.ts'
export type {
  AffectedFile, CallOptions, CheckFault, CheckReport, DiffEntry, EpochDetail, EpochLevel, EpochSummary, ImageSummary,
  KeyReport, Progress, StoreStats,
} from './image/types.ts'
export type { GarbageReport, GarbageRequest, RemovedEpoch } from './image/collection/types.ts'
export type { ReplicaStatus } from './replica/replicator.ts'
export type { TransportName } from './mount/transport.ts'

/** What opens an encrypted store: one of them. A daemon that runs already needs none. */
export interface StoreSecret {
  passphrase?: string
  /** A path. */
  keyFile?: string
}

/**
 * Opens a store in this process and holds its lock until it is closed; with `create` makes it.
 * An encrypted store is opened, and one that is made is encrypted, with `passphrase` or `keyFile`.
 * Errors: NOT_FOUND, EXISTS (with `create`), LOCKED (a daemon or another process has it), KEY_NEEDED, KEY_WRONG,
 * NEWER_VERSION.
 */
export async function openStore(
  directory: string, options: { create?: boolean } & StoreSecret = {},
): Promise<Store> {
  const store = resolve(directory)
  const access = { ...localAccess, secret: secretOf(options) }
  return new Store(store, await openInProcess(store, access, options.create === true))
}

/**
 * Reaches a store through its daemon, which is started if there is none and `start` is not false. Closing
 * leaves the daemon running.
 * Errors: NOT_FOUND, LOCKED (a process that is no daemon has the store), KEY_NEEDED, KEY_WRONG, DAEMON.
 */
export async function connect(directory: string, options: { start?: boolean } & StoreSecret = {}): Promise<Store> {
  const store = resolve(directory)
  const client = options.start === false
    ? await ControlClient.connect(store)
    : (await startDaemon(store, undefined, secretOf(options))).client
  if (client === null) throw new HoldfastError('DAEMON', `no daemon serves ${store}`)
  return new Store(store, new DaemonCaller(store, client))
}

/**
 * What a replica has; no store is needed. `passphrase` or `keyFile` opens an encrypted one. Errors: NOT_FOUND (no
 * replica there), USAGE (no URL), KEY_NEEDED, KEY_WRONG, those of the place.
 */
export async function replicaImages(
  url: string, options: CallOptions & StoreSecret = {},
): Promise<ReplicaImageSummary[]> {
  const keyFile = options.keyFile === undefined ? undefined : resolve(options.keyFile)
  return new AsideCaller().call('replica images', { url, passphrase: options.passphrase, keyFile }, options)
}

function secretOf({ passphrase, keyFile }: StoreSecret): SecretSource {
  return async () => {
    if (passphrase === undefined && keyFile === undefined) return undefined
    const { readSecret } = await import('./store/keys.ts')
    return readSecret(systemEnv(), { passphrase, keyFile: keyFile === undefined ? undefined : resolve(keyFile) })
  }
}
