/**
 * A store as the library shows it: the verbs of the table as methods with types. The same object whether it
 * is open in this process or reached through its daemon.
 *
 * Paths of this machine may be relative here. Every method rejects with a HoldfastError; those that take
 * `CallOptions` report progress and end with ABORTED when their signal aborts.
 */
import { resolve } from 'node:path'
import { assert } from '../errors.ts'
import type { GarbageReport, GarbageRequest } from '../image/collection/types.ts'
import type { CallOptions, CheckReport, DiffEntry, ImageSummary, KeyReport, StoreStats } from '../image/types.ts'
import type { VerbCaller } from './caller.ts'
import type { ReplicaStatus } from '../replica/replicator.ts'
import type { GarbageScheduleState, MachineSummary, MountSummary, ReplicaSummary, RestoreResult } from './host.ts'
import { Image } from './image.ts'
import { isReplicaUrl } from './kinds.ts'
import type { GarbageRules } from './verbs/retention.ts'

export interface CheckOptions extends CallOptions {
  readData?: boolean
  sample?: number
  timeMs?: number
  repair?: boolean
  from?: string[]
}

/** Rules are as `RetentionRules`; `thin` is written as on the command line: `default` or `5s/1m,1m/1h,1d`. */
export interface GcRules extends Omit<GarbageRequest, 'thin' | 'dryRun'> {
  thin?: string
}

export interface GcOptions extends CallOptions, GcRules {
  dryRun?: boolean
  /** Images that were removed from the store, by the name or id that they have on its replicas: they go there, too. */
  forget?: readonly string[]
}

export interface RestoreOptions extends CallOptions {
  /** A fork of this name instead of the image itself. */
  as?: string
  /** Resolves when all of the epoch is here. */
  full?: boolean
  /** Becomes the owner although the one before was seen lately. */
  takeover?: boolean
  /** Resumes its machine while it comes. */
  resume?: boolean
  /** Opens an encrypted replica, for an empty store that is not of its domain yet; one of them. */
  passphrase?: string
  keyFile?: string
}

/** One of them. */
export interface NewSecret {
  passphrase?: string
  keyFile?: string
}

export class Store implements AsyncDisposable {
  readonly directory: string
  readonly #caller: VerbCaller

  /** Takes the caller over: `close` closes it. */
  constructor(directory: string, caller: VerbCaller) {
    this.directory = directory
    this.#caller = caller
  }

  /**
   * Makes an image; its bases (files, and at most one directory, whose content becomes the root) are taken
   * into the store as epoch 0 and never read again. Durable on return.
   * Errors: EXISTS, BAD_NAME, BASE_UNREADABLE, BASE_CHANGED, BASE_CLASH, NO_SPACE.
   */
  async createImage(name: string, options: { base?: string[] } & CallOptions = {}): Promise<Image> {
    const base = (options.base ?? []).map((path) => resolve(path))
    await this.#caller.call('create', { image: name, base }, options)
    return new Image(name, this.#caller)
  }

  /** The image of that name; whether there is one is found out by its methods (NOT_FOUND). */
  image(name: string): Image {
    return new Image(name, this.#caller)
  }

  images(): Promise<ImageSummary[]> {
    return this.#caller.call('images', {})
  }

  /** What differs between two epochs, `IMAGE@N`, of the same image or of two. */
  diff(before: string, after: string, options: CallOptions = {}): Promise<DiffEntry[]> {
    return this.#caller.call('diff', { before, after }, options)
  }

  stats(): Promise<StoreStats> {
    return this.#caller.call('stats', {})
  }

  /**
   * Looks for damage: headers and references, with `readData` every record (a share of them, `sample` in 0..1, or as
   * many as `timeMs` allows). What is found is reported, not thrown; with `repair` it is put right where that can be
   * done, also with what files and replicas (by their URLs) named in `from` have.
   */
  check(options: CheckOptions = {}): Promise<CheckReport> {
    const { readData, sample, timeMs: time, repair, from } = options
    const places = from?.map((place) => isReplicaUrl(place) ? place : resolve(place))
    return this.#caller.call('check', { readData, sample, time, repair, from: places }, options)
  }

  /**
   * Removes epochs that no rule keeps (without a rule all stay), and then everything that no epoch, head or mount
   * needs. With `dryRun` nothing is changed. Errors: BUSY, DAMAGED (what is needed cannot be told from garbage).
   */
  async gc(options: GcOptions = {}): Promise<GarbageReport> {
    const { dryRun, forget } = options
    const args = { ...rulesOf(options), dryRun, forget: forget && [...forget] }
    const result = await this.#caller.call('gc', args, options)
    assert(result.kind === 'collected', 'without a period garbage is collected once')
    return result
  }

  /**
   * Collects garbage by these rules again and again, `everyMs` apart, while a daemon serves the store; null ends that.
   * Kept in the store.
   */
  async scheduleGc(everyMs: number | null, rules: GcRules = {}): Promise<GarbageScheduleState> {
    const { kind, ...state } = await this.#caller.call('gc', { ...rulesOf(rules), every: everyMs ?? 0 })
    assert(kind === 'scheduled' && 'lastError' in state, 'with a period garbage is not collected now')
    return state
  }

  /** Makes the index again from the packs; nothing but time is lost by deleting it. */
  rebuildIndex(options: CallOptions = {}): Promise<{ packs: number; records: number }> {
    return this.#caller.call('index rebuild', {}, options)
  }

  /** The key slots of an encrypted store. Errors: UNSUPPORTED (it is not encrypted). */
  keys(): Promise<KeyReport> {
    return this.#caller.call('key list', {})
  }

  /** One more passphrase or key file opens the store; the report names its slot. Errors: UNSUPPORTED, USAGE. */
  addKey(secret: NewSecret): Promise<KeyReport> {
    return this.#caller.call('key add', givenSecret(secret))
  }

  /** Errors: UNSUPPORTED, NOT_FOUND, USAGE (it is the last). */
  removeKey(slot: number): Promise<KeyReport> {
    return this.#caller.call('key remove', { slot })
  }

  /** Without a slot: the one that the store was opened with, or the only one. Errors: UNSUPPORTED, NOT_FOUND, USAGE. */
  changeKey(secret: NewSecret, slot?: number): Promise<KeyReport> {
    return this.#caller.call('key change', { slot, ...givenSecret(secret) })
  }

  /**
   * New keys, and all that the store holds sealed with them; only the secret that it was opened with opens it then.
   * For a store that is open in this process and serves no mount. Errors: UNSUPPORTED, BUSY, DAMAGED, NO_SPACE.
   */
  rotateKeys(options: CallOptions = {}): Promise<KeyReport> {
    return this.#caller.call('key rotate-master', {}, options)
  }

  mounts(): Promise<MountSummary[]> {
    return this.#caller.call('mounts', {})
  }

  /** Errors: NOT_FOUND, BUSY while files are open unless `lazy`. */
  async unmount(directory: string, options: { lazy?: boolean; force?: boolean } = {}): Promise<void> {
    const { lazy, force } = options
    await this.#caller.call('unmount', { directory: resolve(directory), lazy, force })
  }

  /** Takes away mounts, of any store, that no process serves any more; returns where they were. */
  async cleanMounts(options: { below?: string } = {}): Promise<string[]> {
    const below = options.below === undefined ? undefined : resolve(options.below)
    return (await this.#caller.call('clean', { below })).directories
  }

  machines(): Promise<MachineSummary[]> {
    return this.#caller.call('vm status', {})
  }

  /**
   * Keeps all epochs on another place, too: `file:///DIR` or `webhdfs://HOST:PORT/PATH?user=NAME`. The first one
   * decides who may write. In the background by a daemon; a store open in this process brings them with
   * `syncReplicas`, and from then on. Errors: EXISTS, WRONG_DOMAIN, those of the place.
   */
  addReplica(
    name: string, url: string, options: { authority?: boolean; bytesPerSecondMax?: number } & CallOptions = {},
  ): Promise<ReplicaSummary> {
    const { authority, bytesPerSecondMax } = options
    return this.#caller.call('replica add', { name, url, authority, bandwidth: bytesPerSecondMax }, options)
  }

  replicas(): Promise<ReplicaSummary[]> {
    return this.#caller.call('replica list', {})
  }

  replicaStatus(): Promise<ReplicaStatus[]> {
    return this.#caller.call('replica status', {})
  }

  /** Resolves when the replica, or every one, has all that the store has. Errors: NOT_FOUND, those of the place. */
  syncReplicas(options: { name?: string } & CallOptions = {}): Promise<ReplicaStatus[]> {
    return this.#caller.call('replica sync', { name: options.name }, options)
  }

  /** What is there stays there. Errors: NOT_FOUND, BUSY (it decides who may write, and there are others). */
  removeReplica(name: string): Promise<ReplicaSummary> {
    return this.#caller.call('replica remove', { name })
  }

  /**
   * Brings an image, `IMAGE` or `IMAGE@N`, from a replica into this store, which is its owner from then on unless
   * `as` makes a fork. What is not needed at once follows as long as the store is open, or its daemon runs.
   * Errors: NOT_FOUND, EXISTS, WRONG_DOMAIN, LOCKED (its owner was seen lately), KEY_NEEDED, KEY_WRONG, those of the
   * place.
   */
  restore(url: string, target: string, options: RestoreOptions = {}): Promise<RestoreResult> {
    const { as, full, takeover, resume, passphrase } = options
    const keyFile = options.keyFile === undefined ? undefined : resolve(options.keyFile)
    return this.#caller.call('restore', { url, target, as, full, takeover, resume, passphrase, keyFile }, options)
  }

  /** Idempotent. A store open in this process is BUSY while its mounts are in use. */
  close(): Promise<void> {
    return this.#caller.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

function rulesOf({ images, keepWithinMs, ...rules }: GcRules): Partial<GarbageRules> {
  const { keepLast, keepHourly, keepDaily, keepWeekly, thin, maxUnused, unreplicated } = rules
  const counts = { keepLast, keepHourly, keepDaily, keepWeekly }
  return { ...counts, keepWithin: keepWithinMs, thin, maxUnused, unreplicated, image: images && [...images] }
}

function givenSecret({ passphrase, keyFile }: NewSecret): { newPassphrase?: string; newKeyFile?: string } {
  return { newPassphrase: passphrase, newKeyFile: keyFile === undefined ? undefined : resolve(keyFile) }
}
