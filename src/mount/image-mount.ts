/** A mounted image, as its owning thread sees it: the served head, the syncs, and the commits that follow behind. */
import { setDirtyLimits } from '../../fuse/index.ts'
import type { TransportSupports } from '../../fuse/index.ts'
import { systemEnv } from '../env/system.ts'
import { messageOf } from '../errors.ts'
import type { Engine } from '../image/engine.ts'
import type { HeadLimits } from '../image/head-limits.ts'
import { ImageLayout } from '../image/layout.ts'
import { SyncMark } from '../image/sync-mark.ts'
import type { HeadStart } from '../image/types.ts'
import type { RecordParcel } from '../image/remote/messages.ts'
import { Commits, type OpenCommit } from './commits.ts'
import type { ConnectionKeeper, OrphanedMount } from './keeper.ts'
import { LaneSync } from './lane-sync.ts'
import { memoryRefused, memoryUnsupported } from './mount-errors.ts'
import { type FromServer, type ServingStatistics, type TouchedChunks, unasked } from './messages.ts'
import type { Mounted, Serving, Transport, TransportName, TransportOptions } from './transport.ts'
import { transportNamed } from './transports.ts'
import { type MountRemote, WantedChunks } from './wanted-chunks.ts'

export interface ImageMountOptions {
  engine: Engine
  image: string
  directory: string
  /** Who keeps the kernel's connection where the transport can give it away; this process unless another is named. */
  keeper?: ConnectionKeeper
  /** Largest READ; 64 KiB for mounts that hold a machine's memory. */
  readBytesMax?: number
  /** Set-uid bits and device nodes of the image count. Off by default: see `MountOptions` of the transport. */
  grantsPrivileges?: boolean
  /** `kernel` without it. What the other cannot carry stands in its `supports`. */
  transport?: TransportName
  /** What `ahead` made with the same options, to be served now. */
  mounted?: Mounted
  /** Other limits of the head than the usual ones. */
  limits?: Partial<HeadLimits>
  /** Where chunks come from that the store lacks. */
  remote?: MountRemote
  onEvent?: (event: MountEvent) => void
}

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

type ServeOptions = Pick<ImageMountOptions, 'engine' | 'image' | 'limits' | 'remote' | 'onEvent'>

const clock = systemEnv()
const newConnection = (): number => clock.randomBytes(4).readUInt32LE(0)
/** Parked writes are tried again so often while space is short. */
const retryMs = 1000

export class ImageMount {
  readonly image: string
  readonly directory: string
  readonly device: string
  /** Of the kernel's connection, null where the transport keeps it to itself. */
  readonly descriptor: number | null
  readonly transport: TransportName
  readonly supports: TransportSupports
  readonly #options: ServeOptions
  readonly #serving: Serving
  readonly #sync: LaneSync
  readonly #commits: Commits
  readonly #wanted: WantedChunks
  #retry: NodeJS.Timeout | null = null
  #failure: string | null = null
  #closed: Promise<void> | null = null

  private constructor(
    options: ServeOptions, transport: Transport, start: HeadStart, serving: Serving, syncMark: SyncMark,
  ) {
    this.#options = options
    this.#serving = serving
    this.image = options.image
    this.transport = transport.name
    this.supports = transport.supports
    this.directory = serving.directory
    this.device = serving.device
    this.descriptor = serving.descriptor
    const firstSegment = start.takeover?.segments[0] ?? start.segment
    const tell = (message: string): void => options.onEvent?.({ type: 'fault', image: options.image, message })
    this.#commits = new Commits({
      engine: options.engine, image: options.image, committedTo: firstSegment - 1,
      onCommitted: ({ segment, manifest }) => serving.send({ type: 'retire', segment, manifest }),
      onDelay: tell, onFailure: (message) => this.#fail(message),
    })
    this.#wanted = new WantedChunks({ provider: options.remote, send: (wanted) => serving.send(wanted), onWait: tell })
    const layout = new ImageLayout(options.engine.directory, options.image)
    const onFailure = (error: unknown): void => this.#fail(messageOf(error))
    this.#sync = new LaneSync({ layout, replies: serving.replies, firstSegment, syncMark, onFailure })
  }

  /**
   * The mount without its head, for users that are to be started while the head is being made: they wait in the
   * kernel. Errors: as `open`, of the directory.
   */
  static async ahead(options: Omit<ImageMountOptions, 'engine' | 'transport' | 'mounted'>): Promise<Mounted> {
    const transport = await transportNamed('kernel')
    return transport.mount!({ ...options, connection: newConnection() })
  }

  /** Errors: NOT_FOUND, BUSY, EXISTS (directory in use), UNSUPPORTED, IO, DAMAGED. */
  static async open(options: ImageMountOptions): Promise<ImageMount> {
    const transport = await transportNamed(options.transport ?? 'kernel')
    const head = await options.engine.openHead({ image: options.image })
    for (const message of head.notices) options.onEvent?.({ type: 'fault', image: options.image, message })
    return ImageMount.#serve(options, transport, head, (wires) =>
      transport.open({ ...options, connection: newConnection(), head, ...wires }))
  }

  /**
   * Goes on serving a mount whose server was killed and reaped: its users were kept waiting and now get their
   * answers. What the log holds is committed behind. Errors: NOT_FOUND, DAMAGED, IO.
   */
  static async takeOver(options: Omit<ServeOptions, 'image'>, orphan: OrphanedMount): Promise<ImageMount> {
    const { image } = orphan
    const transport = await transportNamed('kernel')
    const head = await options.engine.openHead({ image, takeover: true })
    const mounted = await ImageMount.#serve({ ...options, image }, transport, head, (wires) =>
      transport.takeOver!({ ...options, head, ...wires }, orphan))
    mounted.#failure = orphan.failure
    // A worker that ends meanwhile says so itself.
    mounted.#commitInherited(head).catch(() => undefined)
    return mounted
  }

  static async #serve(
    options: ServeOptions, transport: Transport, start: HeadStart,
    begin: (wires: Pick<TransportOptions, 'source' | 'syncMark' | 'onMessage'>) => Promise<Serving>,
  ): Promise<ImageMount> {
    // The first requests may come before the mount is told of: what they say waits.
    let receive: (message: FromServer) => void = (message) => early.push(message)
    const early: FromServer[] = []
    const mark = new SyncMark()
    try {
      const source = options.remote?.connect()
      const serving = await begin({ source, syncMark: mark.shared, onMessage: (message) => receive(message) })
      const mounted = new ImageMount(options, transport, start, serving, mark)
      receive = (message) => mounted.#receive(message)
      early.forEach(receive)
      return mounted
    } catch (error) {
      await options.engine.closeHead({ image: options.image })
      throw error
    }
  }

  /**
   * Not before all that was sent again has been answered from the log.
   */
  async #commitInherited({ takeover }: HeadStart): Promise<void> {
    const { resent, repeated } = await this.statistics()
    this.#options.onEvent?.({ type: 'takenOver', image: this.image, resent, repeated })
    this.#commits.inherited(takeover?.segments ?? [])
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
    const { segment } = await this.#serving.ask<'rotated'>({ type: 'rotate' })
    const barrierMs = clock.monotonicMs() - begin
    return { segment, barrierMs, ...this.#commits.open(segment) }
  }

  /** Makes a sparse memory file in the root; its inode number. Errors: EXISTS, NO_SPACE, IO, UNSUPPORTED. */
  async makeMemory(name: string, bytes: number): Promise<number> {
    if (!this.supports.machineMemory) throw memoryUnsupported(this.transport)
    const { errno, inode } = await this.#serving.ask<'made'>({ type: 'makeMemory', name, bytes })
    if (errno !== 0) throw memoryRefused(name, errno)
    return inode
  }

  /** Records that requests will want and that are not in the store yet; used before they are asked for elsewhere. */
  admit(parcel: RecordParcel): void {
    this.#serving.send({ type: 'arrived', chunks: [], parcel })
  }

  /** Makes the kernel know files, by their paths in the mount, so that it takes pages of them. Errors: IO. */
  lookUpFiles(paths: readonly string[]): Promise<void> {
    return this.#serving.lookUpFiles(paths)
  }

  async recordReads(): Promise<void> {
    await this.#serving.ask<'touched'>({ type: 'record', on: true })
  }

  async touchedChunks(): Promise<TouchedChunks[]> {
    return (await this.#serving.ask<'touched'>({ type: 'record', on: false })).touched
  }

  /** Reads of memory files that wait for a replica fail: nobody needs them any more. */
  releaseMemory(): void {
    this.#serving.send({ type: 'releaseMemory' })
  }

  async statistics(): Promise<ServingStatistics> {
    return (await this.#serving.ask<'statistics'>({ type: 'statistics' })).statistics
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
    await this.#serving.unmount(options)
    this.#wanted.close()
    this.#resumed()
    await this.#sync.close()
    await this.#commits.close()
    await this.#serving.close()
    await this.#options.engine.closeHead({ image: this.image })
  }

  #receive(message: FromServer): void {
    const { image } = this
    switch (message.type) {
      case 'sync':
        return this.#sync.request(message.ticket, message.segment, message.sequence)
      case 'syncDue':
        return void this.#sync.writeBehind(message.segment)
      case 'retired':
        this.#commits.retired(message.segment)
        // The last to close a removed file waits for its blocks to be freed: that is not to be the worker.
        return void this.#sync.retire(message.segment).catch((error: unknown) => this.#fail(messageOf(error)))
      case 'rotated':
        if (message.id === unasked) this.#commits.behind(message.segment)
        return
      case 'failed':
        return this.#fail(message.message)
      case 'fault':
        return this.#options.onEvent?.({ type: 'fault', image, message: message.message })
      case 'wanted':
        return void this.#wanted.ask(message.chunks)
      case 'parked':
        return this.#parked(message.memory)
      case 'heldUp':
        // Without a clock of its own the serving thread would be held up too.
        setTimeout(() => this.#serving.send({ type: 'retry' }), message.ms)
        return
      case 'resumed':
        return this.#resumed()
      case 'ended':
        if (message.how === 'crashed' && !this.#serving.crashed()) this.#abandon()
        return this.#options.onEvent?.({ type: 'ended', image, how: message.how })
      default:
    }
  }

  #parked(memory: boolean): void {
    this.#options.onEvent?.({ type: 'parked', image: this.image, memory })
    this.#retry ??= setInterval(() => this.#serving.send({ type: 'retry' }), retryMs)
  }

  #resumed(): void {
    if (this.#retry !== null) clearInterval(this.#retry)
    this.#retry = null
  }

  /** Nobody answers any more: who waits for the mount gets errors at once instead of waiting for ever. */
  #abandon(): void {
    this.#failure ??= 'the serving thread ended by a fault'
    this.#serving.unmount({ lazy: true, force: true }).catch((error: unknown) => {
      this.#options.onEvent?.({ type: 'fault', image: this.image, message: messageOf(error) })
    })
  }

  #fail(message: string): void {
    if (this.#failure !== null) return
    this.#failure = message
    this.#options.onEvent?.({ type: 'failed', image: this.image, message })
    this.#serving.send({ type: 'fail', reason: message })
  }
}
