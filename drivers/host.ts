/**
 * The only door of the drivers to processes, files, sockets and the clock. `linux.ts` is the real one;
 * everything else in this room gets it injected.
 */
import type { Duplex } from 'node:stream'

/** A process that cannot be mistaken for a later one with the same number. */
export interface ProcessIdentity {
  readonly pid: number
  /** Field 22 of /proc/PID/stat: clock ticks after boot. See proc_pid_stat(5). */
  readonly startTicks: number
}

/** How a process ended; both are null where it was not our child and nobody can know. */
export interface ProcessExit {
  readonly exitCode: number | null
  readonly signal: string | null
}

/** A process that outlives us unless it is killed. */
export interface HostProcess {
  readonly identity: ProcessIdentity
  /** Settles once, never rejects. */
  readonly exited: Promise<ProcessExit>
  alive(): boolean
  /** Sends the signal if the process is still the same one. */
  kill(signal: 'SIGTERM' | 'SIGKILL'): void
  /** Stops watching; the process goes on. Idempotent. */
  release(): void
}

export interface SpawnRequest {
  readonly binary: string
  readonly argv: readonly string[]
  /** The working directory, in which the process resolves its relative socket names. */
  readonly directory: string
  /** Where standard output and error go, or null for nowhere. */
  readonly logPath: string | null
  /** Connected sockets given to the process as descriptors 3, 4, ... */
  readonly channelsCount: number
}

export interface SpawnedProcess extends HostProcess {
  readonly channels: readonly Duplex[]
}

/** Incoming connections to one socket. At most one waits; a further one is refused. */
export interface SocketListener {
  /** The next connection. Rejects with CLOSED on close. */
  accept(): Promise<Duplex>
  close(): void
}

/** A directory of sockets, reached by names in it, so that the length of its own path does not matter. */
export interface SocketDirectory {
  connect(name: string): Promise<Duplex>
  /** Listens, replacing a socket file of the same name. */
  listen(name: string): Promise<SocketListener>
  close(): void
}

export interface HostFile {
  readonly path: string
  readonly bytes: number
  /** Changes whenever the file is replaced or rewritten by ordinary means. */
  readonly stamp: string
}

export interface Host {
  /** Milliseconds of a clock that never goes back. */
  nowMs(): number
  /** @throws DriverError START_FAILED where the binary cannot be run */
  spawn(request: SpawnRequest): Promise<SpawnedProcess>
  /** A process that somebody else started, or null when it is not there any more. */
  find(identity: ProcessIdentity): HostProcess | null
  openSockets(directory: string): SocketDirectory
  /** The resolved file behind a path or a command name, or null. */
  locate(pathOrCommand: string): Promise<HostFile | null>
  /** Whether we may read and write it. */
  mayUse(path: string): Promise<boolean>
  /** SHA-256 of a file, in hexadecimal. */
  digest(path: string): Promise<string>
  /** The text of a file, or null when it is not there. `lastBytes` reads only its end. */
  readText(path: string, lastBytes?: number): Promise<string | null>
  /** Replaces the file whole, by rename. */
  write(path: string, content: string | Uint8Array): Promise<void>
  /** Writes into an existing file of the kernel, such as one under /proc. */
  writeControl(path: string, text: string): Promise<void>
  remove(path: string): Promise<void>
  /** A string that changes with the kernel and at every boot. */
  kernelStamp(): Promise<string>
}
