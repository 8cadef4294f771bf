/** The kernel transport: a mount of our own, served by a worker that sleeps in the kernel's queue. */
import {
  closeDevice, FuseError, KernelReplies, kernelSupports, mount, openDevice, secretControlName, unmount,
} from '../../fuse/index.ts'
import type { LateReplies, Mount, UnmountOptions } from '../../fuse/index.ts'
import type { FromServer, ToServer } from './messages.ts'
import { fromFuse } from './mount-errors.ts'
import type { Answer, Question } from './questions.ts'
import type { Serving, Transport, TransportOptions } from './transport.ts'
import { WorkerLink } from './worker-link.ts'

export const kernelTransport: Transport = { name: 'kernel', supports: kernelSupports, open }

async function open(options: TransportOptions): Promise<Serving> {
  let descriptor = -1
  try {
    descriptor = openDevice()
    return await serve(options, descriptor)
  } catch (error) {
    if (descriptor >= 0) closeDevice(descriptor)
    throw error instanceof FuseError ? fromFuse(error) : error
  }
}

async function serve(options: TransportOptions, descriptor: number): Promise<Serving> {
  const { directory, readBytesMax, grantsPrivileges, head, limits, connection } = options
  const controlName = secretControlName()
  const name = `holdfast:${options.image}`
  const made = await mount({ directory, name, descriptor, readBytesMax, grantsPrivileges })
  const link = new WorkerLink({ descriptor, controlName, head, limits, connection }, options.onMessage)
  try {
    await link.ready
    await link.attach(made.directory)
  } catch (error) {
    await unmount(made.directory, { lazy: true, force: true })
    await link.exited
    throw error
  }
  return new KernelServing(made, link)
}

class KernelServing implements Serving {
  readonly directory: string
  readonly device: string
  readonly descriptor: number
  readonly replies: LateReplies
  readonly #link: WorkerLink
  #isClosed = false

  constructor(made: Mount, link: WorkerLink) {
    this.directory = made.directory
    this.device = made.device
    this.descriptor = made.descriptor
    this.replies = new KernelReplies(made.descriptor)
    this.#link = link
  }

  send(message: ToServer): void {
    this.#link.send(message)
  }

  ask<T extends FromServer['type']>(question: Question): Promise<Answer<T>> {
    return this.#link.ask<T>(question)
  }

  async unmount(options: UnmountOptions): Promise<void> {
    try {
      await unmount(this.directory, options)
    } catch (error) {
      if (!(error instanceof FuseError)) throw error
      if (error.code !== 'FUSE_NOT_MOUNTED') throw fromFuse(error)
    }
    await this.#link.exited
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    closeDevice(this.descriptor)
  }
}
