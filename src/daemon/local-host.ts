/**
 * The host in this process: one engine (in a thread of its own, or here), the mounts, and the machines, whose
 * code is loaded when the first of them is wanted.
 */
import { basename, join, resolve, sep } from 'node:path'
import { systemEnv } from '../env/system.ts'
import { ensureDirectory } from '../env/tree.ts'
import { HoldfastError, messageOf } from '../errors.ts'
import type { Engine } from '../image/engine.ts'
import type { CallOptions, EpochSummary, KeyReport } from '../image/types.ts'
import type { Machines } from '../machine/machines.ts'
import type { ImageMount, ImageMountOptions, MountEvent } from '../mount/image-mount.ts'
import type { OrphanedMount } from '../mount/keeper.ts'
import type { Mounted } from '../mount/transport.ts'
import { factsPlace } from './facts-place.ts'
import { GarbageSchedule } from './garbage-schedule.ts'
import type { LocalHostOptions } from './host-options.ts'
import { MountList } from './mount-list.ts'
import type {
  CheckpointResult, Host, MachineStartRequest, MachineSummary, MountRequest, MountSummary, ReplicasReached,
  ReplicaWait, RestoreRequest, RestoreResult, ResumeResult, SealResult,
} from './host.ts'
import { RemoteReading } from './remote-reading.ts'
import { Replication } from './replication.ts'
import { watchedEngine } from './watched-engine.ts'

/** Errors: as openLocalEngine (NOT_FOUND, LOCKED, KEY_NEEDED, KEY_WRONG, NEWER_VERSION, DAMAGED, IO). */
export async function openHost(directory: string, options: LocalHostOptions): Promise<Host> {
  const store = resolve(directory)
  const { signal, progress, secret } = options
  const engine = options.thread
    ? await (await import('./thread-engine.ts')).openThreadEngine(store, { signal, progress, secret })
    : await (await import('../image/local-engine.ts')).openLocalEngine(store, { signal, progress, secret })
  const host = new LocalHost(engine, options)
  try {
    await host.reading.begin()
    await host.adopt()
    host.garbage.begin()
    if (options.thread && (await engine.images()).length === 0) void (await import('./stand-by.ts')).standBy()
  } catch (error) {
    await engine.close()
    throw error
  }
  return host
}

class LocalHost implements Host {
  readonly engine: Engine
  readonly replicas: Replication
  readonly reading: RemoteReading
  readonly garbage: GarbageSchedule
  readonly #options: LocalHostOptions
  readonly #mounts = new Map<string, ImageMount>()
  readonly #listed: MountList
  #machines: Promise<Machines> | null = null
  #closed: Promise<void> | null = null

  constructor(engine: Engine, options: LocalHostOptions) {
    this.engine = watchedEngine(engine, () => this.replicas.poke())
    this.#options = options
    const onEvent = (message: string): void => options.onEvent?.({ type: 'replica', message })
    const [env, isBackground] = [systemEnv(), options.thread]
    this.reading = new RemoteReading(this.engine, () => this.#loaded(), isBackground, onEvent)
    this.replicas = new Replication({ env, engine: this.engine, isBackground, onEvent })
    const garbage = { env, engine: this.engine, replicas: this.replicas, isBackground }
    this.garbage = new GarbageSchedule({ ...garbage, onEvent: (message) => options.onEvent?.({ type: 'gc', message }) })
    this.#listed = new MountList(systemEnv(), engine.directory)
  }

  /** Looks after what a daemon that died left behind: its mounts and its machines. */
  async adopt(): Promise<void> {
    await Promise.all((this.#options.orphans ?? []).map((orphan) => this.#takeOver(orphan)))
    await this.#cleanListed()
    if (systemEnv().exists(this.#machinesDirectory)) await (await this.#loaded()).adopt()
  }

  async mount(args: MountRequest): Promise<MountSummary> {
    const directory = resolve(args.directory)
    const { cleanStaleMount } = await import('../mount/stale.ts')
    await cleanStaleMount(directory)
    const mounted = await this.#open({ image: args.image, directory, transport: args.transport })
    this.#mounts.set(mounted.directory, mounted)
    this.#listed.add(mounted.directory)
    return summaryOf(mounted)
  }

  async cleanMounts({ below }: { below?: string }): Promise<string[]> {
    const { cleanStaleMountsBelow } = await import('../mount/stale.ts')
    return cleanStaleMountsBelow(below === undefined || below === '/' ? '' : resolve(below))
  }

  /** Those of a daemon of this store that died. */
  async #cleanListed(): Promise<void> {
    const left = this.#listed.directories().filter((directory) => !this.#mounts.has(directory))
    if (left.length === 0) return
    const { cleanStaleMount } = await import('../mount/stale.ts')
    for (const directory of left) {
      if (await cleanStaleMount(directory)) this.#options.onEvent?.({ type: 'stale', directory })
      this.#listed.remove(directory)
    }
  }

  async unmount(args: { directory: string; lazy?: boolean; force?: boolean }): Promise<void> {
    const mounted = this.#mounts.get(resolve(args.directory))
    if (mounted === undefined) {
      const { cleanStaleMount } = await import('../mount/stale.ts')
      if (await cleanStaleMount(resolve(args.directory))) return
      const hint = "see 'holdfast mounts'"
      throw new HoldfastError('NOT_FOUND', `nothing of this store is mounted on ${args.directory}: ${hint}`)
    }
    const { lazy, force } = args
    await mounted.close({ lazy: lazy === true || force === true, force })
    this.#mounts.delete(mounted.directory)
    this.#listed.remove(mounted.directory)
  }

  mounts(): MountSummary[] {
    return [...this.#mounts.values()].map(summaryOf)
  }

  async seal(
    { waitReplicas, waitTimeMs, ...args }: { image: string; note?: string } & ReplicaWait, options: CallOptions = {},
  ): Promise<SealResult> {
    const sealed = await this.#seal(args, options)
    return { ...sealed, ...await this.#reached(sealed.epoch, { waitReplicas, waitTimeMs }, options) }
  }

  async #seal(args: { image: string; note?: string }, options: CallOptions): Promise<SealResult> {
    const clock = systemEnv()
    const mounted = await this.#mountOf(args.image)
    const begin = clock.monotonicMs()
    if (mounted === null) {
      const epoch = await this.engine.sealHead(args, options)
      return { epoch, barrierMs: 0, commitMs: clock.monotonicMs() - begin }
    }
    const cut = await mounted.barrier()
    const taken = clock.monotonicMs()
    const { epoch } = await cut.seal({ note: args.note })
    return { epoch: epoch!, barrierMs: cut.barrierMs, commitMs: clock.monotonicMs() - taken }
  }

  restore(request: RestoreRequest, options?: CallOptions): Promise<RestoreResult> {
    return this.reading.restore(request, options)
  }

  rotateKeys(options?: CallOptions): Promise<KeyReport> {
    const rotate = () => this.engine.rotateKeys(options).finally(() => this.reading.beginAgain())
    return this.replicas.pausedFor(rotate)
  }

  async startMachine(request: MachineStartRequest, options?: CallOptions): Promise<MachineSummary> {
    return (await this.#loaded()).start(request, options)
  }

  async checkpoint(
    { waitReplicas, waitTimeMs, ...args }: { image: string; note?: string } & ReplicaWait, options?: CallOptions,
  ): Promise<CheckpointResult> {
    const taken = await (await this.#loaded()).checkpoint(args, options)
    return { ...taken, ...await this.#reached(taken.epoch, { waitReplicas, waitTimeMs }, options) }
  }

  async scheduleCheckpoints(args: { image: string; everyMs: number | null }): Promise<MachineSummary> {
    return (await this.#loaded()).scheduleCheckpoints(args)
  }

  async resumeMachine(
    args: { target: string; as?: string; discard?: boolean }, options?: CallOptions,
  ): Promise<ResumeResult> {
    return (await this.#loaded()).resume(args, options)
  }

  async stopMachine(args: { image: string; force?: boolean }, options?: CallOptions): Promise<MachineSummary> {
    return (await this.#loaded()).stop(args, options)
  }

  async machines(args: { image?: string } = {}): Promise<MachineSummary[]> {
    if (this.#machines === null) return []
    const summaries = (await this.#machines).summaries(args.image)
    const known = (newest: EpochSummary | null) => newest && this.replicas.asKnown(newest)
    return summaries.map((each) => ({ ...each, newest: known(each.newest) }))
  }

  close(options: { force?: boolean } = {}): Promise<void> {
    this.#closed ??= this.#close(options).catch((error: unknown) => {
      this.#closed = null
      throw error
    })
    return this.#closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close({ force: true })
  }

  async #close({ force = false }: { force?: boolean }): Promise<void> {
    if (this.#machines !== null) await (await this.#machines).close({ force })
    for (const mounted of [...this.#mounts.values()]) {
      await mounted.close({ lazy: force })
      this.#mounts.delete(mounted.directory)
      this.#listed.remove(mounted.directory)
    }
    await this.garbage.close()
    await this.replicas.close()
    await this.reading.close()
    await this.engine.close()
  }

  /** How many replicas an epoch reached, where somebody waits for it. It is then as it is known by now. */
  async #reached(
    epoch: EpochSummary, { waitReplicas, waitTimeMs }: ReplicaWait, options: CallOptions = {},
  ): Promise<{ epoch: EpochSummary; replicas?: ReplicasReached }> {
    if (waitReplicas === undefined) return { epoch }
    const replicas = await this.replicas.reach(epoch, { wanted: waitReplicas, timeMs: waitTimeMs }, options)
    return { epoch: this.replicas.asKnown(epoch), replicas }
  }

  get #machinesDirectory(): string {
    return join(this.engine.directory, 'machines')
  }

  #loaded(): Promise<Machines> {
    this.#machines ??= this.#load()
    return this.#machines
  }

  async #load(): Promise<Machines> {
    const { Machines } = await import('../machine/machines.ts')
    ensureDirectory(systemEnv(), this.#machinesDirectory)
    return new Machines({
      engine: this.engine,
      directory: this.#machinesDirectory,
      factsPath: factsPlace(systemEnv(), process.env),
      secret: await this.engine.readerSecret(),
      spawn: this.#options.spawn,
      mounting: {
        mount: (image, directory, readBytesMax) => this.#mountAhead({ image, directory, readBytesMax }),
        serve: (image, mounted) => this.#open({ image, directory: mounted.directory, mounted }),
      },
      connect: () => this.reading.records?.connect(),
      replicasOf: (epoch) => this.replicas.asKnown(epoch).replicas,
      reopenMount: (runDirectory) => this.#handOver(join(basename(runDirectory), 'mount')),
      onEvent: (event) => this.#options.onEvent?.(event),
    })
  }

  async #mountAhead(wanted: Pick<ImageMountOptions, 'image' | 'directory' | 'readBytesMax'>): Promise<Mounted> {
    const { ImageMount } = await import('../mount/image-mount.ts')
    return ImageMount.ahead({ ...wanted, keeper: this.#options.keeper })
  }

  async #open(wanted: Pick<ImageMountOptions, 'image' | 'directory' | 'transport' | 'mounted'>): Promise<ImageMount> {
    const { ImageMount } = await import('../mount/image-mount.ts')
    return ImageMount.open({
      ...wanted, engine: this.engine, keeper: this.#options.keeper, remote: this.reading.records,
      onEvent: (event) => this.#note(event),
    })
  }

  /** A mount that was taken over turns out to be a machine's; null when there is none that ends in `path`. */
  #handOver(path: string): ImageMount | null {
    const mounted = [...this.#mounts.values()].find(({ directory }) => directory.endsWith(`${sep}${path}`))
    if (mounted === undefined) return null
    this.#mounts.delete(mounted.directory)
    return mounted
  }

  /** A mount that cannot be served on is taken down: its users get errors instead of waiting for ever. */
  async #takeOver(orphan: OrphanedMount): Promise<void> {
    const { ImageMount } = await import('../mount/image-mount.ts')
    try {
      const onEvent = (event: MountEvent): void => this.#note(event)
      const remote = this.reading.records
      const mounted = await ImageMount.takeOver({ engine: this.engine, remote, onEvent }, orphan)
      this.#mounts.set(mounted.directory, mounted)
    } catch (error) {
      const message = `its mount on ${orphan.directory} cannot be served on: ${messageOf(error)}`
      this.#options.onEvent?.({ type: 'failed', image: orphan.image, message })
      await orphan.kept.close()
    }
  }

  /** What a mount says is for the log, and for the machine whose memory may lie on it. */
  #note(event: MountEvent): void {
    this.#options.onEvent?.(event)
    void this.#machines?.then((machines) => machines.noteMount(event))
  }

  /** The mount that serves an image's head, if any: a plain one or a machine's. */
  async #mountOf(image: string): Promise<ImageMount | null> {
    for (const mounted of this.#mounts.values()) if (mounted.image === image) return mounted
    return this.#machines === null ? null : (await this.#machines).mountOf(image)
  }
}

function summaryOf(mounted: ImageMount): MountSummary {
  const [major, minor] = mounted.device.split(':').map(Number)
  const { image, directory, transport } = mounted
  return { image, directory, device: major * 256 + minor, machine: false, transport }
}
