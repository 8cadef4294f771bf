/**
 * A mounted image, as its owning thread sees it: the kernel mount, the serving worker, the syncs, and the
 * commits that follow behind.
 */
import { FuseError, mount, secretControlName, setDirtyLimits, unmount } from '../../fuse/index.ts'
import type { Negotiated } from '../../fuse/index.ts'
import { systemEnv } from '../env/system.ts'
import { HoldfastError, messageOf } from '../errors.ts'
import type { Engine } from '../image/engine.ts'
import type { HeadLimits } from '../image/head-limits.ts'
import { ImageLayout } from '../image/layout.ts'
import type { HeadStart } from '../image/types.ts'
import { Commits } from './commits.ts'
import type { OpenCommit } from './commits.ts'
import { ownKeeper } from './keeper.ts'
import type { ConnectionKeeper, KeptConnection, MountClaim, MountFacts } from './keeper.ts'
import { LaneSync } from './lane-sync.ts'
import type { FromWorker, ServingStatistics, TouchedChunks } from './messages.ts'
import { unasked } from './messages.ts'
import { fromFuse } from './mount-errors.ts'
import { WorkerLink } from './worker-link.ts'

export interface ImageMountOptions {
  engine: Engine
  image: string
  directory: string
  /** Who keeps the kernel's connection; this process unless another is named. */
  keeper?: ConnectionKeeper
  /** Largest READ; 64 KiB for mounts that hold a machine's memory. */
  readBytesMax?: number
  /** Set-uid bits and device nodes of the image count. Off by default: see `MountOptions` of the transport. */
  grantsPrivileges?: boolean
  /** Other limits of the head than the usual ones. */
  limits?: Partial<HeadLimits>
  onEvent?: (event: MountEvent) => void
}

/** A mount whose server was killed, as it was told to its keeper. */
export interface OrphanedMount extends MountClaim, MountFacts {
  readonly kept: KeptConnection
  readonly failure: string | null
}

type ServeOptions = Pick<ImageMountOptions, 'engine' | 'onEvent' | 'limits'>

export type MountEvent =
  | { type: 'failed' | 'fault'; image: string; message: string }
  | { type: 'parked'; image: string; memory: boolean }
  /** Serves instead of a process that was killed: requests sent again, and those that needed only their answer. */
  | { type: 'takenOver'; image: string; resent: number; repeated: number }
  | { type: 'ended'; image: string; how: string }

/** A barrier that was passed and whose commit is still to be said. */
export interface Cut extends OpenCommit {
  segment: number
  /** From the request to the worker's answer. */
  barrierMs: number
}

const clock = systemEnv()
/** Parked writes are tried again so often while space is short. */
const retryMs = 1000

export class ImageMount {
  readonly image: string
  readonly directory: string
  readonly device: string
  readonly #options: ServeOptions
  readonly #kept: KeptConnection
  readonly #negotiated = Promise.withResolvers<Negotiated>()
  readonly #link: WorkerLink
  readonly #sync: LaneSync
  readonly #commits: Commits
  #retry: NodeJS.Timeout | null = null
  #failure: string | null = null
  #closed: Promise<void> | null = null

  private constructor(
    options: ServeOptions, start: HeadStart, made: MountClaim & { device: string }, kept: KeptConnection,
    inherited?: Pick<OrphanedMount, 'negotiated' | 'failure'>,
  ) {
    this.#options = options
    this.image = made.image
    this.directory = made.directory
    this.device = made.device
    this.#kept = kept
    this.#failure = inherited?.failure ?? null
    const firstSegment = start.takeover?.segments[0] ?? start.segment
    this.#commits = new Commits({
      engine: options.engine, image: made.image, committedTo: firstSegment - 1,
      onCommitted: ({ segment, manifest }) => this.#link.send({ type: 'retire', segment, manifest }),
      onDelay: (message) => options.onEvent?.({ type: 'fault', image: this.image, message }),
      onFailure: (message) => this.#fail(message),
    })
    const layout = new ImageLayout(options.engine.directory, made.image)
    this.#sync = new LaneSync(layout, kept.descriptor, firstSegment, (error) => this.#fail(messageOf(error)))
    const { controlName, connection } = made
    this.#link = new WorkerLink(kept, {
      controlName, connection, head: start, limits: options.limits, negotiated: inherited?.negotiated,
      failure: this.#failure,
    }, (message) => this.#receive(message))
  }

  /** Errors: NOT_FOUND, BUSY, EXISTS (directory in use), UNSUPPORTED, IO, DAMAGED. */
  static async open(options: ImageMountOptions): Promise<ImageMount> {
    const { engine, image, keeper = ownKeeper } = options
    const start = await engine.openHead({ image })
    let kept: KeptConnection | null = null
    try {
      const connection = clock.randomBytes(4).readUInt32LE(0)
      const claim = { image, directory: options.directory, controlName: secretControlName(), connection }
      kept = await keeper.claim(claim)
      return await ImageMount.#mount(options, start, claim, kept)
    } catch (error) {
      await kept?.close()
      await engine.closeHead({ image })
      throw error instanceof FuseError ? fromFuse(error) : error
    }
  }

  static async #mount(
    options: ImageMountOptions, start: HeadStart, claim: MountClaim, kept: KeptConnection,
  ): Promise<ImageMount> {
    const { readBytesMax, grantsPrivileges } = options
    const name = `holdfast:${options.image}`
    const { descriptor } = kept
    const made = await mount({ directory: options.directory, name, descriptor, readBytesMax, grantsPrivileges })
    const { directory, device } = made
    const mounted = new ImageMount(options, start, { ...claim, directory, device }, kept)
    try {
      await mounted.#link.ready
      await kept.served({ directory, device, negotiated: await mounted.#negotiated.promise })
      await mounted.#link.attach(false)
    } catch (error) {
      await unmount(directory, { lazy: true, force: true })
      await mounted.#link.exited
      throw error
    }
    return mounted
  }

  /**
   * Goes on serving a mount whose server was killed and reaped: its users were kept waiting and now get their
   * answers. What the log holds is committed behind. Errors: NOT_FOUND, DAMAGED, IO.
   */
  static async takeOver(options: ServeOptions, orphan: OrphanedMount): Promise<ImageMount> {
    const start = await options.engine.openHead({ image: orphan.image, takeover: true })
    const mounted = new ImageMount(options, start, orphan, orphan.kept, orphan)
    await mounted.#link.ready
    await mounted.#link.attach(true)
    // A worker that ends meanwhile says so itself.
    mounted.#commitInherited(start).catch(() => undefined)
    return mounted
  }

  /**
   * Not before all that was sent again has been answered from the log. One by one, so that servers which are
   * killed soon after one another get on with it too.
   */
  async #commitInherited({ takeover }: HeadStart): Promise<void> {
    const { resent, repeated } = await this.statistics()
    this.#options.onEvent?.({ type: 'takenOver', image: this.image, resent, repeated })
    for (const segment of takeover?.segments ?? []) this.#commits.behind(segment)
  }

  /** The mount's FUSE device, for notifications. */
  get descriptor(): number {
    return this.#kept.descriptor
  }

  get failure(): string | null {
    return this.#failure
  }

  /** Lets the kernel keep more of this mount's pages dirty. What could not be done, in words; null when all was. */
  liftDirtyLimits(): string | null {
    return setDirtyLimits(this.device, { maxRatio: 100, isStrict: false }) ?? null
  }

  /** The barrier: everything written before lies before the cut. */
  async barrier(): Promise<Cut> {
    const begin = clock.monotonicMs()
    const { segment } = await this.#link.ask<'rotated'>({ type: 'rotate' })
    const barrierMs = clock.monotonicMs() - begin
    return { segment, barrierMs, ...this.#commits.open(segment) }
  }

  /** Makes a sparse memory file in the root; its inode number. Errors: EXISTS, NO_SPACE, IO. */
  async makeMemory(name: string, bytes: number): Promise<number> {
    const { errno, inode } = await this.#link.ask<'made'>({ type: 'makeMemory', name, bytes })
    if (errno === 0) return inode
    const code = errno === -17 ? 'EXISTS' : errno === -28 ? 'NO_SPACE' : 'IO'
    throw new HoldfastError(code, `the memory file ${name} could not be made (errno ${-errno}): is there one already?`)
  }

  async recordReads(): Promise<void> {
    await this.#link.ask<'touched'>({ type: 'record', on: true })
  }

  async touchedChunks(): Promise<TouchedChunks[]> {
    return (await this.#link.ask<'touched'>({ type: 'record', on: false })).touched
  }

  async statistics(): Promise<ServingStatistics> {
    return (await this.#link.ask<'statistics'>({ type: 'statistics' })).statistics
  }

  /** Errors: BUSY (someone uses the mount, and it was not `lazy`). Idempotent. */
  async close(options: { lazy?: boolean; force?: boolean } = {}): Promise<void> {
    this.#closed ??= this.#close(options)
    try {
      await this.#closed
    } catch (error) {
      this.#closed = null
      throw error
    }
  }

  async #close(options: { lazy?: boolean; force?: boolean }): Promise<void> {
    try {
      await unmount(this.directory, options)
    } catch (error) {
      if (error instanceof FuseError && error.code === 'FUSE_BUSY') throw fromFuse(error)
      if (!(error instanceof FuseError && error.code === 'FUSE_NOT_MOUNTED')) throw error
    }
    await this.#link.exited
    this.#resumed()
    await this.#sync.close()
    await this.#commits.close()
    await this.#kept.close()
    await this.#options.engine.closeHead({ image: this.image })
  }

  #receive(message: FromWorker): void {
    const { image } = this
    switch (message.type) {
      case 'sync':
        return this.#sync.request(message.ticket, message.segment)
      case 'syncDue':
        return void this.#sync.writeBehind(message.segment)
      case 'retired':
        // The last to close a removed file waits for its blocks to be freed: that is not to be the worker.
        this.#sync.retire(message.segment).catch((error: unknown) => this.#fail(messageOf(error)))
        return
      case 'rotated':
        if (message.id === unasked) this.#commits.behind(message.segment)
        return
      case 'failed':
        return this.#fail(message.message)
      case 'fault':
        return this.#options.onEvent?.({ type: 'fault', image, message: message.message })
      case 'parked':
        return this.#parked(message.memory)
      case 'resumed':
        return this.#resumed()
      case 'negotiated':
        return this.#negotiated.resolve(message.negotiated)
      case 'ended':
        if (message.how === 'crashed') this.#abandon()
        return this.#options.onEvent?.({ type: 'ended', image, how: message.how })
      default:
    }
  }

  #parked(memory: boolean): void {
    this.#options.onEvent?.({ type: 'parked', image: this.image, memory })
    this.#retry ??= setInterval(() => this.#link.send({ type: 'retry' }), retryMs)
  }

  #resumed(): void {
    if (this.#retry !== null) clearInterval(this.#retry)
    this.#retry = null
  }

  /** Nobody answers any more: who waits for the mount gets errors at once instead of waiting for ever. */
  #abandon(): void {
    this.#failure ??= 'the serving thread ended by a fault'
    unmount(this.directory, { lazy: true, force: true }).catch((error: unknown) => {
      this.#options.onEvent?.({ type: 'fault', image: this.image, message: messageOf(error) })
    })
  }

  #fail(message: string): void {
    if (this.#failure !== null) return
    this.#failure = message
    this.#kept.failed(message)
    this.#options.onEvent?.({ type: 'failed', image: this.image, message })
    this.#link.send({ type: 'fail', reason: message })
  }
}
