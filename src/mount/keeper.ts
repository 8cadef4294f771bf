/**
 * Who keeps the kernel connections of mounts. In a daemon that is the supervisor, so that they outlive the
 * process that serves them; elsewhere it is that process itself, and its mounts end with it.
 */
import { closeDevice, ControlFile, openDevice } from '../../fuse/index.ts'
import type { Negotiated } from '../../fuse/index.ts'
import { wrapIo } from '../errors.ts'

/** What a mount is, said before it is made. */
export interface MountClaim {
  readonly image: string
  readonly directory: string
  readonly controlName: string
  /** Random, for the log's records: see repeated.ts. */
  readonly connection: number
}

/** What the next server must know besides. */
export interface MountFacts {
  /** Absolute and without symbolic links. */
  readonly directory: string
  /** "MAJOR:MINOR". */
  readonly device: string
  readonly negotiated: Negotiated
}

export interface ConnectionKeeper {
  /** A FUSE device that is not mounted yet. Errors: UNSUPPORTED, BUSY (no more are to be had). */
  claim(claim: MountClaim): Promise<KeptConnection>
}

export interface KeptConnection {
  readonly descriptor: number
  /** The mount is served: from now on it can be taken over. */
  served(facts: MountFacts): Promise<void>
  /** Holds the control file open, so that the serving thread can be poked. Errors: IO. */
  hold(): Promise<void>
  /** Lets go of it: the mount would be busy otherwise. */
  letGo(): Promise<void>
  /** The image accepts nothing more; the next server must know. */
  failed(reason: string): void
  /** Closes the descriptor, for good. */
  close(): Promise<void>
}

/** Keeps connections in this process. */
export const ownKeeper: ConnectionKeeper = {
  claim: async (claim) => new OwnConnection(claim),
}

class OwnConnection implements KeptConnection {
  readonly descriptor = openDevice()
  readonly #claim: MountClaim
  #control: ControlFile | null = null

  constructor(claim: MountClaim) {
    this.#claim = claim
  }

  async served(): Promise<void> {
    // Nobody takes over.
  }

  async hold(): Promise<void> {
    const { directory, controlName } = this.#claim
    try {
      this.#control ??= await ControlFile.open(directory, controlName)
    } catch (error) {
      throw wrapIo(error, `opening the control file of ${directory}`)
    }
  }

  async letGo(): Promise<void> {
    const control = this.#control
    this.#control = null
    await control?.close()
  }

  failed(): void {
    // Nobody takes over.
  }

  async close(): Promise<void> {
    await this.letGo()
    closeDevice(this.descriptor)
  }
}
