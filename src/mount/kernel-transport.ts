/** The kernel transport: a mount of our own, served by a worker that sleeps in the kernel's queue. */
import { FuseError, KernelReplies, kernelSupports, mount, secretControlName, unmount } from '../../fuse/index.ts'
import type { LateReplies, Negotiated, UnmountOptions } from '../../fuse/index.ts'
import { ownKeeper } from './keeper.ts'
import type { KeptConnection, MountClaim, OrphanedMount } from './keeper.ts'
import type { FromServer, ToServer } from './messages.ts'
import { fromFuse } from './mount-errors.ts'
import type { Answer, Question } from './questions.ts'
import type { Mounted, MountingOptions, Serving, TakeoverOptions, Transport, TransportOptions } from './transport.ts'
import { WorkerLink } from './worker-link.ts'

export const kernelTransport: Transport = {
  name: 'kernel', supports: kernelSupports, mount: mountKernel, open, takeOver,
}

class KernelMounted implements Mounted {
  readonly directory: string
  readonly device: string
  readonly kept: KeptConnection
  readonly claim: MountClaim
  #closed: Promise<void> | null = null

  constructor(made: { directory: string; device: string }, kept: KeptConnection, claim: MountClaim) {
    this.directory = made.directory
    this.device = made.device
    this.kept = kept
    this.claim = claim
  }

  get descriptor(): number {
    return this.kept.descriptor
  }

  /** From now on it ends as what is served. */
  take(): void {
    if (this.#closed !== null) throw new TypeError('the mount was taken away, or is served already')
    this.#closed = Promise.resolve()
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    await unmount(this.directory, { lazy: true, force: true, run: this.kept.run })
    await this.kept.close()
  }
}

async function mountKernel(options: MountingOptions): Promise<KernelMounted> {
  const { image, directory, connection, keeper = ownKeeper, readBytesMax, grantsPrivileges } = options
  const claim = { image, directory, connection, controlName: secretControlName() }
  let kept: KeptConnection | null = null
  try {
    kept = await keeper.claim(claim)
    const { descriptor, run } = kept
    const name = `holdfast:${image}`
    const made = await mount({ directory, name, descriptor, readBytesMax, grantsPrivileges, run })
    return new KernelMounted(made, kept, claim)
  } catch (error) {
    await kept?.close()
    throw error instanceof FuseError ? fromFuse(error) : error
  }
}

async function open(options: TransportOptions): Promise<Serving> {
  const mounted = options.mounted ?? await mountKernel(options)
  if (!(mounted instanceof KernelMounted)) throw new TypeError('this is a mount of another transport')
  try {
    return await serve(options, mounted)
  } catch (error) {
    throw error instanceof FuseError ? fromFuse(error) : error
  }
}

async function serve(options: TransportOptions, mounted: KernelMounted): Promise<Serving> {
  const { head, limits, source, syncMark, onMessage } = options
  mounted.take()
  const { directory, device, kept } = mounted
  const { controlName, connection } = mounted.claim
  const agreement = Promise.withResolvers<Negotiated>()
  const start = { controlName, head, limits, source, syncMark, connection, failure: null }
  const link = new WorkerLink(kept, start, (message) => {
    if (message.type === 'negotiated') agreement.resolve(message.negotiated)
    else onMessage(message)
  })
  try {
    await link.ready
    await kept.served({ directory, device, negotiated: await agreement.promise })
    await link.attach(false)
  } catch (error) {
    await unmount(directory, { lazy: true, force: true, run: kept.run })
    await link.exited
    await kept.close()
    throw error
  }
  return new KernelServing({ directory, device }, kept, link)
}

async function takeOver(options: TakeoverOptions, orphan: OrphanedMount): Promise<Serving> {
  const { head, limits, source, syncMark, onMessage } = options
  const { kept, controlName, connection, negotiated, failure } = orphan
  const start = { controlName, head, limits, source, syncMark, connection, negotiated, failure }
  const link = new WorkerLink(kept, start, onMessage)
  await link.ready
  await link.attach(true)
  return new KernelServing(orphan, kept, link)
}

/** So long a serving thread may take to notice that its connection was aborted. */
const forceMs = 2000

class KernelServing implements Serving {
  readonly directory: string
  readonly device: string
  readonly descriptor: number
  readonly replies: LateReplies
  readonly #kept: KeptConnection
  readonly #link: WorkerLink
  #closed: Promise<void> | null = null

  constructor(made: { directory: string; device: string }, kept: KeptConnection, link: WorkerLink) {
    this.directory = made.directory
    this.device = made.device
    this.descriptor = kept.descriptor
    this.replies = new KernelReplies(kept.descriptor)
    this.#kept = kept
    this.#link = link
  }

  send(message: ToServer): void {
    if (message.type === 'fail') this.#kept.failed(message.reason)
    this.#link.send(message)
  }

  ask<T extends FromServer['type']>(question: Question): Promise<Answer<T>> {
    return this.#link.ask<T>(question)
  }

  lookUpFiles(paths: readonly string[]): Promise<void> {
    return this.#kept.lookUpFiles(paths)
  }

  crashed(): boolean {
    return this.#kept.crashed()
  }

  async unmount(options: UnmountOptions): Promise<void> {
    try {
      await unmount(this.directory, { ...options, run: this.#kept.run })
    } catch (error) {
      if (!(error instanceof FuseError)) throw error
      if (error.code !== 'FUSE_NOT_MOUNTED') throw fromFuse(error)
    }
    if (options.force === true) await this.#link.exitedOr(forceMs)
    else await this.#link.exited
  }

  close(): Promise<void> {
    this.#closed ??= this.#kept.close()
    return this.#closed
  }
}
