/**
 * A mounted image, as its owning thread sees it: the kernel mount, the serving worker, the syncs, and the
 * commits that follow behind. Commits happen in the order of their barriers; one that covers a later segment
 * never overtakes a seal.
 */
import { FuseError, mount, secretControlName, setDirtyLimits, unmount } from '../../fuse/index.ts'
import type { Negotiated } from '../../fuse/index.ts'
import { systemEnv } from '../env/system.ts'
import { HoldfastError, isCode, messageOf } from '../errors.ts'
import type { Engine } from '../image/engine.ts'
import { ImageLayout } from '../image/layout.ts'
import type { CommitRequest, CommitResult, HeadStart } from '../image/types.ts'
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
  onEvent?: (event: MountEvent) => void
}

/** A mount whose server was killed, as it was told to its keeper. */
export interface OrphanedMount extends MountClaim, MountFacts {
  readonly kept: KeptConnection
  readonly failure: string | null
}

export type MountEvent =
  | { type: 'failed' | 'fault'; image: string; message: string }
  | { type: 'parked'; image: string; memory: boolean }
  | { type: 'ended'; image: string; how: string }

/** A barrier that was passed and whose commit is still to be said. */
export interface Cut {
  segment: number
  /** From the request to the worker's answer. */
  barrierMs: number
  /** Makes the cut an epoch; resolves when it is durable. */
  seal(detail: Pick<CommitRequest, 'note' | 'wallMs' | 'machine'>): Promise<CommitResult>
  /** No epoch after all: what was written is committed to the head. */
  abandon(): void
}

const clock = systemEnv()
/** Parked writes are tried again so often while space is short. */
const retryMs = 1000

export class ImageMount {
  readonly image: string
  readonly directory: string
  readonly device: string
  readonly #options: Pick<ImageMountOptions, 'engine' | 'onEvent'>
  readonly #kept: KeptConnection
  readonly #negotiated = Promise.withResolvers<Negotiated>()
  readonly #link: WorkerLink
  readonly #sync: LaneSync
  #commits: Promise<unknown> = Promise.resolve()
  #committedTo: number
  #retry: NodeJS.Timeout | null = null
  #failure: string | null = null
  #closed: Promise<void> | null = null

  private constructor(
    options: Pick<ImageMountOptions, 'engine' | 'onEvent'>, start: HeadStart, made: MountClaim & { device: string },
    kept: KeptConnection, inherited?: Pick<OrphanedMount, 'negotiated' | 'failure'>,
  ) {
    this.#options = options
    this.image = made.image
    this.directory = made.directory
    this.device = made.device
    this.#kept = kept
    this.#failure = inherited?.failure ?? null
    const firstSegment = start.takeover?.segments[0] ?? start.segment
    this.#committedTo = firstSegment - 1
    const layout = new ImageLayout(options.engine.directory, made.image)
    this.#sync = new LaneSync(layout, kept.descriptor, firstSegment, (error) => this.#fail(messageOf(error)))
    const { controlName, connection } = made
    this.#link = new WorkerLink(kept, {
      controlName, connection, head: start, negotiated: inherited?.negotiated, failure: this.#failure,
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
    const { directory, readBytesMax, grantsPrivileges } = options
    const name = `holdfast:${options.image}`
    const made = await mount({ directory, name, descriptor: kept.descriptor, readBytesMax, grantsPrivileges })
    const mounted = new ImageMount(options, start, { ...claim, directory: made.directory, device: made.device }, kept)
    try {
      await mounted.#link.ready
      const { device } = made
      await kept.served({ directory: made.directory, device, negotiated: await mounted.#negotiated.promise })
      await mounted.#link.attach()
    } catch (error) {
      await unmount(made.directory, { lazy: true, force: true })
      throw error
    }
    return mounted
  }

  /**
   * Goes on serving a mount whose server was killed and reaped: its users were kept waiting and now get their
   * answers. What the log holds is committed behind. Errors: NOT_FOUND, DAMAGED, IO.
   */
  static async takeOver(
    options: Pick<ImageMountOptions, 'engine' | 'onEvent'>, orphan: OrphanedMount,
  ): Promise<ImageMount> {
    const start = await options.engine.openHead({ image: orphan.image, takeover: true })
    const mounted = new ImageMount(options, start, orphan, orphan.kept, orphan)
    await mounted.#link.ready
    await mounted.#link.attach()
    // A worker that ends meanwhile says so itself.
    mounted.#commitInherited(start).catch(() => undefined)
    return mounted
  }

  /** Not before all that was sent again has been answered from the log. */
  async #commitInherited({ segment, takeover }: HeadStart): Promise<void> {
    await this.#link.ask<'statistics'>({ type: 'statistics' })
    if (takeover !== null && takeover.segments.length > 0) this.#commitBehind(segment - 1)
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
    let decide: (request: CommitRequest) => void = () => undefined
    const decided = new Promise<CommitRequest>((resolve) => (decide = resolve))
    const committed = this.#enqueue(async () => this.#commit(await decided))
    // A caller that abandons does not wait; a failure is told by the event and by the next caller.
    committed.catch(() => undefined)
    const base = { image: this.image, segment }
    return {
      segment, barrierMs,
      seal: (detail) => {
        decide({ ...base, kind: 'epoch', ...detail })
        return committed
      },
      abandon: () => decide({ ...base, kind: 'head' }),
    }
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
    this.#link.send({ type: 'waiting', allowed: false })
    await this.#link.detach()
    try {
      await unmount(this.directory, options)
    } catch (error) {
      if (error instanceof FuseError && error.code === 'FUSE_BUSY') {
        await this.#link.attach()
        this.#link.send({ type: 'waiting', allowed: true })
        throw fromFuse(error)
      }
      if (!(error instanceof FuseError && error.code === 'FUSE_NOT_MOUNTED')) throw error
    }
    await this.#link.exited
    if (this.#retry !== null) clearInterval(this.#retry)
    await this.#sync.close()
    await this.#commits.catch(() => undefined)
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
      case 'rotated':
        if (message.id === unasked) this.#commitBehind(message.segment)
        return
      case 'failed':
        return this.#fail(message.message)
      case 'fault':
        return this.#options.onEvent?.({ type: 'fault', image, message: message.message })
      case 'parked':
        return this.#parked(message.memory)
      case 'negotiated':
        return this.#negotiated.resolve(message.negotiated)
      case 'ended':
        return this.#options.onEvent?.({ type: 'ended', image, how: message.how })
      default:
    }
  }

  #commitBehind(segment: number): void {
    this.#enqueue(() => this.#commit({ image: this.image, segment, kind: 'head' })).catch((error: unknown) => {
      // Without space nothing is lost: the segments stay, and the next commit covers them too.
      if (!isCode(error, 'NO_SPACE')) return this.#fail(messageOf(error))
      this.#options.onEvent?.({ type: 'fault', image: this.image, message: messageOf(error) })
      setTimeout(() => this.#commitBehind(segment), retryMs).unref()
    })
  }

  #enqueue<T>(step: () => Promise<T>): Promise<T> {
    const result = this.#commits.then(step)
    this.#commits = result.catch(() => undefined)
    return result
  }

  async #commit(request: CommitRequest): Promise<CommitResult> {
    if (request.kind === 'head' && request.segment <= this.#committedTo) {
      return { image: this.image, segment: this.#committedTo, manifest: '', writtenBytes: 0, storedBytes: 0 }
    }
    const result = await this.#options.engine.commit(request)
    this.#committedTo = result.segment
    this.#link.send({ type: 'retire', segment: result.segment, manifest: result.manifest })
    await this.#sync.retire(result.segment)
    return result
  }

  #parked(memory: boolean): void {
    this.#options.onEvent?.({ type: 'parked', image: this.image, memory })
    this.#retry ??= setInterval(() => this.#link.send({ type: 'retry' }), retryMs)
  }

  #fail(message: string): void {
    if (this.#failure !== null) return
    this.#failure = message
    this.#kept.failed(message)
    this.#options.onEvent?.({ type: 'failed', image: this.image, message })
    this.#link.send({ type: 'fail', reason: message })
  }
}
