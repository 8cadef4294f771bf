/**
 * Who keeps the kernel connections of mounts. In a daemon that is the supervisor, so that they outlive the
 * process that serves them; elsewhere it is that process itself, and its mounts end with it.
 */
import { lookUpControl, runProgram } from '../../fuse/index.ts'
import type { Negotiated, RunProgram } from '../../fuse/index.ts'
import { HeldDevice, lookUpFiles } from './held-device.ts'

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
  /** Runs mount(8) and umount(8); the only descriptor that it can give them is that of this connection. */
  readonly run: RunProgram
  /** The mount is served: from now on it can be taken over. */
  served(facts: MountFacts): Promise<void>
  /** Makes the kernel know the control file, so that the serving thread can be woken. Errors: IO. */
  lookUp(): Promise<void>
  /** The same for files of the mount, by their paths in it: the serving process itself must not. Errors: IO. */
  lookUpFiles(paths: readonly string[]): Promise<void>
  /** The serving thread ended by a fault. False: nobody can go on serving. */
  crashed(): boolean
  /** The image accepts nothing more; the next server must know. */
  failed(reason: string): void
  /** Closes the descriptor, for good. */
  close(): Promise<void>
}

/** A mount whose server was killed, as it was told to its keeper. */
export interface OrphanedMount extends MountClaim, MountFacts {
  readonly kept: KeptConnection
  /** Why its server accepted nothing more; null when it did. */
  readonly failure: string | null
}

/** Keeps connections in this process. Nobody takes its mounts over. */
export const ownKeeper: ConnectionKeeper = {
  async claim({ directory, controlName }) {
    const device = new HeldDevice()
    return {
      descriptor: device.descriptor,
      run: runProgram,
      served: async () => undefined,
      lookUp: () => lookUpControl(directory, controlName),
      lookUpFiles: (paths) => lookUpFiles(directory, paths),
      crashed: () => false,
      failed: () => undefined,
      close: async () => device.close(),
    }
  },
}
