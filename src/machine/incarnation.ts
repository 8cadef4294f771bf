/**
 * One life of a machine: a mount of its own (hence a page cache of its own), a run directory, a flush process
 * and, from its start on, a hypervisor. It ends as a whole, in the order in which that loses nothing: the
 * hypervisor is reaped, so that the pages it dirtied have reached the head, and only then is the mount taken down.
 */
import { join } from 'node:path'
import type { Binding, Machine, Plan } from '../../drivers/index.ts'
import type { Env } from '../env/env.ts'
import { isCode } from '../errors.ts'
import type { ImageMount } from '../mount/image-mount.ts'
import { FlushAgent } from './flush-agent.ts'
import { makeRunDirectory, mountDirectory, removeRunDirectory } from './journal.ts'
import { machineReadBytesMax, oomScoreAdjust } from './limits.ts'

/** Mounts the head of an image; see `Machines`. */
export type OpenMount = (image: string, directory: string, readBytesMax: number) => Promise<ImageMount>

export class Incarnation {
  readonly image: string
  readonly runDirectory: string
  readonly mount: ImageMount
  readonly flush: FlushAgent
  /** Sentences about what this host could not give. */
  readonly notices: string[] = []
  /** Set when we end the hypervisor ourselves: its death is no failure then. */
  isEnding = false
  #machine: Machine | null = null
  readonly #env: Env
  #closed: Promise<void> | null = null

  private constructor(env: Env, image: string, runDirectory: string, mount: ImageMount) {
    this.#env = env
    this.image = image
    this.runDirectory = runDirectory
    this.mount = mount
    this.flush = new FlushAgent(image)
    const strict = mount.liftDirtyLimits()
    if (strict !== null) this.notices.push(`the kernel may slow the guest down: ${strict}`)
  }

  /** Errors: as ImageMount.open (BUSY where the head is mounted elsewhere). */
  static async open(env: Env, directory: string, image: string, openMount: OpenMount): Promise<Incarnation> {
    const runDirectory = makeRunDirectory(env, directory, image)
    try {
      const mount = await openMount(image, mountDirectory(runDirectory), machineReadBytesMax)
      return new Incarnation(env, image, runDirectory, mount)
    } catch (error) {
      removeRunDirectory(env, runDirectory)
      throw error
    }
  }

  get machine(): Machine {
    if (this.#machine === null) throw new TypeError('the incarnation has no hypervisor yet')
    return this.#machine
  }

  get hasMachine(): boolean {
    return this.#machine !== null
  }

  get binding(): Binding {
    return { root: this.mount.directory, runDirectory: this.runDirectory, oomScoreAdjust }
  }

  /** Takes the hypervisor over: `close` ends it. */
  take(machine: Machine): void {
    this.#machine = machine
    this.notices.push(...machine.warnings)
  }

  /** Paths in the mount of the files that are the guest's memory. */
  memoryPaths(plan: Plan): string[] {
    const files = plan.memory.regions.filter(({ shared }) => shared).map(({ file }) => file!)
    return [...new Set(files)].map((file) => this.path(file))
  }

  path(file: string): string {
    return join(this.mount.directory, file)
  }

  /** Kills the hypervisor if it lives, waits for its end, takes the mount and the run directory away. Idempotent. */
  close(): Promise<void> {
    this.#closed ??= this.#close().catch((error: unknown) => {
      this.#closed = null
      throw error
    })
    return this.#closed
  }

  async #close(): Promise<void> {
    this.isEnding = true
    if (this.#machine !== null) {
      if (this.#machine.state() !== 'exited') await this.#machine.kill()
      await this.#machine.close()
    }
    await this.flush.close()
    await this.#unmount()
    removeRunDirectory(this.#env, this.runDirectory)
  }

  /** Whoever else looks into the mount loses it: nothing of theirs may hold up a resume. */
  async #unmount(): Promise<void> {
    try {
      await this.mount.close()
    } catch (error) {
      if (!isCode(error, 'BUSY')) throw error
      await this.mount.close({ lazy: true, force: true })
    }
  }
}
