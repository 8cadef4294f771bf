/**
 * One life of a machine: a mount of its own (hence a page cache of its own), a run directory, a flush process
 * and, from its start on, a hypervisor. It ends as a whole, in the order in which that loses nothing: the
 * hypervisor is reaped, so that the pages it dirtied have reached the head, and only then is the mount taken down.
 *
 * The mount is there before it is served: a hypervisor can be started on it while the head is being made, and
 * waits in the kernel for the first file that it opens.
 */
import { join } from 'node:path'
import type { Binding, Machine, Plan } from '../../drivers/index.ts'
import type { Env } from '../env/env.ts'
import { isCode } from '../errors.ts'
import type { ImageMount } from '../mount/image-mount.ts'
import type { Mounted } from '../mount/transport.ts'
import { FlushAgent } from './flush-agent.ts'
import { makeRunDirectory, mountDirectory, removeRunDirectory } from './journal.ts'
import { machineReadBytesMax, oomScoreAdjust } from './limits.ts'

/** The mount in a run directory whose server was killed, served again; null when there is none. */
export type ReopenMount = (runDirectory: string) => ImageMount | null

/** How images are mounted: see `ImageMount.ahead` and `ImageMount.open`. */
export interface Mounting {
  mount(image: string, directory: string, readBytesMax: number): Promise<Mounted>
  serve(image: string, mounted: Mounted): Promise<ImageMount>
}

interface Ahead {
  mounting: Mounting
  mounted: Promise<Mounted>
}

export class Incarnation {
  readonly image: string
  readonly runDirectory: string
  readonly flush: FlushAgent
  /** Sentences about what this host could not give. */
  readonly notices: string[] = []
  /** Set when we end the hypervisor ourselves: its death is no failure then. */
  isEnding = false
  #root: string
  #mount: ImageMount | null = null
  #machine: Machine | null = null
  #isDetached = false
  /** Null where the mount is an earlier process's. */
  readonly #ahead: Ahead | null
  readonly #env: Env
  #closed: Promise<void> | null = null

  private constructor(env: Env, image: string, runDirectory: string, root: string, ahead: Ahead | null) {
    this.#env = env
    this.image = image
    this.runDirectory = runDirectory
    this.#root = root
    this.#ahead = ahead
    this.flush = new FlushAgent(image)
  }

  /** Its mount is being made. Errors: IO, NO_SPACE. */
  static begin(env: Env, directory: string, image: string, mounting: Mounting): Incarnation {
    const runDirectory = makeRunDirectory(env, directory, image)
    const root = mountDirectory(runDirectory)
    const mounted = mounting.mount(image, root, machineReadBytesMax)
    const life = new Incarnation(env, image, runDirectory, root, { mounting, mounted })
    // Without symbolic links, as the kernel names it.
    mounted.then(({ directory: named }) => (life.#root = named), () => undefined)
    return life
  }

  /** Mounted and not served yet: its users wait. Errors: as ImageMount.ahead. */
  static async open(env: Env, directory: string, image: string, mounting: Mounting): Promise<Incarnation> {
    const life = Incarnation.begin(env, directory, image, mounting)
    try {
      await life.mounted
      return life
    } catch (error) {
      await life.close()
      throw error
    }
  }

  /** Goes on with the run directory and the mount of a process that was killed; `take` gives it its hypervisor. */
  static adopt(env: Env, image: string, runDirectory: string, mount: ImageMount): Incarnation {
    const life = new Incarnation(env, image, runDirectory, mount.directory, null)
    life.#serves(mount)
    return life
  }

  /** The mount is there. Errors: as ImageMount.ahead. */
  get mounted(): Promise<unknown> {
    return this.#ahead?.mounted ?? Promise.resolve()
  }

  /** Serves the head as it is now. Errors: as ImageMount.open (BUSY where the head is mounted elsewhere). */
  async serve(): Promise<void> {
    if (this.#ahead === null) throw new TypeError('the incarnation was adopted, and is served already')
    const { mounting, mounted } = this.#ahead
    this.#serves(await mounting.serve(this.image, await mounted))
  }

  #serves(mount: ImageMount): void {
    this.#mount = mount
    const strict = mount.liftDirtyLimits()
    if (strict !== null) this.notices.push(`the kernel may slow the guest down: ${strict}`)
  }

  /** Where it is mounted, or will be. */
  get root(): string {
    return this.#root
  }

  /** Only of a life that is served. */
  get mount(): ImageMount {
    if (this.#mount === null) throw new TypeError('the incarnation has no head yet')
    return this.#mount
  }

  /** The mount is served, and was not taken down. */
  get isMounted(): boolean {
    return this.#mount !== null && !this.#isDetached
  }

  get machine(): Machine {
    if (this.#machine === null) throw new TypeError('the incarnation has no hypervisor yet')
    return this.#machine
  }

  get hasMachine(): boolean {
    return this.#machine !== null
  }

  get binding(): Binding {
    return { root: this.root, runDirectory: this.runDirectory, oomScoreAdjust }
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
    return join(this.root, file)
  }

  /** Kills the hypervisor if it lives and waits for its end, after which all that it wrote has reached the head. */
  async endMachine(): Promise<void> {
    this.isEnding = true
    if (this.#machine === null || this.#machine.state() === 'exited') return
    // One that waits for a replica could not end.
    this.#mount?.releaseMemory()
    await this.#machine.kill()
  }

  /** Ends the hypervisor and takes the mount down: what stays are the files in the run directory. Idempotent. */
  async detach(): Promise<void> {
    await this.endMachine()
    await this.#machine?.close()
    await this.flush.close()
    if (this.#isDetached) return
    await this.#unmount()
    this.#isDetached = true
  }

  /** As `detach`, and the run directory goes. Idempotent. */
  close(): Promise<void> {
    this.#closed ??= this.#close().catch((error: unknown) => {
      this.#closed = null
      throw error
    })
    return this.#closed
  }

  async #close(): Promise<void> {
    await this.detach()
    removeRunDirectory(this.#env, this.runDirectory)
  }

  /** Whoever else looks into the mount loses it: nothing of theirs may hold up a resume. */
  async #unmount(): Promise<void> {
    if (this.#mount === null) return (await this.#ahead?.mounted.catch(() => null))?.close()
    try {
      await this.#mount.close()
    } catch (error) {
      if (!isCode(error, 'BUSY')) throw error
      await this.#mount.close({ lazy: true, force: true })
    }
  }
}
